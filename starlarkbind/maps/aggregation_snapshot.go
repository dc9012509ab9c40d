package maps

import (
	"encoding/binary"
	"errors"
	"runtime"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/dictbuild"
)

// Snapshot returns a dict, or the value itself if the aggregation has no keys.
func (a *Aggregation) Snapshot() (starlark.Value, error) {
	if m := a.Live(); m != nil && a.uniqueKeys() && a.spec().Words() == 1 {
		return a.direct(m)
	}
	w, err := a.Read(a.env.Run.Context())
	if err != nil {
		return nil, err
	}
	return a.plain(w)
}

// uniqueKeys reports whether the live map holds all keys, each of which is a distinct key for the
// script.
func (a *Aggregation) uniqueKeys() bool {
	return !a.Keyless() && a.swappedOut == nil && !a.decl.Key.SameText()
}

// direct is Snapshot for maps with one word per value (counts and sums), which tend to be the
// largest. It builds the dict straight from the kernel's data, without RawValues.
func (a *Aggregation) direct(m *kmap.Map) (_ starlark.Value, err error) {
	a.seen = true
	dm := dictbuild.Builder{Ctx: a.env.Run.Context()}
	defer dm.Close()
	snap, err := m.Read(a.env.Run.Context(), dm.Expect)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	sum := func(i int) uint64 {
		var w, one [1]uint64
		a.mergeInto(w[:], one[:], snap.Value(i))
		return w[0]
	}
	var w [1]uint64
	value := func(sum uint64) starlark.Value {
		w[0] = sum
		return a.Value(w[:])
	}
	// Items of two integers have no pointers for the garbage collector to follow.
	if t := a.decl.Key; t.Kind == types.Int || t.Kind == types.Uint {
		item := func(i int) [2]uint64 { return [2]uint64{binary.NativeEndian.Uint64(snap.Key(i)), sum(i)} }
		key := func(x [2]uint64) starlark.Value {
			var b [8]byte
			binary.NativeEndian.PutUint64(b[:], x[0])
			return a.env.Codec.Decode(t, b[:])
		}
		return dictbuild.Fill(&dm, snap.N, runtime.GOMAXPROCS(0), item, key, func(x [2]uint64) starlark.Value { return value(x[1]) })
	}
	type pair struct {
		key starlark.Value
		sum uint64
	}
	key := dictbuild.Memoized(snap.N, func(i int) starlark.Value { return a.env.Codec.Decode(a.decl.Key, snap.Key(i)) })
	return dictbuild.Fill(&dm, snap.N, 1, func(i int) pair { return pair{key(i), sum(i)} }, func(p pair) starlark.Value { return p.key }, func(p pair) starlark.Value { return value(p.sum) })
}

// plain converts w to a dict, or to the value itself if the aggregation has no keys.
func (a *Aggregation) plain(w *RawValues) (starlark.Value, error) {
	if a.Keyless() || a.decl.Key == nil && len(w.Keys) == 0 && a.store == nil && a.swap == nil {
		if v := w.Get(""); v != nil {
			return a.Value(v), nil
		}
		if a.Keyless() {
			return a.Value(make([]uint64, a.spec().Words())), nil
		}
	}
	type pair struct {
		key starlark.Value
		i   int
	}
	key := dictbuild.Memoized(len(w.Keys), func(i int) starlark.Value { return a.Key(w.Keys[i]) })
	return dictbuild.New(a.env.Run.Context(), len(w.Keys), func(i int) pair { return pair{key(i), i} }, func(p pair) starlark.Value { return p.key }, func(p pair) starlark.Value { return a.Value(w.Vals[p.i]) })
}
