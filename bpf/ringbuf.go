package bpf

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// Ring is a ring buffer that programs send records through (5.8). One goroutine reads it.
type Ring struct {
	m  *Map
	rd *ringbuf.Reader
}

// NewRing makes a ring buffer of size bytes, a power of two and of the page size.
func NewRing(size int) (*Ring, error) {
	m, err := NewMap(MapSpec{Name: "ring", Type: ebpf.RingBuf, MaxEntries: uint32(size)})
	if err != nil {
		return nil, err
	}
	rd, err := ringbuf.NewReader(m.raw)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the ring buffer: %w", err), m.Close())
	}
	return &Ring{m, rd}, nil
}

// Map gives the map that programs send to.
func (r *Ring) Map() *Map { return r.m }

// ErrDrained is what Read gives when all is read that was there when Drain was called.
var ErrDrained = ringbuf.ErrFlushed

// ErrDeadline is what Read gives when the deadline is over and nothing is left to read.
var ErrDeadline = os.ErrDeadlineExceeded

// ErrClosed is what Read gives when the ring is closed.
var ErrClosed = os.ErrClosed

// Read waits for a record and gives it. The bytes are valid until the next Read. The error is ErrDrained after a Drain,
// ErrClosed after Close.
func (r *Ring) Read(rec *ringbuf.Record) ([]byte, error) {
	if err := r.rd.ReadInto(rec); err != nil {
		return nil, err
	}
	return rec.RawSample, nil
}

// SetDeadline bounds the waiting of Read; the zero time means no bound.
func (r *Ring) SetDeadline(t time.Time) { r.rd.SetDeadline(t) }

// Drain makes Read return ErrDrained as soon as the ring is empty.
func (r *Ring) Drain() error { return r.rd.Flush() }

// Close lets the ring go; a waiting Read returns.
func (r *Ring) Close() error { return errors.Join(r.rd.Close(), r.m.Close()) }
