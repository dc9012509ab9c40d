package kmap

import (
	"errors"

	"github.com/bpfrepl/bpfrepl/internal/hugepage"
)

// Snapshot contains the N keys of a map and their values. Every key is unique. A snapshot is not
// taken at a single instant: a key that was added or deleted during the read may or may not be in
// it, and values are as they were when their bucket was read. Close frees the memory.
type Snapshot struct {
	N         int
	KeySize   int // bytes
	ValueSize int // bytes per key, for the values of all CPUs together
	chunks    []*chunk
}

// A chunk is a buffer of elements: keys one after another, and values in the same order.
type chunk struct {
	keys, values []byte // their lengths are the capacity
	n            int
	borrowed     bool // the memory belongs to another chunk
}

// offHeap is the size in bytes from which a buffer is allocated outside the Go heap (package
// hugepage). On the heap, it would count towards garbage collection, and its memory would have to
// be zeroed again for reuse.
const offHeap = 1 << 20

// Key returns the i-th key, 0 <= i < N. The slice is valid until Close.
func (s *Snapshot) Key(i int) []byte {
	p, i := s.at(i)
	return p.keys[i*s.KeySize : (i+1)*s.KeySize]
}

// Value returns the i-th value. The slice is valid until Close.
func (s *Snapshot) Value(i int) []byte {
	p, i := s.at(i)
	return p.values[i*s.ValueSize : (i+1)*s.ValueSize]
}

func (s *Snapshot) at(i int) (*chunk, int) {
	for _, p := range s.chunks {
		if i < p.n {
			return p, i
		}
		i -= p.n
	}
	panic("bpf: index past the end of a snapshot")
}

// Close frees the memory. Slices returned by Key and Value are no longer valid.
func (s *Snapshot) Close() error {
	var errs []error
	for _, p := range s.chunks {
		errs = append(errs, p.close())
	}
	s.N, s.chunks = 0, nil
	return errors.Join(errs...)
}

// grow makes room for room elements.
func (p *chunk) grow(room, keySize, valueSize int) error {
	keys, err := allocBuffer(room * keySize)
	if err != nil {
		return err
	}
	values, err := allocBuffer(room * valueSize)
	if err != nil {
		return errors.Join(err, freeBuffer(keys))
	}
	copy(keys, p.keys[:p.n*keySize])
	copy(values, p.values[:p.n*valueSize])
	old := *p
	p.keys, p.values, p.borrowed = keys, values, false
	return old.close()
}

// tail returns a chunk that borrows the room after the first n elements.
func (p *chunk) tail(n, keySize, valueSize int) chunk {
	return chunk{keys: p.keys[n*keySize:], values: p.values[n*valueSize:], borrowed: true}
}

func (p *chunk) close() error {
	if p.borrowed {
		return nil
	}
	return errors.Join(freeBuffer(p.keys), freeBuffer(p.values))
}

func allocBuffer(n int) ([]byte, error) {
	if n < offHeap {
		return make([]byte, n), nil
	}
	return hugepage.Alloc(n)
}

func freeBuffer(b []byte) error {
	if len(b) < offHeap {
		return nil
	}
	return hugepage.Free(b)
}
