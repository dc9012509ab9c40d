package kmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// RingBuf is a ring buffer that programs send records through (5.8). One goroutine reads it.
type RingBuf struct {
	m    *Map
	rd   *ringbuf.Reader
	read []byte // the page with the position of the reader, mapped
	sent []byte // the page with the position of the programs
	wake int    // an eventfd that ends Await
}

// NewRingBuf makes a ring buffer of size bytes, a power of two and of the page size.
func NewRingBuf(size int) (*RingBuf, error) {
	m, err := New(Spec{Name: "ring", Type: ebpf.RingBuf, MaxEntries: uint32(size)})
	if err != nil {
		return nil, err
	}
	r := &RingBuf{m: m, wake: -1}
	if err := r.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the ring buffer: %w", err), r.Close())
	}
	return r, nil
}

func (r *RingBuf) open() (err error) {
	if r.rd, err = ringbuf.NewReader(r.m.raw); err != nil {
		return err
	}
	page := os.Getpagesize()
	if r.read, err = unix.Mmap(r.m.raw.FD(), 0, page, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return err
	}
	if r.sent, err = unix.Mmap(r.m.raw.FD(), int64(page), page, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return err
	}
	r.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	return err
}

// Map gives the map that programs send to.
func (r *RingBuf) Map() *Map { return r.m }

// ErrWoken is the error of a Read that Wake ended.
var ErrWoken = ringbuf.ErrFlushed

// ErrDeadline is what Read gives when the deadline is over and nothing is left to read.
var ErrDeadline = os.ErrDeadlineExceeded

// ErrClosed is what Read gives when the ring is closed.
var ErrClosed = os.ErrClosed

// Read waits for a record and gives it. The bytes are valid until the next Read. The error is ErrWoken after Wake, ErrClosed
// after Close. As long as records are there Read returns those, whatever the deadline: see Written.
func (r *RingBuf) Read(rec *ringbuf.Record) ([]byte, error) {
	if err := r.rd.ReadInto(rec); err != nil {
		return nil, err
	}
	return rec.RawSample, nil
}

// SetDeadline bounds the waiting of Read; the zero time means no bound. It is for the goroutine that reads.
func (r *RingBuf) SetDeadline(t time.Time) { r.rd.SetDeadline(t) }

// Await returns when there is a record to read, or after Wake. It may be called by another goroutine than the one that reads.
func (r *RingBuf) Await() error {
	fds := []unix.PollFd{{Fd: int32(r.m.raw.FD()), Events: unix.POLLIN}, {Fd: int32(r.wake), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for the ring buffer: %w", err)
	}
	if fds[1].Revents != 0 {
		if _, err := unix.Read(r.wake, make([]byte, 8)); err != nil && !errors.Is(err, unix.EAGAIN) {
			return err
		}
	}
	return nil
}

// Wake makes a Read that waits for a record return ErrWoken, and Await return.
func (r *RingBuf) Wake() error {
	_, err := unix.Write(r.wake, binary.NativeEndian.AppendUint64(nil, 1))
	return errors.Join(err, r.rd.Flush())
}

// Written returns the position up to which programs have written: it only grows, by the bytes of each record. All that was recorded
// before the call has been read when Passed(position) is true; more may have been recorded since, at any rate.
func (r *RingBuf) Written() uint64 { return position(r.sent) }

// Passed reports whether the reader has read up to a position.
func (r *RingBuf) Passed(written uint64) bool { return r.Left(written) == 0 }

// Left returns how many bytes lie before a position that the reader has not read.
func (r *RingBuf) Left(written uint64) uint64 {
	if read := position(r.read); read < written {
		return written - read
	}
	return 0
}

// Empty reports whether all is read that was recorded.
func (r *RingBuf) Empty() bool { return r.Passed(r.Written()) }

// position reads a position, an unsigned long at the start of its page (kernel/bpf/ringbuf.c: struct bpf_ringbuf).
func position(page []byte) uint64 {
	return uint64(atomic.LoadUintptr((*uintptr)(unsafe.Pointer(&page[0]))))
}

// Close lets the ring go; a waiting Read returns. Written and Passed must not be called any more.
func (r *RingBuf) Close() error {
	var errs []error
	if r.rd != nil {
		errs = append(errs, r.rd.Close())
	}
	for _, page := range [][]byte{r.read, r.sent} {
		if page != nil {
			errs = append(errs, unix.Munmap(page))
		}
	}
	if r.wake >= 0 {
		errs = append(errs, unix.Close(r.wake))
	}
	r.read, r.sent, r.wake = nil, nil, -1
	return errors.Join(append(errs, r.m.Close())...)
}
