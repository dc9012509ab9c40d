package codec

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// Stack maps belong to the session, because one stack may be a key of many maps. When an
// aggregation is emptied and a stack map is at least half full, the stacks in it are dropped, so
// that a long session does not fill it. Keys of other maps may still refer to a dropped stack, and
// a handler may be about to use one that it has just found. The frames of dropped stacks are
// therefore kept here until the next sweep, which comes at least a second later, and after that for
// as long as a map refers to them.

// StackMaps holds the maps that store stacks.
type StackMaps struct {
	mu       sync.Mutex
	ByFrames map[int]*StackStore // by maximum number of frames
}

// Get returns the map that stores stacks of n frames. The first call creates it.
func (m *StackMaps) Get(n int) (*StackStore, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if st := m.ByFrames[n]; st != nil {
		return st, nil
	}
	st, err := kmap.NewStacks(abi.StackMap(n), n, abi.StackSize(n))
	if err != nil {
		return nil, err
	}
	if m.ByFrames == nil {
		m.ByFrames = map[int]*StackStore{}
	}
	m.ByFrames[n] = &StackStore{Stacks: st}
	return m.ByFrames[n], nil
}

// Close closes the maps.
func (m *StackMaps) Close() error {
	var errs []error
	for _, st := range m.ByFrames {
		errs = append(errs, st.Close())
	}
	return errors.Join(errs...)
}

// A StackStore holds the stacks with the same maximum number of frames.
type StackStore struct {
	*kmap.Stacks
	Swept time.Time

	mu   sync.Mutex          // the goroutine that prints reads frames during a sweep
	Kept map[uint64][]uint64 // frames of stacks that were dropped
}

// Frames returns the frames of a stack, including one that was dropped but is kept.
func (st *StackStore) Frames(id uint64) ([]uint64, error) {
	frames, err := st.Stacks.Frames(id)
	if !errors.Is(err, kmap.ErrKeyNotExist) {
		return frames, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if kept, ok := st.Kept[id]; ok {
		return kept, nil
	}
	return nil, err
}

// DropAll drops all stacks from the map and keeps them here. Stacks kept earlier that are not in
// used are forgotten.
func (st *StackStore) DropAll(all map[uint64][]uint64, used map[uint64]bool) error {
	st.keep(all, used)
	for id := range all {
		if err := st.Drop(id); err != nil && !errors.Is(err, kmap.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}

func (st *StackStore) keep(all map[uint64][]uint64, used map[uint64]bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	maps.DeleteFunc(st.Kept, func(id uint64, _ []uint64) bool { return !used[id] })
	if st.Kept == nil {
		st.Kept = map[uint64][]uint64{}
	}
	maps.Copy(st.Kept, all)
}

// ofStacks reports whether t is a stack of at most n frames.
func ofStacks(t *types.Type, n string) bool {
	return t.Format != nil && (t.Format.Name == "kstack" || t.Format.Name == "ustack") && t.Format.Arg == n
}

// HasStack reports whether t contains a stack of at most n frames.
func HasStack(t *types.Type, n string) bool {
	return t != nil && (ofStacks(t, n) || HasStack(t.Elem, n) || slices.ContainsFunc(t.Elems, func(e *types.Type) bool { return HasStack(e, n) }))
}

// StackIDs adds to used the IDs of the stacks in a value in the kernel's encoding.
func StackIDs(t *types.Type, b []byte, n string, used map[uint64]bool) {
	switch {
	case t == nil:
	case ofStacks(t, n): // an ID, or an ID and a process
		used[binary.NativeEndian.Uint64(b)] = true
	case t.Kind == types.Opt:
		StackIDs(t.Elem, b[8:], n, used)
	case t.Kind == types.Tuple:
		for _, e := range t.Elems {
			StackIDs(e, b, n, used)
			b = b[e.Size():]
		}
	}
}
