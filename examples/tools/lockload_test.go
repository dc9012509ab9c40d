package tools

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Loads that wait: for locks of programs and of the kernel, and for a thread.

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

// held is for how long loadMutex lets a thread wait for a mutex, at least.
const held = 5 * time.Millisecond

// Numbers of userfaultfd(2).
const (
	uffdAPI       = 0xaa
	uffdioAPI     = 0xc018aa3f
	uffdioReg     = 0xc020aa00
	uffdioZero    = 0xc020aa04
	uffdioMissing = 1
	uffdPagefault = 0x12
)

// loadMutex writes 2*n[0] times to a pipe, whose mutex a writer holds while it reads the memory to
// write. For every other write this memory is a page that the load provides when the next writer
// waits for the mutex.
func loadMutex(n ...int) error {
	page := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	start := uint64(uintptr(unsafe.Pointer(&mem[0])))
	uffd, _, e := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	if e != 0 {
		return fmt.Errorf("userfaultfd: %w", e)
	}
	ioctl := func(nr uintptr, arg *[4]uint64) error {
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uffd, nr, uintptr(unsafe.Pointer(arg))); e != 0 {
			return fmt.Errorf("ioctl %#x of userfaultfd: %w", nr, e)
		}
		return nil
	}
	if err := errors.Join(ioctl(uffdioAPI, &[4]uint64{uffdAPI}), ioctl(uffdioReg, &[4]uint64{start, uint64(page), uffdioMissing})); err != nil {
		return err
	}
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		return err
	}
	done := make(chan error)
	write := func(b []byte, tid chan<- int) {
		runtime.LockOSThread()
		tid <- unix.Gettid()
		_, err := unix.Write(pipe[1], b)
		done <- err
	}
	for range n[0] {
		if err := unix.Madvise(mem, unix.MADV_DONTNEED); err != nil {
			return err
		}
		tid := make(chan int)
		go write(mem[:1], tid)
		<-tid
		var msg [32]byte
		if size, err := unix.Read(int(uffd), msg[:]); err != nil || size != len(msg) || msg[0] != uffdPagefault {
			return fmt.Errorf("read %d bytes of userfaultfd: %w", size, err)
		}
		go write([]byte("x"), tid)
		if err := waitBlocked(<-tid); err != nil {
			return err
		}
		time.Sleep(held)
		if err := ioctl(uffdioZero, &[4]uint64{start, uint64(page)}); err != nil {
			return err
		}
		if err := errors.Join(<-done, <-done); err != nil {
			return err
		}
	}
	return nil
}

// waitBlocked returns when a thread of this process sleeps and no signal can wake it.
func waitBlocked(tid int) error {
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", tid))
		if err != nil {
			return err
		}
		if bytes.Contains(stat, []byte(") D ")) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

var numbers = make(chan int)

// sendNumber is what loadGoroutines starts.
func sendNumber() { numbers <- 1 }

// loadGoroutines starts n[0] goroutines, each after the end of the one before.
func loadGoroutines(n ...int) error {
	runtime.GOMAXPROCS(1) // there is always one that can run and waits
	for range n[0] {
		go sendNumber()
		<-numbers
	}
	return nil
}
