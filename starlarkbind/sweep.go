package starlarkbind

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
)

// sweepEvery is the minimum time between two sweeps.
const sweepEvery = time.Second

// sweepStacks sweeps the stack maps that the aggregation's keys refer to. taken holds the values
// taken out of the aggregation that the script has not seen yet.
func (a *Aggregation) sweepStacks(taken *rawValues) error {
	var errs []error
	for n, st := range a.s.stacks.ByFrames {
		if a.decl.Key == nil || !codec.HasStack(a.decl.Key, strconv.Itoa(n)) || time.Since(st.Swept) < sweepEvery {
			continue
		}
		st.Swept = time.Now()
		used := map[uint64]bool{}
		for _, k := range taken.keys {
			codec.StackIDs(a.decl.Key, []byte(k), strconv.Itoa(n), used)
		}
		errs = append(errs, a.s.reg.sweep(st, strconv.Itoa(n), used))
	}
	return errors.Join(errs...)
}

// sweep drops the stacks of a stack map that is at least half full, and keeps their frames here. n
// is the maximum number of frames of its stacks. used holds the stacks that are known to be in use.
func (r *registry) sweep(st *codec.StackStore, n string, used map[uint64]bool) error {
	all, err := st.All()
	if err != nil || 2*len(all) < st.Room() {
		return err
	}
	for _, m := range r.maps {
		if err := r.stacksOf(m, n, used); err != nil {
			return err
		}
	}
	return st.DropAll(all, used)
}

// stacksOf adds to used the stacks in a map's keys and values.
func (r *registry) stacksOf(m kernelMap, n string, used map[uint64]bool) error {
	switch m := m.(type) {
	case *Aggregation:
		if m.decl.Key == nil || !codec.HasStack(m.decl.Key, n) {
			return nil
		}
		for _, w := range []*rawValues{m.swappedOut, m.deltaBase} {
			if w != nil {
				for _, k := range w.keys {
					codec.StackIDs(m.decl.Key, []byte(k), n, used)
				}
			}
		}
		return eachElement(m.live(), func(key, _ []byte) { codec.StackIDs(m.decl.Key, key, n, used) })
	case *Table:
		if m.store == nil || !codec.HasStack(m.decl.Key, n) && !codec.HasStack(m.decl.Val, n) {
			return nil
		}
		return eachElement(m.store, func(key, value []byte) {
			codec.StackIDs(m.decl.Key, key, n, used)
			codec.StackIDs(m.decl.Val, value, n, used)
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
