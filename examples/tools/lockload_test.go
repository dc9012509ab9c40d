package tools

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// futexAddress is where loadFutex has its lock. Nothing else is mapped there.
const futexAddress = 0x200000000000

// Operations of futex(2), with FUTEX_PRIVATE_FLAG.
const (
	futexWait = 0 | 128
	futexWake = 1 | 128
)

// loadFutex waits n[0] times for another thread to wake it, as often until a time is over, and as
// often not at all, because the value is another one.
func loadFutex(n ...int) error {
	// Linux maps a hint's address if it is free.
	p, _, e := unix.Syscall6(unix.SYS_MMAP, futexAddress, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uintptr(0), 0)
	if e != 0 || p != futexAddress {
		return fmt.Errorf("map the page %#x: %w", futexAddress, e)
	}
	futex := func(op, val uintptr, timeout *unix.Timespec) (uintptr, unix.Errno) {
		r, _, e := unix.Syscall6(unix.SYS_FUTEX, p, op, val, uintptr(unsafe.Pointer(timeout)), 0, 0)
		return r, e
	}
	done := make(chan error)
	go func() {
		for range n[0] {
			for { // until the other thread waits
				if r, e := futex(futexWake, 1, nil); e != 0 {
					done <- e
					return
				} else if r == 1 {
					break
				}
				time.Sleep(time.Millisecond)
			}
		}
		done <- nil
	}()
	for range n[0] {
		if _, e := futex(futexWait, 0, nil); e != 0 {
			return e
		}
	}
	if err := <-done; err != nil {
		return err
	}
	for range n[0] {
		if _, e := futex(futexWait, 0, &unix.Timespec{Nsec: 1e6}); e != unix.ETIMEDOUT {
			return fmt.Errorf("futex: %v, want ETIMEDOUT", e)
		}
		if _, e := futex(futexWait, 1, nil); e != unix.EAGAIN {
			return fmt.Errorf("futex: %v, want EAGAIN", e)
		}
	}
	return nil
}
