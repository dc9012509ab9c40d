package starlarkbind

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Stack maps belong to the session, because one stack may be a key of many maps. When an
// aggregation is emptied and a stack map is at least half full, the stacks in it are dropped, so
// that a long session does not fill it. Keys of other maps may still refer to a dropped stack, and
// a handler may be about to use one that it has just found. The frames of dropped stacks are
// therefore kept here until the next sweep, which comes at least a second later, and after that for
// as long as a map refers to them.

// sweepEvery is the minimum time between two sweeps.
const sweepEvery = time.Second

// A stackStore holds the stacks with the same maximum number of frames.
type stackStore struct {
	*kmap.Stacks
	swept time.Time

	mu   sync.Mutex          // the goroutine that prints reads frames during a sweep
	kept map[uint64][]uint64 // frames of stacks that were dropped
}

// frames returns the frames of a stack, including one that was dropped but is kept.
func (st *stackStore) frames(id uint64) ([]uint64, error) {
	frames, err := st.Frames(id)
	if !errors.Is(err, kmap.ErrKeyNotExist) {
		return frames, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if kept, ok := st.kept[id]; ok {
		return kept, nil
	}
	return nil, err
}

// drop drops all stacks from the map and keeps them here. Stacks kept earlier that are not in used
// are forgotten.
func (st *stackStore) drop(all map[uint64][]uint64, used map[uint64]bool) error {
	st.keep(all, used)
	for id := range all {
		if err := st.Drop(id); err != nil && !errors.Is(err, kmap.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}

func (st *stackStore) keep(all map[uint64][]uint64, used map[uint64]bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	maps.DeleteFunc(st.kept, func(id uint64, _ []uint64) bool { return !used[id] })
	if st.kept == nil {
		st.kept = map[uint64][]uint64{}
	}
	maps.Copy(st.kept, all)
}

// sweepStacks sweeps the stack maps that the aggregation's keys refer to. taken holds the values
// taken out of the aggregation that the script has not seen yet.
func (a *Aggregation) sweepStacks(taken *rawValues) error {
	var errs []error
	for n, st := range a.s.stacks.byFrames {
		if a.decl.Key == nil || !hasStack(a.decl.Key, strconv.Itoa(n)) || time.Since(st.swept) < sweepEvery {
			continue
		}
		st.swept = time.Now()
		used := map[uint64]bool{}
		for _, k := range taken.keys {
			stackIDs(a.decl.Key, []byte(k), strconv.Itoa(n), used)
		}
		errs = append(errs, a.s.reg.sweep(st, strconv.Itoa(n), used))
	}
	return errors.Join(errs...)
}

// sweep drops the stacks of a stack map that is at least half full, and keeps their frames here. n
// is the maximum number of frames of its stacks. used holds the stacks that are known to be in use.
func (r *registry) sweep(st *stackStore, n string, used map[uint64]bool) error {
	all, err := st.All()
	if err != nil || 2*len(all) < st.Room() {
		return err
	}
	for _, m := range r.maps {
		if err := r.stacksOf(m, n, used); err != nil {
			return err
		}
	}
	return st.drop(all, used)
}

// stacksOf adds to used the stacks in a map's keys and values.
func (r *registry) stacksOf(m kernelMap, n string, used map[uint64]bool) error {
	switch m := m.(type) {
	case *Aggregation:
		if m.decl.Key == nil || !hasStack(m.decl.Key, n) {
			return nil
		}
		for _, w := range []*rawValues{m.swappedOut, m.deltaBase} {
			if w != nil {
				for _, k := range w.keys {
					stackIDs(m.decl.Key, []byte(k), n, used)
				}
			}
		}
		return eachElement(m.live(), func(key, _ []byte) { stackIDs(m.decl.Key, key, n, used) })
	case *Table:
		if m.store == nil || !hasStack(m.decl.Key, n) && !hasStack(m.decl.Val, n) {
			return nil
		}
		return eachElement(m.store, func(key, value []byte) {
			stackIDs(m.decl.Key, key, n, used)
			stackIDs(m.decl.Val, value, n, used)
		})
	}
	return nil
}

func eachElement(m *kmap.Map, fn func(key, value []byte)) error {
	if m == nil {
		return nil
	}
	snap, err := m.Snapshot(context.Background())
	if err != nil {
		return err
	}
	for i := range snap.N {
		fn(snap.Key(i), snap.Value(i))
	}
	return snap.Close()
}

// ofStacks reports whether t is a stack of at most n frames.
func ofStacks(t *types.Type, n string) bool {
	return t.Format != nil && (t.Format.Name == "kstack" || t.Format.Name == "ustack") && t.Format.Arg == n
}

// hasStack reports whether t contains a stack of at most n frames.
func hasStack(t *types.Type, n string) bool {
	return t != nil && (ofStacks(t, n) || hasStack(t.Elem, n) || slices.ContainsFunc(t.Elems, func(e *types.Type) bool { return hasStack(e, n) }))
}

// stackIDs adds to used the IDs of the stacks in a value in the kernel's encoding.
func stackIDs(t *types.Type, b []byte, n string, used map[uint64]bool) {
	switch {
	case t == nil:
	case ofStacks(t, n): // an ID, or an ID and a process
		used[binary.NativeEndian.Uint64(b)] = true
	case t.Kind == types.Opt:
		stackIDs(t.Elem, b[8:], n, used)
	case t.Kind == types.Tuple:
		for _, e := range t.Elems {
			stackIDs(e, b, n, used)
			b = b[e.Size():]
		}
	}
}
