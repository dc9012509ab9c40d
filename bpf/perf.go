package bpf

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inheritThread makes a perf event follow into new threads only, not into new processes (5.13).
const inheritThread = 1 << 35

// attachPerf opens a perf event on every CPU that is online, or on the first of them; or, for one process, on each of its
// threads, from where it follows into those that they start.
func attachPerf(t Target, attr unix.PerfEventAttr, p *Program, o AttachOptions) (*Attachment, error) {
	attr.Size, attr.Bits = uint32(unsafe.Sizeof(attr)), unix.PerfBitDisabled
	a := &Attachment{Target: t}
	open := func(pid, cpu int) error {
		ev, err := unix.PerfEventOpen(&attr, pid, cpu, -1, perfFlagCloseExec)
		if err != nil {
			return err
		}
		fds, err := attachToEvent(ev, p, o.Cookie)
		a.fds = append(a.fds, fds...)
		return err
	}
	var err error
	if o.PID != 0 {
		err = eachThread(o.PID, &attr, func(tid int) error { return open(tid, -1) })
	} else {
		var cpus []int
		if cpus, err = OnlineCPUs(); err == nil && o.oneCPU {
			cpus = cpus[:1]
		}
		for _, cpu := range cpus {
			if err = open(-1, cpu); err != nil {
				break
			}
		}
	}
	if err != nil {
		return nil, errors.Join(refused(t, err), a.Close())
	}
	return a, nil
}

// eachThread opens an event on each thread that a process has now; it goes over to those that they start.
func eachThread(pid int, attr *unix.PerfEventAttr, open func(tid int) error) error {
	k, err := Running()
	if err != nil {
		return err
	}
	attr.Bits |= unix.PerfBitInherit
	if k.AtLeast(5, 13) {
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
