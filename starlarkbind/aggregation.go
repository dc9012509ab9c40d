package starlarkbind

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sort"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/dictbuild"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// An Aggregation is the value that count(), sum() and the other aggregation constructors return: a
// live mapping from keys to aggregated values. Without keys it has a single value. The kernel
// counts per CPU; reading merges the CPUs.
type Aggregation struct {
	s       *Session
	decl    *compiler.Map
	maxKeys int
	seen    bool          // the script has read the aggregation
	anyRoom bool          // the script did not give max_keys
	store   *kmap.Map     // nil until a probe determines the types; unused if swap is set
	swap    *kmap.SwapMap // set if the map can be exchanged for an empty one
	since   time.Time     // when it was created or last cleared
	// swappedOut holds the totals of the maps that delta() and clear() exchanged, for at most
	// maxKeys keys; forgotten counts the keys beyond that. deltaBase is the part of the live map
	// that delta() has already returned.
	swappedOut, deltaBase *rawValues
	forgotten             int
	told                  bool // the warning about forgotten keys was printed
	// canonical maps each key to the first key seen with the same text; firstByText maps the text
	// to that key. They are used only where different keys can have the same text.
	canonical, firstByText map[string]string
}

var (
	_ starlark.IterableMapping = (*Aggregation)(nil)
	_ starlark.Sequence        = (*Aggregation)(nil)
	_ starlark.HasAttrs        = (*Aggregation)(nil)
)

// rawValues holds values by key, both in the kernel's representation, in the order in which they
// were added.
type rawValues struct {
	keys  []string
	vals  [][]uint64
	index map[string]int // built by the first lookup: a million keys take a quarter of a second
}

func newRawValues(n int) *rawValues {
	return &rawValues{keys: make([]string, 0, n), vals: make([][]uint64, 0, n)}
}

// find returns the index of a key.
func (w *rawValues) find(key string) (int, bool) {
	if w.index == nil {
		w.index = make(map[string]int, cap(w.keys))
		for i, k := range w.keys {
			w.index[k] = i
		}
	}
	i, ok := w.index[key]
	return i, ok
}

// get returns the value of a key, or nil.
func (w *rawValues) get(key string) []uint64 {
	if i, ok := w.find(key); ok {
		return w.vals[i]
	}
	return nil
}

// put adds a key that is not present.
func (w *rawValues) put(key string, v []uint64) {
	if w.index != nil {
		w.index[key] = len(w.keys)
	}
	w.keys = append(w.keys, key)
	w.vals = append(w.vals, v)
}

// add merges v into the value of key, or adds the key if it is not present. rawValues keeps v.
func (w *rawValues) add(spec agg.Spec, key string, v []uint64) {
	if i, ok := w.find(key); ok {
		spec.Merge(w.vals[i], v)
		return
	}
	w.put(key, v)
}

func (a *Aggregation) Name() string          { return a.decl.Name }
func (a *Aggregation) String() string        { return a.s.text(a) }
func (a *Aggregation) Type() string          { return a.decl.Kind() }
func (a *Aggregation) Freeze()               {} // a handle: its contents are in the kernel
func (a *Aggregation) Truth() starlark.Bool  { return true }
func (a *Aggregation) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: %s", a.Type()) }
func (a *Aggregation) spec() agg.Spec        { return *a.decl.Agg }

// keyless reports whether the aggregation is used without keys. It is false before first use.
func (a *Aggregation) keyless() bool { return a.decl.Key != nil && a.decl.Key.Kind == types.None }

// create creates the kernel map for a key type: a plain map, or a SwapMap if the script may clear
// the aggregation.
func (a *Aggregation) create(key *types.Type) (*kmap.Map, *kmap.SwapMap, error) {
	a.since = time.Now()
	size := 8 * a.spec().Words()
	ms := kmap.Spec{Name: a.decl.Name, Type: ebpf.PerCPUHash, KeySize: uint32(key.Size()), ValueSize: uint32(size), MaxEntries: uint32(a.maxKeys)}
	if key.Kind == types.None {
		ms.Type, ms.KeySize, ms.MaxEntries = ebpf.PerCPUArray, 4, 1
	} else if err := a.s.shared.memory(ms, a.copies()); err != nil && a.anyRoom && a.s.kernel.AtLeast(6, 1) {
		// The script did not ask for this size. Without preallocation the map takes memory as keys
		// are added, and inserts that get none are counted.
		ms.Flags = unix.BPF_F_NO_PREALLOC
	}
	if a.decl.Swappable {
		sw, err := kmap.NewSwapMap(ms)
		return nil, sw, err
	}
	m, err := kmap.New(ms)
	return m, nil, err
}

// copies returns how many kernel maps of the aggregation can exist at a time.
func (a *Aggregation) copies() int {
	if a.decl.Swappable {
		return 2
	}
	return 1
}

// retype replaces the kernel map by one with wider keys, and copies the values. Only the programs
// for the script's own adds use the map so far; they are dropped, and made again when needed.
func (a *Aggregation) retype(t compiler.MapTypes) error {
	w, err := a.readMap(a.s.run.Context(), a.live())
	if err != nil {
		return err
	}
	store, swap, err := a.create(t.Key)
	if err != nil {
		return err
	}
	was := *a
	key := a.decl.Key
	widen := func(w *rawValues) (*rawValues, error) {
		if w == nil {
			return nil, nil
		}
		out := newRawValues(len(w.keys))
		for i, k := range w.keys {
			b := make([]byte, t.Key.Size())
			if err := a.s.codec.Encode(t.Key, a.s.codec.Decode(key, []byte(k)), b); err != nil {
				return nil, err
			}
			out.put(string(b), w.vals[i])
		}
		return out, nil
	}
	a.store, a.swap = store, swap
	w, err1 := widen(w)
	past, err2 := widen(a.swappedOut)
	marks, err3 := widen(a.deltaBase)
	if err := errors.Join(err1, err2, err3); err != nil {
		return errors.Join(err, a.putBack(&was))
	}
	cpus, err := sys.PossibleCPUs()
	if err != nil {
		return errors.Join(err, a.putBack(&was))
	}
	for i, k := range w.keys {
		v := make([]byte, 8*len(w.vals[i])*cpus) // the whole value goes to the first CPU
		for j, x := range w.vals[i] {
			binary.NativeEndian.PutUint64(v[8*j:], x)
		}
		if err := a.live().Update([]byte(k), v, kmap.Any); err != nil {
			return errors.Join(err, a.putBack(&was))
		}
	}
	a.swappedOut, a.deltaBase, a.canonical, a.firstByText = past, marks, nil, nil
	a.decl.MapTypes = t
	return errors.Join(a.s.dropAdds(a.decl), was.Close())
}

// putBack closes the current kernel map and restores that of was.
func (a *Aggregation) putBack(was *Aggregation) error {
	err := a.Close()
	a.store, a.swap = was.store, was.swap
	return err
}

// kernelMap returns the map that BPF instructions refer to.
func (a *Aggregation) kernelMap() *kmap.Map {
	if a.swap != nil {
		return a.swap.Outer
	}
	return a.store
}

// live returns the map that programs currently update, or nil before the types are known.
func (a *Aggregation) live() *kmap.Map {
	if a.swap != nil {
		return a.swap.Inner()
	}
	return a.store
}

// Close implements io.Closer.
func (a *Aggregation) Close() error {
	switch {
	case a.swap != nil:
		return a.swap.Close()
	case a.store != nil:
		return a.store.Close()
	}
	return nil
}

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
func (a *Aggregation) readMap(ctx context.Context, m *kmap.Map) (_ *rawValues, err error) {
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
		case a.keyless():
			out.put("", v)
		case codec.AmbiguousText(a.decl.Key):
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
	if a.decl.Key == nil || !codec.AmbiguousText(a.decl.Key) {
		return key
	}
	if a.canonical == nil {
		a.canonical, a.firstByText = map[string]string{}, map[string]string{}
	}
	if first, ok := a.canonical[key]; ok {
		return first
	}
	text := a.key(key).String()
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

// read returns everything that was added since the aggregation was created or cleared.
func (a *Aggregation) read(ctx context.Context) (*rawValues, error) {
	w, err := a.readMap(ctx, a.live())
	if err != nil || a.swappedOut == nil {
		return w, err
	}
	a.warnForgotten()
	all := newRawValues(len(a.swappedOut.keys) + len(w.keys))
	for i, k := range a.swappedOut.keys {
		all.add(a.spec(), k, append([]uint64{}, a.swappedOut.vals[i]...))
	}
	for i, k := range w.keys {
		all.add(a.spec(), k, w.vals[i])
	}
	return all, nil
}

// value returns one key's value as the script sees it.
func (a *Aggregation) value(w []uint64) starlark.Value {
	signed := a.decl.Val == nil || a.decl.Val.Kind != types.Uint
	return aggValue(a.spec(), w, signed)
}

func (a *Aggregation) key(k string) starlark.Value { return a.s.codec.Decode(a.decl.Key, []byte(k)) }

// one returns the merged value of one key, or nil if the key is absent.
func (a *Aggregation) one(key []byte) ([]uint64, error) {
	a.seen = true
	m := a.live()
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
		if a.keyless() {
			k = ""
		}
		if p := a.swappedOut.get(k); p != nil {
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
	if a.keyless() {
		return nil, false, fmt.Errorf("%s %q has no keys; read %s.value", a.Type(), a.Name(), a.Name())
	}
	b := make([]byte, a.decl.Key.Size())
	if err := a.s.codec.Encode(a.decl.Key, k, b); err != nil && !codec.AmbiguousText(a.decl.Key) {
		return nil, false, nil // a key of another type is never present
	}
	var w []uint64
	var err error
	if codec.AmbiguousText(a.decl.Key) {
		w, err = a.find(k)
	} else {
		w, err = a.one(b)
	}
	if err != nil || w == nil {
		return nil, false, err
	}
	return a.value(w), true, nil
}

// find returns the value of the key that the script sees as k, or nil if there is none.
func (a *Aggregation) find(k starlark.Value) ([]uint64, error) {
	all, err := a.read(a.s.run.Context())
	if err != nil {
		return nil, err
	}
	for i, key := range all.keys {
		if same, err := starlark.Equal(a.key(key), k); same || err != nil {
			return all.vals[i], err
		}
	}
	return nil, nil
}

// entries returns all keys and values.
func (a *Aggregation) entries() ([]starlark.Tuple, error) {
	if a.keyless() {
		return nil, fmt.Errorf("%s %q has no keys; read %s.value", a.Type(), a.Name(), a.Name())
	}
	w, err := a.read(a.s.run.Context())
	if err != nil {
		return nil, err
	}
	return a.tuples(w)
}

func (a *Aggregation) tuples(w *rawValues) ([]starlark.Tuple, error) {
	out := make([]starlark.Tuple, len(w.keys))
	for i, k := range w.keys {
		if err := a.s.run.Interrupted(i); err != nil {
			return nil, err
		}
		out[i] = starlark.Tuple{a.key(k), a.value(w.vals[i])}
	}
	return out, nil
}

// Items implements starlark.IterableMapping. It cannot return an error, so it reports one; the
// methods, such as items(), return theirs.
func (a *Aggregation) Items() []starlark.Tuple {
	items, err := a.entries()
	if err != nil {
		a.s.out.ReportError(err)
	}
	return items
}

// Iterate implements starlark.Iterable, over the keys.
func (a *Aggregation) Iterate() starlark.Iterator { return keyIterator(a.Items()) }

// Len implements starlark.Sequence: the number of keys.
func (a *Aggregation) Len() int {
	n, err := a.length()
	if err != nil {
		a.s.out.ReportError(err)
	}
	return n
}

func (a *Aggregation) length() (int, error) {
	a.seen = true
	if m := a.live(); m != nil && a.uniqueKeys() {
		return m.Count(a.s.run.Context())
	}
	w, err := a.read(a.s.run.Context())
	if err != nil {
		return 0, err
	}
	return len(w.keys), nil
}

// keyIterator returns an iterator over the keys of items.
func keyIterator(items []starlark.Tuple) starlark.Iterator {
	keys := make(starlark.Tuple, len(items))
	for i, it := range items {
		keys[i] = it[0]
	}
	return keys.Iterate()
}

// snapshot returns a dict, or the value itself if the aggregation has no keys.
func (a *Aggregation) Snapshot() (starlark.Value, error) {
	if m := a.live(); m != nil && a.uniqueKeys() && a.spec().Words() == 1 {
		return a.direct(m)
	}
	w, err := a.read(a.s.run.Context())
	if err != nil {
		return nil, err
	}
	return a.plain(w)
}

// uniqueKeys reports whether the live map holds all keys, each of which is a distinct key for the
// script.
func (a *Aggregation) uniqueKeys() bool {
	return !a.keyless() && a.swappedOut == nil && !codec.AmbiguousText(a.decl.Key)
}

// direct is snapshot for maps with one word per value (counts and sums), which tend to be the
// largest. It builds the dict straight from the kernel's data, without rawValues.
func (a *Aggregation) direct(m *kmap.Map) (_ starlark.Value, err error) {
	a.seen = true
	dm := dictbuild.Builder{Ctx: a.s.run.Context()}
	defer dm.Close()
	snap, err := m.Read(a.s.run.Context(), dm.Expect)
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
		return a.value(w[:])
	}
	// Items of two integers have no pointers for the garbage collector to follow.
	if t := a.decl.Key; t.Kind == types.Int || t.Kind == types.Uint {
		item := func(i int) [2]uint64 { return [2]uint64{binary.NativeEndian.Uint64(snap.Key(i)), sum(i)} }
		key := func(x [2]uint64) starlark.Value {
			var b [8]byte
			binary.NativeEndian.PutUint64(b[:], x[0])
			return a.s.codec.Decode(t, b[:])
		}
		return dictbuild.Fill(&dm, snap.N, runtime.GOMAXPROCS(0), item, key, func(x [2]uint64) starlark.Value { return value(x[1]) })
	}
	type pair struct {
		key starlark.Value
		sum uint64
	}
	key := dictbuild.Memoized(snap.N, func(i int) starlark.Value { return a.s.codec.Decode(a.decl.Key, snap.Key(i)) })
	return dictbuild.Fill(&dm, snap.N, 1, func(i int) pair { return pair{key(i), sum(i)} }, func(p pair) starlark.Value { return p.key }, func(p pair) starlark.Value { return value(p.sum) })
}

// plain converts w to a dict, or to the value itself if the aggregation has no keys.
func (a *Aggregation) plain(w *rawValues) (starlark.Value, error) {
	if a.keyless() || a.decl.Key == nil && len(w.keys) == 0 && a.store == nil && a.swap == nil {
		if v := w.get(""); v != nil {
			return a.value(v), nil
		}
		if a.keyless() {
			return a.value(make([]uint64, a.spec().Words())), nil
		}
	}
	type pair struct {
		key starlark.Value
		i   int
	}
	key := dictbuild.Memoized(len(w.keys), func(i int) starlark.Value { return a.key(w.keys[i]) })
	return dictbuild.New(a.s.run.Context(), len(w.keys), func(i int) pair { return pair{key(i), i} }, func(p pair) starlark.Value { return p.key }, func(p pair) starlark.Value { return a.value(w.vals[p.i]) })
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
			cut = a.s.run.Interrupted(compared)
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
	m := a.live()
	if m == nil {
		return starlark.NewDict(0), nil
	}
	snap, err := m.Snapshot(a.s.run.Context())
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
			out = append(out, a.value(w))
		}
		return starlark.NewList(out)
	}
	var keys []string
	byKey := map[string][][]uint64{}
	for i := 0; i < snap.N; i++ {
		if a.keyless() {
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
		if err := d.SetKey(a.key(key), list(byKey[key])); err != nil {
			return nil, err
		}
	}
	return d, nil
}
