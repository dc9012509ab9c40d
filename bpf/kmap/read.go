package kmap

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// Snapshot reads the whole map: in batches if the kernel supports them for this type (hashes from
// 5.6, arrays from 5.8, per-CPU arrays from 5.13), or else key by key. A batch reads each bucket of
// a hash under its lock, so no key is missed or seen twice, whatever programs do concurrently.
// Reading key by key starts over if the current key is deleted, so duplicates are removed with a
// set. The error is ctx's error or a *Error.
func (m *Map) Snapshot(ctx context.Context) (*Snapshot, error) { return m.Read(ctx, func(int) {}) }

// Read is like Snapshot. For a large map, it calls expect with the approximate number of keys after
// it has read some of them.
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

// Count returns the number of keys. It reads the whole map, because the kernel keeps no count.
func (m *Map) Count(ctx context.Context) (int, error) {
	s, err := m.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	n := s.N
	return n, s.Close()
}

// walk reads the map key by key. If the current key is deleted, the kernel starts over with the
// first key, and walk skips the keys it has already read. If walk does not reach the end within a
// few rounds of the map, it stops with what it has, which by then includes every key that was not
// deleted.
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
