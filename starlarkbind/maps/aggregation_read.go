package maps

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// merge returns the value of one key, merged over all CPUs.
func (a *Aggregation) merge(b []byte) []uint64 {
	n := a.spec().Words()
	out := make([]uint64, n)
	a.mergeInto(out, make([]uint64, n), b)
	return out
}

// mergeInto is like merge, but adds to out, whose words must be 0. one is scratch space of the same
// length.
func (a *Aggregation) mergeInto(out, one []uint64, b []byte) {
	spec, n := a.spec(), len(out)
	for off := 0; off+8*n <= len(b); off += 8 * n {
		for i := range one {
			one[i] = binary.NativeEndian.Uint64(b[off+8*i:])
		}
		spec.Merge(out, one)
	}
}

// readMap reads a whole kernel map. It returns ErrInterrupted if ctx is cancelled.
func (a *Aggregation) readMap(ctx context.Context, m *kmap.Map) (_ *RawValues, err error) {
	a.seen = true
	if m == nil {
		return newRawValues(0), nil
	}
	snap, err := m.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	out, n, size := newRawValues(snap.N), a.spec().Words(), snap.KeySize
	// All keys share one string, which spares the garbage collector a string for each.
	var keys strings.Builder
	keys.Grow(snap.N * size)
	for i := range snap.N {
		if err := runner.Interrupted(ctx, i); err != nil {
			return nil, err
		}
		keys.Write(snap.Key(i))
	}
	all, one := make([]uint64, snap.N*n), make([]uint64, n)
	for i := 0; i < snap.N; i++ {
		if err := runner.Interrupted(ctx, i); err != nil {
			return nil, err
		}
		v := all[i*n : (i+1)*n : (i+1)*n]
		a.mergeInto(v, one, snap.Value(i))
		switch key := keys.String()[i*size : (i+1)*size]; {
		case a.Keyless():
			out.put("", v)
		case a.decl.Key.SameText():
			out.add(a.spec(), a.canonicalKey(key), v)
		default:
			out.put(key, v)
		}
	}
	return out, nil
}

// canonicalKey returns the key that represents all keys with the same text, such as the symbol of
// one location in two processes. The script sees them as one key, so their values are merged.
func (a *Aggregation) canonicalKey(key string) string {
	if a.decl.Key == nil || !a.decl.Key.SameText() {
		return key
	}
	if a.canonical == nil {
		a.canonical, a.firstByText = map[string]string{}, map[string]string{}
	}
	if first, ok := a.canonical[key]; ok {
		return first
	}
	text := a.Key(key).String()
	first, ok := a.firstByText[text]
	if !ok {
		first = key
		a.firstByText[text] = key
	}
	a.canonical[key] = first
	return first
}

// Since returns when the aggregation was created or last cleared.
func (a *Aggregation) Since() time.Time { return a.since }

// Read returns everything that was added since the aggregation was created or cleared.
func (a *Aggregation) Read(ctx context.Context) (*RawValues, error) {
	w, err := a.readMap(ctx, a.Live())
	if err != nil || a.swappedOut == nil {
		return w, err
	}
	a.warnForgotten()
	all := newRawValues(len(a.swappedOut.Keys) + len(w.Keys))
	for i, k := range a.swappedOut.Keys {
		all.add(a.spec(), k, append([]uint64{}, a.swappedOut.Vals[i]...))
	}
	for i, k := range w.Keys {
		all.add(a.spec(), k, w.Vals[i])
	}
	return all, nil
}

// Value returns one key's value as the script sees it.
func (a *Aggregation) Value(w []uint64) starlark.Value {
	signed := a.decl.Val == nil || a.decl.Val.Kind != types.Uint
	return aggValue(a.spec(), w, signed)
}

func (a *Aggregation) Key(k string) starlark.Value { return a.env.Codec.Decode(a.decl.Key, []byte(k)) }

// one returns the merged value of one key, or nil if the key is absent.
func (a *Aggregation) one(key []byte) ([]uint64, error) {
	a.seen = true
	m := a.Live()
	if m == nil {
		return nil, nil
	}
	var w []uint64
	b, err := m.Lookup(key)
	switch {
	case err == nil:
		w = a.merge(b)
	case !errors.Is(err, kmap.ErrKeyNotExist):
		return nil, err
	}
	if a.swappedOut != nil {
		k := string(key)
		if a.Keyless() {
			k = ""
		}
		if p := a.swappedOut.Get(k); p != nil {
			sum := append([]uint64{}, p...)
			if w != nil {
				a.spec().Merge(sum, w)
			}
			w = sum
		}
	}
	return w, nil
}

// Get implements starlark.Mapping: agg[key], key in agg.
func (a *Aggregation) Get(k starlark.Value) (starlark.Value, bool, error) {
	if a.decl.Key == nil {
		return nil, false, nil
	}
	if a.Keyless() {
		return nil, false, fmt.Errorf("%s %q has no keys; read %s.value", a.Type(), a.Name(), a.Name())
	}
	b := make([]byte, a.decl.Key.Size())
	if err := a.env.Codec.Encode(a.decl.Key, k, b); err != nil && !a.decl.Key.SameText() {
		return nil, false, nil // a key of another type is never present
	}
	var w []uint64
	var err error
	if a.decl.Key.SameText() {
		w, err = a.find(k)
	} else {
		w, err = a.one(b)
	}
	if err != nil || w == nil {
		return nil, false, err
	}
	return a.Value(w), true, nil
}

// find returns the value of the key that the script sees as k, or nil if there is none.
func (a *Aggregation) find(k starlark.Value) ([]uint64, error) {
	all, err := a.Read(a.env.Run.Context())
	if err != nil {
		return nil, err
	}
	for i, key := range all.Keys {
		if same, err := starlark.Equal(a.Key(key), k); same || err != nil {
			return all.Vals[i], err
		}
	}
	return nil, nil
}

// entries returns all keys and values.
func (a *Aggregation) entries() ([]starlark.Tuple, error) {
	if a.Keyless() {
		return nil, fmt.Errorf("%s %q has no keys; read %s.value", a.Type(), a.Name(), a.Name())
	}
	w, err := a.Read(a.env.Run.Context())
	if err != nil {
		return nil, err
	}
	return a.tuples(w)
}

func (a *Aggregation) tuples(w *RawValues) ([]starlark.Tuple, error) {
	out := make([]starlark.Tuple, len(w.Keys))
	for i, k := range w.Keys {
		if err := a.env.Run.Interrupted(i); err != nil {
			return nil, err
		}
		out[i] = starlark.Tuple{a.Key(k), a.Value(w.Vals[i])}
	}
	return out, nil
}

// Items implements starlark.IterableMapping. It cannot return an error, so it reports one; the
// methods, such as items(), return theirs.
func (a *Aggregation) Items() []starlark.Tuple {
	items, err := a.entries()
	if err != nil {
		a.env.Out.ReportError(err)
	}
	return items
}

// Iterate implements starlark.Iterable, over the keys.
func (a *Aggregation) Iterate() starlark.Iterator { return keyIterator(a.Items()) }

// Len implements starlark.Sequence: the number of keys.
func (a *Aggregation) Len() int {
	n, err := a.length()
	if err != nil {
		a.env.Out.ReportError(err)
	}
	return n
}

func (a *Aggregation) length() (int, error) {
	a.seen = true
	if m := a.Live(); m != nil && a.uniqueKeys() {
		return m.Count(a.env.Run.Context())
	}
	w, err := a.Read(a.env.Run.Context())
	if err != nil {
		return 0, err
	}
	return len(w.Keys), nil
}

// keyIterator returns an iterator over the keys of items.
func keyIterator(items []starlark.Tuple) starlark.Iterator {
	keys := make(starlark.Tuple, len(items))
	for i, it := range items {
		keys[i] = it[0]
	}
	return keys.Iterate()
}

// top returns the n entries with the largest values in descending order. Equal values are ordered
// by key.
func (a *Aggregation) top(n int) ([]starlark.Tuple, error) {
	items, err := a.entries()
	if err != nil {
		return nil, err
	}
	compared, cut := 0, error(nil)
	sort.SliceStable(items, func(i, j int) bool {
		if compared++; cut == nil {
			cut = a.env.Run.Interrupted(compared)
		}
		// Once interrupted, report all elements as equal, so that the sort ends soon.
		if cut != nil {
			return false
		}
		if c := render.CompareValues(render.SortKey(items[i][1]), render.SortKey(items[j][1])); c != 0 {
			return c > 0
		}
		return render.CompareValues(items[i][0], items[j][0]) < 0
	})
	return items[:min(n, len(items))], cut
}

// perCPU returns a dict from each key to the list of its values by CPU; the list itself if the
// aggregation has no keys.
func (a *Aggregation) perCPU() (_ starlark.Value, err error) {
	a.seen = true
	m := a.Live()
	if m == nil {
		return starlark.NewDict(0), nil
	}
	snap, err := m.Snapshot(a.env.Run.Context())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	spec := a.spec()
	n := 8 * spec.Words()
	cpus := func(b []byte) [][]uint64 {
		var out [][]uint64
		for off := 0; off+n <= len(b); off += n {
			out = append(out, a.merge(b[off:off+n]))
		}
		return out
	}
	list := func(cpus [][]uint64) *starlark.List {
		var out []starlark.Value
		for _, w := range cpus {
			out = append(out, a.Value(w))
		}
		return starlark.NewList(out)
	}
	var keys []string
	byKey := map[string][][]uint64{}
	for i := 0; i < snap.N; i++ {
		if a.Keyless() {
			return list(cpus(snap.Value(i))), nil
		}
		key := a.canonicalKey(string(snap.Key(i)))
		words := cpus(snap.Value(i))
		if old, ok := byKey[key]; ok {
			for cpu, w := range words {
				spec.Merge(old[cpu], w)
			}
			continue
		}
		keys = append(keys, key)
		byKey[key] = words
	}
	d := starlark.NewDict(len(keys))
	for _, key := range keys {
		if err := d.SetKey(a.Key(key), list(byKey[key])); err != nil {
			return nil, err
		}
	}
	return d, nil
}
