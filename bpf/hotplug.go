package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// A CPU that goes offline takes its perf events with it, and they stay dead when it comes back. A
// CPU that comes online has none. A cpuWatcher looks after the events of one attachment: when the
// kernel reports that a CPU came or went, it opens missing events and closes dead ones. Events on a
// new CPU are missed until then, which the user is told.

// A HotplugEvent reports that a per-CPU program was attached to a CPU that came online or, if Err
// is set, that a CPU came or went and the attachment could not follow.
type HotplugEvent struct {
	Target Target
	CPU    int
	Err    error
}

// cpuWatcher keeps a program attached to the CPUs that are online.
type cpuWatcher struct {
	target Target
	// one reports that a single CPU suffices. It is the first, which sleeps least (on some virtual
	// machines the clock of an idle CPU does not fire).
	one    bool
	open   func(cpu int) (fds []int, err error)
	notify func(HotplugEvent) // may be nil

	events *os.File
	done   chan struct{} // closed when the watching goroutine ends

	mu  sync.Mutex
	on  map[int][]int // descriptors by CPU; the last one is the perf event
	err error         // errors not yet reported
}

// watchCPUs opens events on the CPUs that are online, and follows CPUs that come and go.
func watchCPUs(t Target, one bool, open func(cpu int) ([]int, error), notify func(HotplugEvent)) (*cpuWatcher, error) {
	f := &cpuWatcher{target: t, one: one, open: open, notify: notify, on: map[int][]int{}, done: make(chan struct{})}
	// Listen before the first scan, so that no CPU is missed in between.
	events, err := listenToDevices()
	if err != nil {
		return nil, err
	}
	f.events = events
	if _, err := f.rescan(); err != nil {
		close(f.done)
		return nil, errors.Join(err, f.close())
	}
	go f.watch()
	return f, nil
}

// watch scans again whenever a CPU may have come or gone, until the socket is closed.
func (f *cpuWatcher) watch() {
	defer close(f.done)
	for {
		err := waitForCPU(f.events)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		came, lookErr := f.rescan()
		for _, cpu := range came {
			if !f.one { // with one, the event only moved
				f.report(HotplugEvent{f.target, cpu, nil})
			}
		}
		if lookErr != nil {
			f.report(HotplugEvent{f.target, -1, lookErr})
		}
		if err != nil {
			f.report(HotplugEvent{f.target, -1, err})
			return
		}
	}
}

// report passes the event to notify. Without notify, it keeps the error for close to return.
func (f *cpuWatcher) report(n HotplugEvent) {
	if f.notify != nil {
		f.notify(n)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = errors.Join(f.err, n.Err)
}

// rescan closes dead events and opens missing ones. It returns the CPUs on which it opened events.
func (f *cpuWatcher) rescan() (came []int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	online, err := sys.OnlineCPUs()
	if err != nil {
		return nil, err
	}
	for cpu, fds := range f.on {
		if slices.Contains(online, cpu) && eventAlive(fds[len(fds)-1]) {
			continue
		}
		err = errors.Join(err, closeFDs(fds))
		delete(f.on, cpu)
	}
	for _, cpu := range online {
		if f.on[cpu] != nil || f.one && len(f.on) > 0 {
			continue
		}
		fds, openErr := f.open(cpu)
		switch {
		case openErr == nil:
			f.on[cpu] = fds
			came = append(came, cpu)
		// Otherwise the CPU went offline again; the kernel reports when it comes back.
		case !errors.Is(openErr, unix.ENODEV) || onlineNow(cpu):
			return came, errors.Join(err, openErr)
		}
	}
	return came, err
}

func onlineNow(cpu int) bool {
	online, err := sys.OnlineCPUs()
	return err != nil || slices.Contains(online, cpu)
}

// eventAlive reports whether a perf event of a CPU still counts: its enabled time advances.
func eventAlive(event int) bool {
	before, err := enabledTime(event)
	if err != nil {
		return false
	}
	for range 10 { // two reads may fall into one tick of a coarse clock
		after, err := enabledTime(event)
		if err != nil {
			return false
		}
		if after != before {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

// enabledTime returns the enabled time of an event that was opened with
// PERF_FORMAT_TOTAL_TIME_ENABLED.
func enabledTime(event int) (uint64, error) {
	var b [16]byte
	if _, err := unix.Read(event, b[:]); err != nil {
		return 0, fmt.Errorf("read a perf event: %w", err)
	}
	return binary.NativeEndian.Uint64(b[8:]), nil
}

// close stops watching and closes the events.
func (f *cpuWatcher) close() error {
	err := f.events.Close()
	<-f.done
	f.mu.Lock()
	defer f.mu.Unlock()
	err = errors.Join(f.err, err)
	for _, fds := range f.on {
		err = errors.Join(err, closeFDs(fds))
	}
	f.on, f.err = nil, nil
	return err
}

func closeFDs(fds []int) error {
	var err error
	for _, fd := range fds {
		err = errors.Join(err, sys.CloseFD(fd))
	}
	return err
}

// listenToDevices opens the socket on which the kernel announces devices that come and go.
func listenToDevices() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("listen for CPUs that come online: %w", err)
	}
	const fromKernel = 1 // the kernel's own group; udev sends its events to another
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: fromKernel}); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for CPUs that come online: %w", err), sys.CloseFD(fd))
	}
	return os.NewFile(uintptr(fd), "uevents"), nil
}

// waitForCPU waits until the kernel reports a CPU, as in "online@/devices/system/cpu/cpu1".
func waitForCPU(events *os.File) error {
	var b [8192]byte
	for {
		n, err := events.Read(b[:])
		switch {
		case errors.Is(err, unix.ENOBUFS): // too many events, some of which were lost
			return nil
		case err != nil:
			return fmt.Errorf("listen for CPUs that come online: %w", err)
		case bytes.Contains(b[:n], []byte("@/devices/system/cpu/cpu")):
			return nil
		}
	}
}
