package maps

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/dictbuild"
	"github.com/bpfrepl/bpfrepl/starlarkbind/methods"
)

// A Table is a dict shared by the kernel and the script. Its types are those of its first use, in
// the script or in a handler.
type Table struct {
	env     *Env
	decl    *compiler.Map
	maxKeys int
	store   *kmap.Map
	own     tallies
	seen    bool // the script has read the contents
	usage   usage
}

var (
	_ starlark.IterableMapping = (*Table)(nil)
	_ starlark.Sequence        = (*Table)(nil)
	_ starlark.HasSetKey       = (*Table)(nil)
	_ starlark.HasAttrs        = (*Table)(nil)
)

// NewTable returns a table without a kernel map.
func NewTable(env *Env, decl *compiler.Map, maxKeys int) *Table {
	return &Table{env: env, decl: decl, maxKeys: maxKeys}
}

func (t *Table) Name() string          { return t.decl.Name }
func (t *Table) String() string        { return t.env.Text(t) }
func (t *Table) Type() string          { return "table" }
func (t *Table) Freeze()               {} // a handle: its contents live in the kernel
func (t *Table) Truth() starlark.Bool  { return true }
func (t *Table) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: table") }

func (t *Table) Decl() *compiler.Map { return t.decl }
func (t *Table) MaxKeys() int        { return t.maxKeys }
func (t *Table) Seen() bool          { return t.seen }

// KernelMap returns the map that BPF instructions refer to, or nil before the types are known.
func (t *Table) KernelMap() *kmap.Map { return t.store }

// Create implements Map.
func (t *Table) Create(types compiler.MapTypes) error {
	store, err := t.create(types.Key, types.Val)
	if err == nil {
		t.store = store
	}
	return err
}

// Discard implements Map.
func (t *Table) Discard() error {
	err := t.Close()
	t.store = nil
	return err
}

func (t *Table) create(key, val *types.Type) (*kmap.Map, error) {
	ms := kmap.Spec{Name: t.decl.Name, Type: ebpf.Hash, KeySize: uint32(max(key.Size(), 8)), ValueSize: uint32(max(val.Size(), 8)), MaxEntries: uint32(t.maxKeys)}
	if t.decl.LRU {
		ms.Type = ebpf.LRUHash
	}
	return kmap.New(ms)
}

// growFor creates the table or widens its types so that it can hold k and v.
func (t *Table) growFor(k, v starlark.Value) error {
	want := t.decl.MapTypes
	grow := func(has **types.Type, x starlark.Value, what string) error {
		if *has != nil && t.store == nil {
			return nil // declared
		}
		u, err := codec.TypeOf(x)
		if err != nil {
			return fmt.Errorf("table %q: %s: %w", t.Name(), what, err)
		}
		if *has == nil {
			*has = u
		} else if j := types.Join(*has, u); j != nil && !(*has).IsInt() {
			*has = j
		}
		return nil
	}
	if err := grow(&want.Key, k, "key"); err != nil {
		return err
	}
	if err := grow(&want.Val, v, "value"); err != nil {
		return err
	}
	if t.store == nil {
		// No probe may exist yet, and older kernels count maps as locked memory.
		if err := t.env.Prepare(); err != nil {
			return err
		}
		store, err := t.create(want.Key, want.Val)
		if err != nil {
			return err
		}
		t.decl.Open = t.decl.Key == nil && t.decl.Val == nil
		at := t.env.Run.Position()
		if want.KeyAt = t.decl.KeyAt; t.decl.Key == nil {
			want.KeyAt = at
		}
		if want.ValAt = t.decl.ValAt; t.decl.Val == nil {
			want.ValAt = at
		}
		t.store, t.decl.MapTypes = store, want
		return nil
	}
	if want.Key.Equal(t.decl.Key) && want.Val.Equal(t.decl.Val) {
		return nil
	}
	return t.Retype(want)
}

// Retype recreates the map with wider types. At this point only the programs for the script's own
// adds use the map, and those are recreated.
func (t *Table) Retype(want compiler.MapTypes) (err error) {
	items, err := t.entries()
	if err != nil {
		return err
	}
	store, err := t.create(want.Key, want.Val)
	if err != nil {
		return err
	}
	if err := t.env.DropAdds(t.decl); err != nil {
		return errors.Join(err, store.Close())
	}
	old, was := t.store, t.decl.MapTypes
	t.store, t.decl.MapTypes = store, want
	for _, it := range items {
		if err := t.Put(it[0], it[1]); err != nil {
			t.store, t.decl.MapTypes = old, was
			return errors.Join(err, store.Close())
		}
	}
	return old.Close()
}

// Close implements io.Closer.
func (t *Table) Close() error {
	if t.store == nil {
		return nil
	}
	return t.store.Close()
}

// keyBytes encodes a key.
func (t *Table) keyBytes(k starlark.Value) ([]byte, error) {
	b := make([]byte, max(t.decl.Key.Size(), 8))
	if err := t.env.Codec.Encode(t.decl.Key, k, b); err != nil {
		return nil, fmt.Errorf("table %q: key: %w", t.Name(), err)
	}
	return b, nil
}

// Get implements starlark.Mapping.
func (t *Table) Get(k starlark.Value) (starlark.Value, bool, error) {
	t.seen = true
	if t.store == nil {
		return nil, false, nil
	}
	b, err := t.keyBytes(k)
	if err != nil {
		return nil, false, nil // a key of another type cannot be present
	}
	v, err := t.store.Lookup(b)
	if errors.Is(err, kmap.ErrKeyNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return t.env.Codec.Decode(t.decl.Val, v), true, nil
}

// SetKey implements starlark.HasSetKey for t[k] = v.
func (t *Table) SetKey(k, v starlark.Value) error {
	if t.store == nil || t.decl.Open {
		if err := t.growFor(k, v); err != nil {
			return err
		}
	}
	return t.Put(k, v)
}

// Put stores a key and a value, which must fit the table's types.
func (t *Table) Put(k, v starlark.Value) error {
	kb, err := t.keyBytes(k)
	if err != nil {
		return err
	}
	vb := make([]byte, max(t.decl.Val.Size(), 8))
	if err := t.env.Codec.Encode(t.decl.Val, v, vb); err != nil {
		return fmt.Errorf("table %q: value: %w", t.Name(), err)
	}
	if t.decl.LRU {
		return t.own.set(t.store, kb, vb)
	}
	return t.store.Update(kb, vb, kmap.Any)
}

func (t *Table) entries() (_ []starlark.Tuple, err error) {
	t.seen = true
	if t.store == nil {
		return nil, nil
	}
	snap, err := t.store.Snapshot(t.env.Run.Context())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	out := make([]starlark.Tuple, snap.N)
	for i := range out {
		if err := t.env.Run.Interrupted(i); err != nil {
			return nil, err
		}
		out[i] = starlark.Tuple{t.env.Codec.Decode(t.decl.Key, snap.Key(i)), t.env.Codec.Decode(t.decl.Val, snap.Value(i))}
	}
	return out, nil
}

// Items implements starlark.IterableMapping.
func (t *Table) Items() []starlark.Tuple {
	items, err := t.entries()
	if err != nil {
		t.env.Out.ReportError(err)
	}
	return items
}

// Iterate implements starlark.Iterable, over the keys.
func (t *Table) Iterate() starlark.Iterator { return keyIterator(t.Items()) }

// Len implements starlark.Sequence: the number of keys.
func (t *Table) Len() int {
	t.seen = true
	if t.store == nil {
		return 0
	}
	n, err := t.store.Count(t.env.Run.Context())
	if err != nil {
		t.env.Out.ReportError(err)
	}
	return n
}

func (t *Table) Snapshot() (starlark.Value, error) {
	items, err := t.entries()
	if err != nil {
		return nil, err
	}
	m := dictbuild.Builder{Ctx: t.env.Run.Context(), Alike: t.decl.Key != nil && t.decl.Key.SameText()}
	defer m.Close()
	return dictbuild.Fill(&m, len(items), 1, func(i int) starlark.Tuple { return items[i] }, func(it starlark.Tuple) starlark.Value { return it[0] }, func(it starlark.Tuple) starlark.Value { return it[1] })
}

// pop removes a key and returns its value. If several callers pop the same key, in the script or in
// the kernel, only one gets the value.
func (t *Table) pop(k starlark.Value) (starlark.Value, bool, error) {
	v, ok, err := t.Get(k)
	if err != nil || !ok {
		return nil, false, err
	}
	b, err := t.keyBytes(k)
	if err != nil {
		return nil, false, err
	}
	switch mine, err := t.remove(b); {
	case err != nil:
		return nil, false, err
	case !mine:
		return nil, false, nil
	}
	return v, true, nil
}

// remove removes a key and reports whether the key was present.
func (t *Table) remove(key []byte) (bool, error) {
	err := t.store.Delete(key)
	if errors.Is(err, kmap.ErrKeyNotExist) {
		return false, nil
	}
	if err == nil {
		t.own.gone++
	}
	return err == nil, err
}

// clear removes the keys that are present when it is called.
func (t *Table) clear() (err error) {
	if t.store == nil {
		return nil
	}
	snap, err := t.store.Snapshot(t.env.Run.Context())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	for i := range snap.N {
		if err := t.env.Run.Interrupted(i); err != nil {
			return err
		}
		if _, err := t.remove(snap.Key(i)); err != nil {
			return err
		}
	}
	return nil
}

var TableMethods = []methods.Row[*Table]{
	methods.New("add", "add(value=1, by)", "add atomically, from 0 if the key is absent; returns the new value", "n = seen.add(1, by=7)", func(t *Table, thread *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var value, by starlark.Value = starlark.MakeInt(1), nil
		if err := starlark.UnpackArgs("add", args, kw, "value?", &value, "by", &by); err != nil {
			return nil, err
		}
		return t.env.Add(thread, t.decl, value, by)
	}),
	methods.New("clear", "clear()", "remove all keys", "seen.clear()", func(t *Table, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		if err := starlark.UnpackArgs("clear", args, kw); err != nil {
			return nil, err
		}
		return starlark.None, t.clear()
	}),
	methods.New("get", "get(key, default=None)", "the value of a key, or the default", "seen.get(7, 0)", func(t *Table, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return getDefault(t, args, kw)
	}),
	methods.New("items", "items()", "list of (key, value)", "for k, v in seen.items(): print(k, v)", func(t *Table, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		e, err := t.entries()
		return list(e), err
	}),
	methods.New("keys", "keys()", "list of keys", "sorted(seen.keys())", func(t *Table, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		e, err := t.entries()
		return column(e, 0), err
	}),
	methods.New("pop", "pop(key, default=None)", "remove a key and return its value, or the default", "seen.pop(7)", func(t *Table, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var key, def starlark.Value = nil, starlark.None
		if err := starlark.UnpackArgs("pop", args, kw, "key", &key, "default?", &def); err != nil {
			return nil, err
		}
		v, ok, err := t.pop(key)
		if err != nil || ok {
			return v, err
		}
		return def, nil
	}),
	methods.New("snapshot", "snapshot()", "a plain dict", "before = seen.snapshot()", func(t *Table, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return t.Snapshot()
	}),
	methods.New("values", "values()", "list of values", "sum(seen.values())", func(t *Table, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		e, err := t.entries()
		return column(e, 1), err
	}),
}

// Attr implements starlark.HasAttrs.
func (t *Table) Attr(name string) (starlark.Value, error) {
	return methods.Attr(t, name, TableMethods, func(name string) (starlark.Value, error) {
		switch name {
		case "name":
			return starlark.String(t.Name()), nil
		case "dropped":
			n, err := t.env.Dropped(t.decl)
			return starlark.MakeUint64(n), err
		case "evicted":
			n, err := t.Evicted(t.env.Run.Context())
			return starlark.MakeUint64(n), err
		}
		return nil, nil
	})
}

// AttrNames implements starlark.HasAttrs.
func (t *Table) AttrNames() []string {
	return methods.Names(TableMethods, "dropped", "evicted", "name")
}
