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

// RingBuf is a ring buffer through which programs send records (5.8). Only one goroutine may read
// it.
type RingBuf struct {
	m    *Map
	rd   *ringbuf.Reader
	read []byte // mapped page with the reader's position
	sent []byte // mapped page with the programs' position
	wake int    // eventfd that ends Await
}

// NewRingBuf creates a ring buffer of size bytes, which must be a power of two and a multiple of
// the page size.
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

// Map returns the map to which programs send records.
func (r *RingBuf) Map() *Map { return r.m }

// ErrWoken is returned by Read after Wake.
var ErrWoken = ringbuf.ErrFlushed

// ErrDeadline is returned by Read if the deadline has passed and no record is left.
var ErrDeadline = os.ErrDeadlineExceeded

// ErrClosed is returned by Read if the ring buffer is closed.
var ErrClosed = os.ErrClosed

// Read waits for a record and returns it. The slice is valid until the next Read. The error is
// ErrWoken after Wake, ErrDeadline after the deadline, and ErrClosed after Close. While records are
// available, Read returns them regardless of the deadline; see Written.
func (r *RingBuf) Read(rec *ringbuf.Record) ([]byte, error) {
	if err := r.rd.ReadInto(rec); err != nil {
		return nil, err
	}
	return rec.RawSample, nil
}

// SetDeadline sets the deadline of Read. The zero time means no deadline. It must be called by the
// goroutine that reads.
func (r *RingBuf) SetDeadline(t time.Time) { r.rd.SetDeadline(t) }

// Await returns when a record can be read, or after Wake. It may be called by a goroutine other
// than the reading one.
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

// Wake makes a waiting Read return ErrWoken, and a waiting Await return.
func (r *RingBuf) Wake() error {
	_, err := unix.Write(r.wake, binary.NativeEndian.AppendUint64(nil, 1))
	return errors.Join(err, r.rd.Flush())
}

// Written returns the position up to which programs have written. It only grows, by the size of
// each record in bytes. Once Passed(position) is true, everything recorded before the call of
// Written has been read, although more may have been recorded since.
func (r *RingBuf) Written() uint64 { return position(r.sent) }

// Passed reports whether the reader has read up to a position.
func (r *RingBuf) Passed(written uint64) bool { return r.Left(written) == 0 }

// Left returns the number of bytes before a position that have not been read.
func (r *RingBuf) Left(written uint64) uint64 {
	if read := position(r.read); read < written {
		return written - read
	}
	return 0
}

// Empty reports whether everything recorded has been read.
func (r *RingBuf) Empty() bool { return r.Passed(r.Written()) }

// position reads a position, which is an unsigned long at the start of its page
// (kernel/bpf/ringbuf.c: struct bpf_ringbuf).
func position(page []byte) uint64 {
	return uint64(atomic.LoadUintptr((*uintptr)(unsafe.Pointer(&page[0]))))
}

// Close closes the ring buffer and makes a waiting Read return. Written and Passed must not be
// called afterwards.
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
