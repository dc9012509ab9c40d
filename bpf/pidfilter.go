package bpf

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// checkProcess returns an *AttachError if a target is to be limited to a process that has ended. If
// the kernel does the limiting, it reports that itself.
func checkProcess(t Target, pid int) error {
	k, err := sys.Running()
	if err != nil || pid == 0 || t.PIDFilter(k) != FilterInProgram {
		return err
	}
	if err := unix.Kill(pid, 0); errors.Is(err, unix.ESRCH) {
		return NewAttachError(t, err)
	}
	return nil
}

// PIDNamespace identifies a PID namespace by the device and inode of its file, as the kernel
// compares them.
type PIDNamespace struct{ Dev, Ino uint64 }

// initPIDNamespace is the inode of the initial namespace (PROC_PID_INIT_INO,
// include/linux/proc_ns.h).
const initPIDNamespace = 0xEFFFFFFC

// OwnPIDNamespace returns the PID namespace of this process, or nil if it is the initial one.
func OwnPIDNamespace() (*PIDNamespace, error) { return pidNamespace("/proc/self/ns/pid") }

// PIDNamespaceOf returns the PID namespace of a process, or nil if it is the initial one.
func PIDNamespaceOf(pid int) (*PIDNamespace, error) {
	return pidNamespace(fmt.Sprintf("/proc/%d/ns/pid", pid))
}

func pidNamespace(path string) (*PIDNamespace, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, fmt.Errorf("find the PID namespace: %w", &os.PathError{Op: "stat", Path: path, Err: err})
	}
	if st.Ino == initPIDNamespace {
		return nil, nil
	}
	// The kernel's dev_t has the major number above 20 bits (include/linux/kdev_t.h).
	return &PIDNamespace{Dev: uint64(unix.Major(st.Dev))<<20 | uint64(unix.Minor(st.Dev)), Ino: st.Ino}, nil
}
