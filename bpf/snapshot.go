package bpf

import (
	"context"
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/internal/hugepage"
)

// Snapshot is what a map held: N keys one after another, and their values in the same order. No key is in it twice. It
// is no instant: a key that came or went meanwhile may be in it or not, and values are as they were when their bucket
// was read.
type Snapshot struct {
	Keys, Values []byte
	N            int
	KeySize      int // bytes
	ValueSize    int // bytes a key, the values of all CPUs together
}

// Key gives the key at i, 0 <= i < N. It shares memory with the snapshot.
func (s *Snapshot) Key(i int) []byte { return s.Keys[i*s.KeySize : (i+1)*s.KeySize] }

// Value gives the value at i.
func (s *Snapshot) Value(i int) []byte { return s.Values[i*s.ValueSize : (i+1)*s.ValueSize] }

// Snapshot reads the whole map: in batches where the kernel has them for this type (hashes from 5.6, arrays from 5.8,
// per-CPU arrays from 5.13), else key by key. Batches take each bucket of a hash under its lock, so no key is missed or
// seen twice, whatever programs do meanwhile; walking key by key starts over when its key is deleted, so there keys are
// told apart by a set. The error is ctx's, or a *MapError.
func (m *Map) Snapshot(ctx context.Context) (*Snapshot, error) {
	s := &Snapshot{KeySize: int(m.spec.KeySize), ValueSize: m.valueSize}
	err := m.readBatches(ctx, s)
	if errors.Is(err, errnoNotSupported) || errors.Is(err, unix.EINVAL) && s.N == 0 {
		err = m.walk(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	s.Keys, s.Values = s.Keys[:s.N*s.KeySize], s.Values[:s.N*s.ValueSize]
	return s, nil
}

func (m *Map) readBatches(ctx context.Context, s *Snapshot) error {
	// The cursor is a u32 of hashes, a key of arrays.
	cursor := make([]byte, max(int(m.spec.KeySize), 4))
	count := min(batchFirst, int(m.spec.MaxEntries))
	room := 0 // elements that the buffers have room for
	var in unsafe.Pointer
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.N+count > room {
			// Doubling: the memory is in proportion to what the map holds, not to what it could.
			room = min(max(2*room, s.N+count), max(int(m.spec.MaxEntries), s.N+count))
			s.Keys, s.Values = resize(s.Keys, room*s.KeySize), resize(s.Values, room*s.ValueSize)
		}
		attr := batchAttr{in: in, out: pointer(cursor), fd: uint32(m.raw.FD()), count: uint32(min(room-s.N, batchMost)),
			keys: pointer(s.Keys[s.N*s.KeySize:]), values: pointer(s.Values[s.N*s.ValueSize:])}
		asked := int(attr.count)
		_, err := bpfCall(cmdMapLookupBatch, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
		runtime.KeepAlive(cursor)
		switch {
		case err == nil:
			s.N += int(attr.count)
			in = pointer(cursor)
			count = min(max(2*asked, batchFirst), batchMost)
			if m.spec.MaxEntries < uint32(batchMost) {
				count = min(count, max(int(m.spec.MaxEntries)-s.N, 64))
			}
		case errors.Is(err, unix.ENOENT): // that was the last
			s.N += int(attr.count)
			return nil
		case errors.Is(err, unix.ENOSPC): // a bucket is larger than the room
			count = 2 * asked
			if count > int(m.spec.MaxEntries)+batchMost {
				return m.failed("read", err)
			}
		case errors.Is(err, errnoNotSupported), errors.Is(err, unix.EINVAL):
			return err
		default:
			return m.failed("read", err)
		}
	}
}

// resize gives a slice of n bytes that begins with b.
func resize(b []byte, n int) []byte {
	if n <= len(b) {
		return b
	}
	big := append(make([]byte, 0, n), b...)[:n]
	hugepage.Advise(big[len(b):])
	return big
}

// walk reads key by key. Where the key that it stands on is deleted meanwhile, the kernel starts again at the first:
// keys seen before are skipped, and a walk that does not come to its end within a few rounds of the map is given up
// with what it has, which by then is every key that stayed.
func (m *Map) walk(ctx context.Context, s *Snapshot) error {
	s.N, s.Keys, s.Values = 0, s.Keys[:0], s.Values[:0]
	seen := make(map[string]struct{})
	key, next, value := make([]byte, s.KeySize), make([]byte, s.KeySize), make([]byte, s.ValueSize)
	var from []byte
	most := 4*int(m.spec.MaxEntries) + 64
	for range most {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := elemCall(cmdMapNextKey, m.raw.FD(), from, next, 0)
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
		s.Keys, s.Values = append(s.Keys, key...), append(s.Values, value...)
		s.N++
	}
	return nil
}
