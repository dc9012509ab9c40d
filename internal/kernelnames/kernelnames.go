// Package kernelnames translates between the kernel's numbers and names of errors, signals and
// system calls.
package kernelnames

import (
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

//go:generate go run gen.go

// maxErrno is the largest error number that the kernel returns (include/linux/err.h).
const maxErrno = 4095

// maxSignal is the largest signal number.
const maxSignal = 64

// inner are the errors that only the kernel uses internally (include/linux/errno.h). Probes of
// system calls see some of them before the kernel restarts the call.
var inner = [...]string{"ERESTARTSYS", "ERESTARTNOINTR", "ERESTARTNOHAND", "ENOIOCTLCMD", "ERESTART_RESTARTBLOCK", "EPROBE_DEFER", "EOPENSTALE", "ENOPARAM"}

// firstInner is the number of the first error in inner.
const firstInner = 512

// errno returns the name of error n, or "".
func errno(n int64) string {
	if i := n - firstInner; i >= 0 && i < int64(len(inner)) {
		return inner[i]
	}
	if n <= 0 || n > maxErrno {
		return ""
	}
	return unix.ErrnoName(unix.Errno(n))
}

// Errno returns the name of error n, such as "ENOENT" for 2, or n as decimal text if it has no
// name.
func Errno(n int64) string {
	if name := errno(n); name != "" {
		return name
	}
	return strconv.FormatInt(n, 10)
}

// ErrnoOf returns the number of the error with the given name, and whether it exists.
func ErrnoOf(name string) (int64, bool) {
	for n := int64(1); n <= maxErrno; n++ {
		if name != "" && errno(n) == name {
			return n, true
		}
	}
	return 0, false
}

// ParseErrno is the inverse of Errno.
func ParseErrno(text string) (int64, bool) {
	if n, ok := ErrnoOf(text); ok {
		return n, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// Errnos returns the names of all errors.
func Errnos() []string {
	var out []string
	for n := int64(1); n <= maxErrno; n++ {
		if name := errno(n); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// Signal returns the number of the signal with the given name, such as 9 for "SIGKILL", and whether
// it exists.
func Signal(name string) (int64, bool) {
	n := unix.SignalNum(name)
	return int64(n), n != 0
}

// Signals returns the names of all signals.
func Signals() []string {
	var out []string
	for n := 1; n <= maxSignal; n++ {
		if name := unix.SignalName(unix.Signal(n)); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// CompatBit is set in the canonical number of a 32-bit system call that has no equivalent among the
// native ones.
const CompatBit = 1 << 32

// x32Bit marks the system call numbers of x32, the amd64 ABI with short pointers
// (arch/x86/include/uapi/asm/unistd.h). Its first 512 numbers are those of amd64; the system calls
// from 512 on have entry points of their own.
const (
	x32Bit   = 1 << 30
	firstX32 = 512
)

var x32 = [...]string{"rt_sigaction", "rt_sigreturn", "ioctl", "readv", "writev", "recvfrom", "sendmsg", "recvmsg", "execve", "ptrace",
	"rt_sigpending", "rt_sigtimedwait", "rt_sigqueueinfo", "sigaltstack", "timer_create", "mq_notify", "kexec_load", "waitid",
	"set_robust_list", "get_robust_list", "vmsplice", "move_pages", "preadv", "pwritev", "rt_tgsigqueueinfo", "recvmmsg", "sendmmsg",
	"process_vm_readv", "process_vm_writev", "setsockopt", "getsockopt", "io_setup", "io_submit", "execveat", "preadv2", "pwritev2"}

// Canonical returns one number for a system call, whichever ABI it was called through: calls with
// the same name have the same canonical number. compat reports whether the caller is a 32-bit
// program, whose ABI has numbers of its own.
func Canonical(n int64, compat bool) int64 {
	if compat {
		if n >= 0 && n < int64(len(compatNames)) {
			if same, ok := native(compatNames[n]); ok {
				return same
			}
		}
		return n | CompatBit
	}
	first, size := X32()
	switch i := n - first; {
	case i < 0 || i >= size:
		return n
	case i < firstX32:
		return i
	default:
		same, _ := native(x32[i-firstX32])
		return same
	}
}

// X32 returns the first number of x32 and how many numbers follow. Both are 0 if the architecture
// has no such ABI.
func X32() (first, size int64) {
	if runtime.GOARCH != "amd64" {
		return 0, 0
	}
	return x32Bit, firstX32 + int64(len(x32))
}

// Compat32 is the number of entries for 32-bit programs in the table that CanonicalTable returns.
// The entries for x32 follow.
const Compat32 = 512

// CanonicalTable returns the canonical numbers of the first Compat32 system calls of 32-bit
// programs, followed, on amd64, by those of the x32 system calls.
func CanonicalTable() []uint64 {
	var out []uint64
	for n := range int64(Compat32) {
		out = append(out, uint64(Canonical(n, true)))
	}
	first, size := X32()
	for n := range size {
		out = append(out, uint64(Canonical(first+n, false)))
	}
	return out
}

// Syscall returns the name of the system call with the canonical number n, such as "read". Without
// a name, it returns a text with the number, such as "syscall 999".
func Syscall(n int64) string {
	switch {
	case n >= 0 && n < int64(len(syscalls)) && syscalls[n] != "":
		return syscalls[n]
	case n>>32 == 1 && n-CompatBit < int64(len(compatNames)) && compatNames[n-CompatBit] != "":
		return compatNames[n-CompatBit]
	case n>>32 == 1:
		return compatPrefix + strconv.FormatInt(n-CompatBit, 10)
	}
	return syscallPrefix + strconv.FormatInt(n, 10)
}

// Prefixes of system call numbers that have no name.
const (
	syscallPrefix = "syscall "
	compatPrefix  = "32-bit syscall "
)

// SyscallOf returns the canonical number of the system call with the given name, and whether it
// exists.
func SyscallOf(name string) (int64, bool) {
	if n, ok := native(name); ok {
		return n, true
	}
	if n := slices.Index(compatNames[:], name); n >= 0 && name != "" {
		return int64(n) | CompatBit, true
	}
	return 0, false
}

// ParseSyscall is the inverse of Syscall.
func ParseSyscall(text string) (int64, bool) {
	if n, ok := SyscallOf(text); ok {
		return n, true
	}
	for prefix, bit := range map[string]int64{syscallPrefix: 0, compatPrefix: CompatBit} {
		if num, ok := strings.CutPrefix(text, prefix); ok {
			n, err := strconv.ParseInt(num, 10, 64)
			return n | bit, err == nil
		}
	}
	return 0, false
}

func native(name string) (int64, bool) {
	n := slices.Index(syscalls[:], name)
	return int64(n), n >= 0 && name != ""
}

// eventNames maps tracepoint names to system call names where they differ: these tracepoints are
// named after the function in the kernel.
var eventNames = map[string]string{"newstat": "stat", "newfstat": "fstat", "newlstat": "lstat", "newfstatat": "fstatat", "newuname": "uname", "sendfile64": "sendfile",
	"umount": "umount2"}

// EventSyscall returns the native number of the system call whose tracepoints are sys_enter_NAME
// and sys_exit_NAME, and whether it exists.
func EventSyscall(name string) (int64, bool) {
	if n, ok := native(name); ok {
		return n, true
	}
	return native(eventNames[name])
}

// Syscalls returns the names of all native system calls.
func Syscalls() []string {
	return slices.DeleteFunc(slices.Clone(syscalls[:]), func(name string) bool { return name == "" })
}
