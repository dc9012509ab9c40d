package bpf

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// inheritThread makes new threads inherit a perf event, but not new processes (5.13).
const inheritThread = 1 << 35

// AttachPerf is Driver.Attach for kinds whose programs are attached to perf events of CPUs. It
// opens a perf event on every CPU that is online or comes online or, with oneCPU, on a single one.
// For one process, it opens an event on each of its threads, which new threads inherit.
func AttachPerf(t Target, attr unix.PerfEventAttr, oneCPU bool, p *Program, o AttachOptions) (*Attachment, error) {
	attr.Size, attr.Bits = uint32(unsafe.Sizeof(attr)), unix.PerfBitDisabled
	a := &Attachment{Target: t}
	open := func(pid, cpu int) ([]int, error) {
		ev, err := unix.PerfEventOpen(&attr, pid, cpu, -1, sys.PerfFlagCloseExec)
		if err != nil {
			return nil, err
		}
		return AttachToEvent(ev, p, o.Cookie)
	}
	if o.PID != 0 {
		err := eachThread(o.PID, &attr, func(tid int) error {
			fds, err := open(tid, -1)
			a.FDs = append(a.FDs, fds...)
			return err
		})
		if err != nil {
			return nil, errors.Join(NewAttachError(t, err), a.Close())
		}
		return a, nil
	}
	attr.Read_format = unix.PERF_FORMAT_TOTAL_TIME_ENABLED // lets the cpuWatcher detect dead events
	f, err := watchCPUs(t, oneCPU, func(cpu int) ([]int, error) { return open(-1, cpu) }, o.OnHotplug)
	if err != nil {
		return nil, NewAttachError(t, err)
	}
	a.AtClose = f.close
	return a, nil
}

// eachThread calls open for each current thread of a process. New threads inherit the events of the
// thread that starts them.
func eachThread(pid int, attr *unix.PerfEventAttr, open func(tid int) error) error {
	k, err := sys.Running()
	if err != nil {
		return err
	}
	attr.Bits |= unix.PerfBitInherit
	if k.HaveInheritThread() {
		attr.Bits |= inheritThread
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return unix.ESRCH
	}
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		if err != nil {
			return fmt.Errorf("list the threads of process %d: %w", pid, err)
		}
		if err := open(tid); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}
