package kmap

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/hugepage"
)

// Snapshot is what a map held: N keys, and the values of each. No key is in it twice. It is no instant: a key that came or
// went meanwhile may be in it or not, and values are as they were when their bucket was read. Close frees it.
type Snapshot struct {
	N         int
	KeySize   int // bytes
	ValueSize int // bytes a key, the values of all CPUs together
	chunks    []*chunk
}

// A chunk is elements that were read into one place, keys one after another and values in the same order.
type chunk struct {
	keys, values []byte // their length is the room
	n            int
	borrowed     bool // the memory is another part's
}

// offHeap is how large a buffer must be to be memory of its own (package hugepage): in the heap, the collector would count it, and what
// it leaves behind would have to be set to zero again.
const offHeap = 1 << 20

// Key gives the key at i, 0 <= i < N. It is there until Close.
func (s *Snapshot) Key(i int) []byte {
	p, i := s.at(i)
	return p.keys[i*s.KeySize : (i+1)*s.KeySize]
}

// Value gives the value at i, until Close.
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
	panic("bpf: index behind the end of a snapshot")
}

// Close frees the memory. Keys and values that were given are gone then.
func (s *Snapshot) Close() error {
	var errs []error
	for _, p := range s.chunks {
		errs = append(errs, p.close())
	}
	s.N, s.chunks = 0, nil
	return errors.Join(errs...)
}

// grow makes room for so many elements.
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

// tail lends the room behind so many elements.
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

// Snapshot reads the whole map: in batches where the kernel has them for this type (hashes from 5.6, arrays from 5.8,
// per-CPU arrays from 5.13), else key by key. Batches take each bucket of a hash under its lock, so no key is missed or
// seen twice, whatever programs do meanwhile; walking key by key starts over when its key is deleted, so there keys are
// told apart by a set. The error is ctx's, or a *Error.
func (m *Map) Snapshot(ctx context.Context) (*Snapshot, error) { return m.Read(ctx, func(int) {}) }

// Read is Snapshot. Of a large map it tells how many keys to expect, about, when it has read a part of them.
func (m *Map) Read(ctx context.Context, expect func(n int)) (*Snapshot, error) {
	r := m.newReader(&chunk{})
	s := &Snapshot{KeySize: r.keySize, ValueSize: r.valueSize, chunks: []*chunk{r.chunk}}
	err := r.next(ctx)
	for err == nil && !r.ended {
		if err = r.next(ctx); err == nil && r.worthSplitting() {
			expect(r.chunk.n + r.remaining())
			err = s.split(ctx, r)
		}
	}
	if errors.Is(err, sys.ErrnoNotSupported) || errors.Is(err, unix.EINVAL) && r.chunk.n == 0 {
		err = m.walk(ctx, r.chunk)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	for _, p := range s.chunks {
		s.N += p.n
	}
	return s, nil
}

// Count gives the number of keys. It reads the map for that: kernels keep no count.
func (m *Map) Count(ctx context.Context) (int, error) {
	s, err := m.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	n := s.N
	return n, s.Close()
}

// walk reads key by key. Where the key that it stands on is deleted meanwhile, the kernel starts again at the first:
// keys seen before are skipped, and a walk that does not come to its end within a few rounds of the map is given up
// with what it has, which by then is every key that stayed.
func (m *Map) walk(ctx context.Context, p *chunk) error {
	keySize := int(m.spec.KeySize)
	seen := make(map[string]struct{})
	key, next, value := make([]byte, keySize), make([]byte, keySize), make([]byte, m.valueSize)
	var from []byte
	most := 4*int(m.spec.MaxEntries) + 64
	for range most {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := sys.ElemCall(sys.CmdMapNextKey, m.raw.FD(), from, next, 0)
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		if err != nil {
			return m.failed("read", err)
		}
		key, next = next, key
		from = key
		if _, ok := seen[string(key)]; ok {
			continue
		}
		err = m.LookupInto(key, value)
		if errors.Is(err, ErrKeyNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		seen[string(key)] = struct{}{}
		if (p.n+1)*keySize > len(p.keys) || (p.n+1)*m.valueSize > len(p.values) {
			if err := p.grow(max(2*p.n, sys.BatchFirst), keySize, m.valueSize); err != nil {
				return m.failed("read", err)
			}
		}
		copy(p.keys[p.n*keySize:], key)
		copy(p.values[p.n*m.valueSize:], value)
		p.n++
	}
	return nil
}
