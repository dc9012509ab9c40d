package maps

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
func (a *Aggregation) sweepStacks(taken *RawValues) error {
	var errs []error
	for n, st := range a.env.Stacks.ByFrames {
		if a.decl.Key == nil || !codec.HasStack(a.decl.Key, strconv.Itoa(n)) || time.Since(st.Swept) < sweepEvery {
			continue
		}
		st.Swept = time.Now()
		used := map[uint64]bool{}
		for _, k := range taken.Keys {
			codec.StackIDs(a.decl.Key, []byte(k), strconv.Itoa(n), used)
		}
		errs = append(errs, a.env.SweepStacks(st, strconv.Itoa(n), used))
	}
	return errors.Join(errs...)
}

// AddStacks implements Map.
func (a *Aggregation) AddStacks(n string, used map[uint64]bool) error {
	if a.decl.Key == nil || !codec.HasStack(a.decl.Key, n) {
		return nil
	}
	for _, w := range []*RawValues{a.swappedOut, a.deltaBase} {
		if w != nil {
			for _, k := range w.Keys {
				codec.StackIDs(a.decl.Key, []byte(k), n, used)
			}
		}
	}
	return eachElement(a.Live(), func(key, _ []byte) { codec.StackIDs(a.decl.Key, key, n, used) })
}

// AddStacks implements Map.
func (t *Table) AddStacks(n string, used map[uint64]bool) error {
	if t.store == nil || !codec.HasStack(t.decl.Key, n) && !codec.HasStack(t.decl.Val, n) {
		return nil
	}
	return eachElement(t.store, func(key, value []byte) {
		codec.StackIDs(t.decl.Key, key, n, used)
		codec.StackIDs(t.decl.Val, value, n, used)
	})
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
