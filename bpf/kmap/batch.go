package kmap

import (
	"context"
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// A reader reads a map in batches, from one position to another or to the end.
type reader struct {
	m                  *Map
	chunk              *chunk // destination
	room               int    // capacity of chunk, in elements
	keySize, valueSize int
	count              int // number of elements to request next
	// from is the position of the next batch: a u32 for hashes, a key for arrays, nil for the
	// beginning.
	from  []byte
	ended bool // the end of the map has been reached
	last  int  // index of the first element of the last batch
}

func (m *Map) newReader(p *chunk) *reader {
	return &reader{m: m, chunk: p, keySize: int(m.spec.KeySize), valueSize: m.valueSize, count: min(sys.BatchFirst, int(m.spec.MaxEntries))}
}

// next reads a batch. If a bucket is larger than the requested batch, it requests more.
func (r *reader) next(ctx context.Context) error {
	m, p := r.m, r.chunk
	to := make([]byte, max(r.keySize, 4))
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if p.n+r.count > r.room {
			// Doubling keeps the memory proportional to the number of keys in the map, not to its
			// capacity.
			r.room = min(max(2*r.room, p.n+r.count), max(int(m.spec.MaxEntries), p.n+r.count))
			if err := p.grow(r.room, r.keySize, r.valueSize); err != nil {
				return m.failed("read", err)
			}
		}
		attr := sys.BatchAttr{Out: sys.BytePointer(to), FD: uint32(m.raw.FD()), Count: uint32(r.count), Keys: sys.BytePointer(p.keys[p.n*r.keySize:]), Values: sys.BytePointer(p.values[p.n*r.valueSize:])}
		if r.from != nil {
			attr.In = sys.BytePointer(r.from)
		}
		_, err := sys.BPF(sys.CmdMapLookupBatch, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
		runtime.KeepAlive(to)
		runtime.KeepAlive(r.from)
		switch {
		case err == nil, errors.Is(err, unix.ENOENT): // ENOENT: the last batch
			r.from, r.ended, r.last = to, err != nil, p.n
			p.n += int(attr.Count)
			r.count = min(max(2*r.count, sys.BatchFirst), sys.BatchMost)
			if m.spec.MaxEntries < uint32(sys.BatchMost) {
				r.count = min(r.count, max(int(m.spec.MaxEntries)-p.n, 64))
			}
			return nil
		case errors.Is(err, unix.ENOSPC): // a bucket is larger than the batch
			r.count *= 2
			if r.count > int(m.spec.MaxEntries)+sys.BatchMost {
				return m.failed("read", err)
			}
		// Another task holds the bucket lock on this CPU for a moment (from 6.1). The kernel kept
		// nothing of this batch.
		case errors.Is(err, unix.EBUSY):
		case errors.Is(err, sys.ErrnoNotSupported), errors.Is(err, unix.EINVAL):
			return err
		default:
			return m.failed("read", err)
		}
	}
}
