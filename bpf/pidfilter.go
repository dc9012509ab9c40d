package bpf

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// PIDFilter says who limits a kind of probe to one process.
type PIDFilter uint8

const (
	FilterInProgram   PIDFilter = iota // the kernel cannot, or not well enough: the handler has to look whose event it is
	FilterInKernel                     // AttachOptions.PID does
	FilterUnsupported                  // nobody: its events are no process's, but bpfrepl's own
)

// PIDFilter tells who limits a probe of the target to one process.
func (t Target) PIDFilter(k *sys.Kernel) PIDFilter {
	if p := findProvider(t.Kind); p != nil && p.pidFilter != nil {
		return p.pidFilter(k)
	}
	return FilterInProgram
}

func filterInKernel(*sys.Kernel) PIDFilter { return FilterInKernel }

func filterUnsupported(*sys.Kernel) PIDFilter { return FilterUnsupported }

// filterInKernelIf gives the answer of a kind that kernels limit which have something; the handler does it on the others.
func filterInKernelIf(have func(*sys.Kernel) bool) func(*sys.Kernel) PIDFilter {
	return func(k *sys.Kernel) PIDFilter {
		if have(k) {
			return FilterInKernel
		}
		return FilterInProgram
	}
}

var (
	// perf events of returns run for every process in which anything has put a breakpoint there; multi links look
	// (kernel/trace/trace_uprobe.c: uretprobe_perf_func)
	filterUretprobe = filterInKernelIf(func(k *sys.Kernel) bool { return k.HaveUprobeMulti(true) })
	filterPerf      = filterInKernelIf((*sys.Kernel).HaveInheritThread)
	filterIter      = filterInKernelIf((*sys.Kernel).HaveIterProcess)
)

// checkProcess gives an *AttachError where a target is to be limited to a process that has ended. The kernel says so itself where it limits.
func checkProcess(t Target, pid int) error {
	k, err := sys.Running()
	if err != nil || pid == 0 || t.PIDFilter(k) != FilterInProgram {
		return err
	}
	if err := unix.Kill(pid, 0); errors.Is(err, unix.ESRCH) {
		return attachError(t, err)
	}
	return nil
}

// PIDNamespace is a namespace of process ids: where its file is, as the kernel compares them.
type PIDNamespace struct{ Dev, Ino uint64 }

// initPIDNamespace is the inode of the machine's own (PROC_PID_INIT_INO, include/linux/proc_ns.h).
const initPIDNamespace = 0xEFFFFFFC

// OwnPIDNamespace gives the namespace that this process is in; nil: the machine's own.
func OwnPIDNamespace() (*PIDNamespace, error) { return pidNamespace("/proc/self/ns/pid") }

// PIDNamespaceOf gives the namespace of a process; nil: the machine's own.
func PIDNamespaceOf(pid int) (*PIDNamespace, error) {
	return pidNamespace(fmt.Sprintf("/proc/%d/ns/pid", pid))
}

func pidNamespace(path string) (*PIDNamespace, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, fmt.Errorf("find the namespace of process ids: %w", &os.PathError{Op: "stat", Path: path, Err: err})
	}
	if st.Ino == initPIDNamespace {
		return nil, nil
	}
	// the kernel's dev_t has the major number above 20 bits (include/linux/kdev_t.h)
	return &PIDNamespace{Dev: uint64(unix.Major(st.Dev))<<20 | uint64(unix.Minor(st.Dev)), Ino: st.Ino}, nil
}
