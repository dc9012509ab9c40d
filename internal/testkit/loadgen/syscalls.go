package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// calls makes n system calls. args has the number of the call, then its arguments.
func calls(n int, args []string) error {
	var a [7]uintptr
	if len(args) > len(a) {
		return fmt.Errorf("a system call has at most six arguments")
	}
	for i, text := range args {
		v, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			return err
		}
		a[i] = uintptr(v)
	}
	for range n {
		unix.RawSyscall6(a[0], a[1], a[2], a[3], a[4], a[5], a[6])
	}
	return nil
}

// calls32 makes n calls of the given 32-bit system call, without arguments.
func calls32(n, number int) {
	for range n {
		int80(uintptr(number), 0, 0, 0)
	}
}

// everyMark is the last argument of the calls that everyCall's filter lets fail.
const everyMark = 0x77777777

// everyError is the error of system call 0; system call i fails with everyError + i. The kernel
// itself uses none of these error numbers.
const everyError = 1000

// everyCall makes each system call from 0 to n-1 once. None of them has an effect, because a
// seccomp filter ends each with an error number of its own.
func everyCall(n int) error {
	const number, lastArg = 0, 16 + 5*8 // offsets in struct seccomp_data
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: lastArg},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 4, K: everyMark},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K, K: everyError},
		{Code: unix.BPF_ALU | unix.BPF_OR | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO},
		{Code: unix.BPF_RET | unix.BPF_A},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	for i := range n {
		if runtime.GOARCH == "amd64" && (i == 335 || i == 336) {
			continue // seccomp does not filter uretprobe and uprobe, which kill a caller outside a probe
		}
		if _, _, errno := unix.RawSyscall6(uintptr(i), 0, 0, 0, 0, 0, everyMark); int(errno) != everyError+i {
			return fmt.Errorf("system call %d gave the error %d", i, errno)
		}
	}
	return nil
}
