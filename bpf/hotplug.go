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

// A CPU that goes off takes its perf events with it, and they stay dead when it comes back; one that comes online has none.
// A follower looks after the events of one attachment: when the kernel tells that a CPU came or went, it opens events where
// they are missing and closes the dead. Between a CPU's coming and that lies a moment, of which the user is told.

// A HotplugEvent tells that a program which is attached to all CPUs was attached to one more, which came online; or, with Err, that a
// CPU came or went and this did not work.
type HotplugEvent struct {
	Target Target
	CPU    int
	Err    error
}

// cpuWatcher keeps a program on the CPUs that are online.
type cpuWatcher struct {
	target Target
	one    bool // one CPU suffices: the first, which sleeps least (on some virtual machines the clock of an idle CPU does not fire)
	open   func(cpu int) (fds []int, err error)
	notify func(HotplugEvent) // may be nil

	events *os.File
	done   chan struct{} // is closed when nobody waits for events any more

	mu  sync.Mutex
	on  map[int][]int // the descriptors by CPU; the last is the perf event
	err error         // what was not told
}

// watchCPUs opens events on the CPUs that are online, and goes on to do so.
func watchCPUs(t Target, one bool, open func(cpu int) ([]int, error), told func(HotplugEvent)) (*cpuWatcher, error) {
	f := &cpuWatcher{target: t, one: one, open: open, notify: told, on: map[int][]int{}, done: make(chan struct{})}
	events, err := listenToDevices() // from before the first look, lest a CPU comes in between
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

// watch looks again whenever a CPU may have come or gone, until the events are closed.
func (f *cpuWatcher) watch() {
	defer close(f.done)
	for {
		err := waitForCPU(f.events)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		came, lookErr := f.rescan()
		for _, cpu := range came {
			if !f.one { // it moved
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

// report tells of a CPU; an error that nobody wants to hear now comes out at the end.
func (f *cpuWatcher) report(n HotplugEvent) {
	if f.notify != nil {
		f.notify(n)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = errors.Join(f.err, n.Err)
}

// rescan closes dead events and opens what is missing. came are the CPUs on which it opened some.
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
		case !errors.Is(openErr, unix.ENODEV) || onlineNow(cpu): // else it went off again; the kernel tells when it comes back
			return came, errors.Join(err, openErr)
		}
	}
	return came, err
}

func onlineNow(cpu int) bool {
	online, err := sys.OnlineCPUs()
	return err != nil || slices.Contains(online, cpu)
}

// eventAlive says whether a perf event of a CPU still counts: the time for which it was enabled goes on.
func eventAlive(event int) bool {
	before, err := enabledTime(event)
	if err != nil {
		return false
	}
	for range 10 { // two readings may fall into one tick of a coarse clock
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

// enabledTime reads an event that was opened with PERF_FORMAT_TOTAL_TIME_ENABLED.
func enabledTime(event int) (uint64, error) {
	var b [16]byte
	if _, err := unix.Read(event, b[:]); err != nil {
		return 0, fmt.Errorf("read a perf event: %w", err)
	}
	return binary.NativeEndian.Uint64(b[8:]), nil
}

// close ends the following, and closes the events.
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

// listenToDevices opens the socket on which the kernel tells of devices that come and go.
func listenToDevices() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("listen for CPUs that come online: %w", err)
	}
	const fromKernel = 1 // the group; what udev makes of it goes to another
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: fromKernel}); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for CPUs that come online: %w", err), sys.CloseFD(fd))
	}
	return os.NewFile(uintptr(fd), "uevents"), nil
}

// waitForCPU waits until the kernel tells of a CPU: "online@/devices/system/cpu/cpu1".
func waitForCPU(events *os.File) error {
	var b [8192]byte
	for {
		n, err := events.Read(b[:])
		switch {
		case errors.Is(err, unix.ENOBUFS): // there were too many, of which some are lost
			return nil
		case err != nil:
			return fmt.Errorf("listen for CPUs that come online: %w", err)
		case bytes.Contains(b[:n], []byte("@/devices/system/cpu/cpu")):
			return nil
		}
	}
}
