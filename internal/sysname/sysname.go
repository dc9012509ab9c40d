// Package sysname gives the names of the kernel's numbers: errors, signals and system calls.
package sysname

import (
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

//go:generate go run gen.go

// maxErrno is the largest number that the kernel returns for an error (include/linux/err.h).
const maxErrno = 4095

// maxSignal is the largest signal.
const maxSignal = 64

// inner are errors that only the kernel itself uses (include/linux/errno.h). Probes of system calls see some of them, on the
// way to a restart of the call.
var inner = [...]string{"ERESTARTSYS", "ERESTARTNOINTR", "ERESTARTNOHAND", "ENOIOCTLCMD", "ERESTART_RESTARTBLOCK", "EPROBE_DEFER", "EOPENSTALE", "ENOPARAM"}

// firstInner is the number of the first of them.
const firstInner = 512

// errno gives the name of an error, or "".
func errno(n int64) string {
	if i := n - firstInner; i >= 0 && i < int64(len(inner)) {
		return inner[i]
	}
	if n <= 0 || n > maxErrno {
		return ""
	}
	return unix.ErrnoName(unix.Errno(n))
}

// Errno gives the name of an error: "ENOENT" for 2; the number as text where it is none.
func Errno(n int64) string {
	if name := errno(n); name != "" {
		return name
	}
	return strconv.FormatInt(n, 10)
}

// ErrnoOf gives the number of a name.
func ErrnoOf(name string) (int64, bool) {
	for n := int64(1); n <= maxErrno; n++ {
		if name != "" && errno(n) == name {
			return n, true
		}
	}
	return 0, false
}

// Errnos lists the names of errors.
func Errnos() []string {
	var out []string
	for n := int64(1); n <= maxErrno; n++ {
		if name := errno(n); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// Signal gives the number of a signal's name: 9 for "SIGKILL".
func Signal(name string) (int64, bool) {
	n := unix.SignalNum(name)
	return int64(n), n != 0
}

// Signals lists the names of signals.
func Signals() []string {
	var out []string
	for n := 1; n <= maxSignal; n++ {
		if name := unix.SignalName(unix.Signal(n)); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// Syscall gives the name of a system call of this architecture: "read"; "syscall 999" where none is known.
func Syscall(n int64) string {
	if n >= 0 && n < int64(len(syscalls)) && syscalls[n] != "" {
		return syscalls[n]
	}
	return "syscall " + strconv.FormatInt(n, 10)
}

// SyscallOf gives the number of a system call's name.
func SyscallOf(name string) (int64, bool) {
	for n, x := range syscalls {
		if x == name && name != "" {
			return int64(n), true
		}
	}
	return 0, false
}

// Syscalls lists the names of system calls.
func Syscalls() []string {
	return slices.DeleteFunc(slices.Clone(syscalls[:]), func(name string) bool { return name == "" })
}
