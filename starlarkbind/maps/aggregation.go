package maps

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// An Aggregation is the value that count(), sum() and the other aggregation constructors return: a
// live mapping from keys to aggregated values. Without keys it has a single value. The kernel
// counts per CPU; reading merges the CPUs.
type Aggregation struct {
	env     *Env
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
	swappedOut, deltaBase *RawValues
	forgotten             int
	told                  bool // the warning about forgotten keys was printed
	usage                 usage
	// canonical maps each key to the first key seen with the same text; firstByText maps the text
	// to that key. They are used only where different keys can have the same text.
	canonical, firstByText map[string]string
}

var (
	_ starlark.IterableMapping = (*Aggregation)(nil)
	_ starlark.Sequence        = (*Aggregation)(nil)
	_ starlark.HasAttrs        = (*Aggregation)(nil)
)

// NewAggregation returns an aggregation without a kernel map. anyRoom says that maxKeys is a
// default.
func NewAggregation(env *Env, decl *compiler.Map, maxKeys int, anyRoom bool) *Aggregation {
	return &Aggregation{env: env, decl: decl, maxKeys: maxKeys, anyRoom: anyRoom}
}

func (a *Aggregation) Name() string          { return a.decl.Name }
func (a *Aggregation) String() string        { return a.env.Text(a) }
func (a *Aggregation) Type() string          { return a.decl.Kind() }
func (a *Aggregation) Freeze()               {} // a handle: its contents are in the kernel
func (a *Aggregation) Truth() starlark.Bool  { return true }
func (a *Aggregation) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: %s", a.Type()) }
func (a *Aggregation) Decl() *compiler.Map   { return a.decl }
func (a *Aggregation) MaxKeys() int          { return a.maxKeys }
func (a *Aggregation) Seen() bool            { return a.seen }
func (a *Aggregation) spec() agg.Spec        { return *a.decl.Agg }

// Keyless reports whether the aggregation is used without keys. It is false before first use.
func (a *Aggregation) Keyless() bool { return a.decl.Key != nil && a.decl.Key.Kind == types.None }

// create creates the kernel map for a key type: a plain map, or a SwapMap if the script may clear
// the aggregation.
func (a *Aggregation) create(key *types.Type) (*kmap.Map, *kmap.SwapMap, error) {
	a.since = time.Now()
	size := 8 * a.spec().Words()
	ms := kmap.Spec{Name: a.decl.Name, Type: ebpf.PerCPUHash, KeySize: uint32(key.Size()), ValueSize: uint32(size), MaxEntries: uint32(a.maxKeys)}
	if key.Kind == types.None {
		ms.Type, ms.KeySize, ms.MaxEntries = ebpf.PerCPUArray, 4, 1
	} else if err := a.env.CheckMemory(ms, a.copies()); err != nil && a.anyRoom && a.env.Kernel.AtLeast(6, 1) {
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

// Create implements Map.
func (a *Aggregation) Create(t compiler.MapTypes) error {
	store, swap, err := a.create(t.Key)
	if err == nil {
		a.store, a.swap = store, swap
	}
	return err
}

// Discard implements Map.
func (a *Aggregation) Discard() error {
	err := a.Close()
	a.store, a.swap = nil, nil
	return err
}

// copies returns how many kernel maps of the aggregation can exist at a time.
func (a *Aggregation) copies() int {
	if a.decl.Swappable {
		return 2
	}
	return 1
}

// Retype replaces the kernel map by one with wider keys, and copies the values. Only the programs
// for the script's own adds use the map so far; they are dropped, and made again when needed.
func (a *Aggregation) Retype(t compiler.MapTypes) error {
	w, err := a.readMap(a.env.Run.Context(), a.Live())
	if err != nil {
		return err
	}
	store, swap, err := a.create(t.Key)
	if err != nil {
		return err
	}
	was := *a
	key := a.decl.Key
	widen := func(w *RawValues) (*RawValues, error) {
		if w == nil {
			return nil, nil
		}
		out := newRawValues(len(w.Keys))
		for i, k := range w.Keys {
			b := make([]byte, t.Key.Size())
			if err := a.env.Codec.Encode(t.Key, a.env.Codec.Decode(key, []byte(k)), b); err != nil {
				return nil, err
			}
			out.put(string(b), w.Vals[i])
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
	for i, k := range w.Keys {
		v := make([]byte, 8*len(w.Vals[i])*cpus) // the whole value goes to the first CPU
		for j, x := range w.Vals[i] {
			binary.NativeEndian.PutUint64(v[8*j:], x)
		}
		if err := a.Live().Update([]byte(k), v, kmap.Any); err != nil {
			return errors.Join(err, a.putBack(&was))
		}
	}
	a.swappedOut, a.deltaBase, a.canonical, a.firstByText = past, marks, nil, nil
	a.decl.MapTypes = t
	return errors.Join(a.env.DropAdds(a.decl), was.Close())
}

// putBack closes the current kernel map and restores that of was.
func (a *Aggregation) putBack(was *Aggregation) error {
	err := a.Close()
	a.store, a.swap = was.store, was.swap
	return err
}

// KernelMap returns the map that BPF instructions refer to.
func (a *Aggregation) KernelMap() *kmap.Map {
	if a.swap != nil {
		return a.swap.Outer
	}
	return a.store
}

// Live returns the map that programs currently update, or nil before the types are known.
func (a *Aggregation) Live() *kmap.Map {
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
