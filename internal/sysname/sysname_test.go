package sysname

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNames(t *testing.T) {
	for _, x := range [][2]string{
		{Errno(2), "ENOENT"}, {Errno(int64(unix.ETIMEDOUT)), "ETIMEDOUT"}, {Errno(0), "0"}, {Errno(-7), "-7"}, {Errno(5000), "5000"}, {Errno(512), "ERESTARTSYS"}, {Errno(516), "ERESTART_RESTARTBLOCK"},
		{Syscall(unix.SYS_OPENAT), "openat"}, {Syscall(99999), "syscall 99999"}, {Syscall(-1), "syscall -1"},
	} {
		if x[0] != x[1] {
			t.Errorf("got %q, want %q", x[0], x[1])
		}
	}
	if n, ok := ErrnoOf("EPERM"); !ok || n != 1 {
		t.Errorf("EPERM is %d", n)
	}
	if _, ok := ErrnoOf("EPRM"); ok {
		t.Error("there is an EPRM")
	}
	if n, ok := Signal("SIGKILL"); !ok || n != 9 {
		t.Errorf("SIGKILL is %d", n)
	}
	if _, ok := Signal("KILL"); ok {
		t.Error("KILL is a signal without SIG")
	}
	for _, name := range Syscalls() {
		if n, ok := SyscallOf(name); !ok || Syscall(n) != name {
			t.Errorf("%s is %d, which is %s", name, n, Syscall(n))
		}
	}
	if len(Errnos()) < 100 || len(Signals()) < 30 || len(Syscalls()) < 250 {
		t.Error("names are missing")
	}
}

func TestCompat(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the numbers are those of i386")
	}
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
