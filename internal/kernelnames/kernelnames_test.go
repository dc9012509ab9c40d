package kernelnames

import (
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
