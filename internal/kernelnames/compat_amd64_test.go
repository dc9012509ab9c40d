package kernelnames

import "testing"

// TestCompat checks system call numbers of i386 and x32.
func TestCompat(t *testing.T) {
	for _, x := range []struct {
		n      int64
		compat bool
		want   string
	}{
		{20, true, "getpid"}, {20, false, "writev"}, {39, false, "getpid"}, {7, true, "waitpid"}, {102, true, "socketcall"}, {265, true, "clock_gettime"},
		{470, true, "listns"}, {511, true, "32-bit syscall 511"}, {9999, true, "32-bit syscall 9999"}, {511, false, "syscall 511"},
		{x32Bit | 39, false, "getpid"}, {x32Bit | 512, false, "rt_sigaction"}, {x32Bit | 547, false, "pwritev2"}, {x32Bit | 548, false, "syscall 1073742372"},
	} {
		n := Canonical(x.n, x.compat)
		if got := Syscall(n); got != x.want {
			t.Errorf("system call %d, compat %v, is %q, want %q", x.n, x.compat, got, x.want)
		}
		if back, ok := ParseSyscall(x.want); !ok || back != n {
			t.Errorf("%q is read as %d, want %d", x.want, back, n)
		}
	}
	if Canonical(20, true) != Canonical(39, false) {
		t.Error("getpid has two canonical numbers")
	}
	table := CanonicalTable()
	for n := range int64(Compat32) {
		if int64(table[n]) != Canonical(n, true) {
			t.Errorf("the table has %d for the 32-bit system call %d", table[n], n)
		}
	}
	for n := range int64(548) {
		if int64(table[Compat32+n]) != Canonical(x32Bit|n, false) {
			t.Errorf("the table has %d for the x32 system call %d", table[Compat32+n], n)
		}
	}
}
