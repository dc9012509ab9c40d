package tools

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The test binary is also the program that the tools trace: TEST load NAME ARGS. It makes its
// system calls from one thread, which has the name in the environment variable loadName.
const (
	loadArg  = "load"
	loadName = "TOOLS_LOAD_COMM"
)

// loads are the loads by name. Each gets the arguments as numbers.
var loads = map[string]func(n ...int) error{
	"kill": loadKill,
}

// runLoad runs a load and exits.
func runLoad(name string, args []string) {
	runtime.LockOSThread()
	err := func() error {
		b, err := unix.BytePtrFromString(os.Getenv(loadName))
		if err != nil {
			return err
		}
		if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(b)), 0, 0, 0); err != nil {
			return err
		}
		var n []int
		for _, a := range args {
			i, err := strconv.Atoi(a)
			if err != nil {
				return err
			}
			n = append(n, i)
		}
		load, ok := loads[name]
		if !ok {
			return fmt.Errorf("no load %q", name)
		}
		return load(n...)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// loadKill sends itself n[0] signals by each of three calls, and fails n[0] times to send one.
func loadKill(n ...int) error {
	pid := os.Getpid()
	for range n[0] {
		if err := unix.Kill(pid, unix.SIGWINCH); err != nil {
			return err
		}
		if err := unix.Tgkill(pid, pid, unix.SIGWINCH); err != nil {
			return err
		}
		if _, _, e := unix.RawSyscall(unix.SYS_TKILL, uintptr(pid), uintptr(unix.SIGWINCH), 0); e != 0 {
			return e
		}
		if err := unix.PidfdSendSignal(-1, 0, nil, 0); err != unix.EBADF {
			return fmt.Errorf("pidfd_send_signal: %v, want EBADF", err)
		}
	}
	return nil
}
