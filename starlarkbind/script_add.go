package starlarkbind

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// hostAddSource is the source of the programs for adds from the script. An add() from the script
// runs in the kernel. Each place in the script that adds has a program of its own, which the
// compiler makes from this source as it would a handler's. The kernel runs it on request
// (BPF_PROG_TEST_RUN). An add is therefore exact even if handlers add to the same key, and failures
// are counted and reported in the same way.
const hostAddSource = `
def add_keyless(e):
    target.add(e.args.value)

def add_keyed(e):
    target.add(e.args.value, by=e.args.key)

def add_table(e):
    result[0] = cast(target.add(e.args.value, by=e.args.key), "long")

def add_keyed_boxed(e):
    target.add(e.args.value, by=box[0])

def add_table_boxed(e):
    result[0] = cast(target.add(e.args.value, by=box[0]), "long")
`

// maxHostKey is the space for a key in the context of such a program: 12 words, less one for the
// value. A larger key is passed in a table, the box.
const maxHostKey = 11 * 8

// addPlace is a place in a script that adds to a map.
type addPlace struct {
	m  *compiler.Map
	at source.Place
}

// hostAdds holds the programs for adds from the script.
type hostAdds struct {
	funcs  map[string]*resolve.Function
	byAt   map[addPlace]hostAdder
	result *maps.Table // holds the result of table.add
}

// A hostAdder is the program of one place.
type hostAdder struct {
	p   *Probe
	box *maps.Table // for large keys; nil: the key is in the context
}

// hostScope resolves the names in hostAddSource.
type hostScope struct{ target, result, box *compiler.Map }

// Lookup implements compiler.Scope.
func (h hostScope) Lookup(id *syntax.Ident) compiler.Entity {
	switch id.Name {
	case "target":
		return h.target
	case "result":
		return h.result
	case "cast":
		return compiler.Builtin{Name: "cast"}
	case "box":
		return h.box
	}
	return nil
}

// scriptAdd implements add() of aggregations and tables in the script. by is nil if the call has no
// key; None is one if the keys may be None.
func (s *Session) scriptAdd(thread *starlark.Thread, m *compiler.Map, value, by starlark.Value) (starlark.Value, error) {
	if err := sys.Prepare(); err != nil {
		return nil, scriptError(err)
	}
	given := by != nil
	if !given {
		by = starlark.None
	}
	key := m.Key
	if key == nil || m.Open {
		t, err := codec.TypeOf(by)
		if err != nil {
			return nil, fmt.Errorf("%s %q: key: %w", m.Kind(), m.Name, err)
		}
		if key == nil {
			key = t
		} else if j := types.Join(key, t); j != nil && key.Kind != types.None && t.Kind != types.None {
			key = j // no handler uses the map yet, so the type can grow
		}
	}
	if m.Agg != nil && (key.Kind == types.None) != (by == starlark.None) && !(given && key.Kind == types.Opt) {
		return nil, keyError(m, key)
	}
	boxed := key.Size() > maxHostKey
	ctx := make([]byte, 8+max((key.Size()+7)&^7, 8))
	added := types.TInt
	if n, ok := value.(starlark.Int); ok {
		if _, fits := n.Int64(); !fits {
			added = types.TUint
		}
	}
	if err := s.codec.Encode(added, value, ctx); err != nil {
		return nil, fmt.Errorf("%s %q: the value to add: %w", m.Kind(), m.Name, err)
	}
	if err := s.codec.Encode(key, by, ctx[8:]); err != nil {
		return nil, fmt.Errorf("%s %q: key: %w", m.Kind(), m.Name, err)
	}
	signed := added == types.TInt
	if m.Val != nil {
		signed = m.Val.Kind != types.Uint
	}
	a, err := s.hostAddProgram(thread.CallFrame(1).Pos, m, key, signed, boxed)
	if err != nil {
		return nil, scriptError(err)
	}
	if boxed {
		if err := a.box.Put(starlark.MakeInt(0), by); err != nil {
			return nil, err
		}
		ctx = ctx[:8]
	}
	words := make([]uint64, len(ctx)/8)
	for i := range words {
		words[i] = binary.NativeEndian.Uint64(ctx[8*i:])
	}
	if _, err := a.p.programs[0].prog.TestRun(words); err != nil {
		return nil, scriptError(err)
	}
	if m.Agg != nil {
		return starlark.None, nil
	}
	v, _, err := s.adds.result.Get(starlark.MakeInt(0))
	if n, ok := v.(starlark.Int); ok && !signed {
		word, _ := n.Int64()
		return starlark.MakeUint64(uint64(word)), err
	}
	return v, err
}

// keyError returns the error for an add with a key to a map without keys, or the reverse.
func keyError(m *compiler.Map, key *types.Type) error {
	first := ""
	if m.KeyAt.IsValid() {
		first = fmt.Sprintf(" (see the add at %s)", m.KeyAt)
	}
	if key.Kind == types.None {
		return fmt.Errorf("%s %q has no keys%s, and this add has one; leave out by= here, or make another %s()", m.Kind(), m.Name, first, m.Kind())
	}
	return fmt.Errorf("%s %q has keys of type %s%s, and this add has none; write by=, or make another %s()", m.Kind(), m.Name, key, first, m.Kind())
}

// hostAddProgram returns the program of a place. It creates the program on first use.
func (s *Session) hostAddProgram(pos syntax.Position, m *compiler.Map, key *types.Type, signed, boxed bool) (hostAdder, error) {
	none := hostAdder{}
	if s.adds == nil {
		f, err := source.Options.Parse("add", hostAddSource, 0)
		if err == nil {
			all := func(string) bool { return true }
			err = resolve.File(f, all, all)
		}
		if err != nil {
			return none, err
		}
		s.adds = &hostAdds{funcs: map[string]*resolve.Function{}, byAt: map[addPlace]hostAdder{}}
		for _, st := range f.Stmts {
			fn := st.(*syntax.DefStmt).Function.(*resolve.Function)
			s.adds.funcs[fn.Name] = fn
		}
		s.adds.result = maps.NewTable(s.mapEnv, &compiler.Map{Name: "result", Ref: s.reg.newRef("result"), Atomic: true}, 1)
		s.addMap(s.adds.result)
	}
	at := addPlace{m, source.PlaceOf(pos)}
	if a, ok := s.adds.byAt[at]; ok && (m.Key == nil || m.Key.Equal(key)) {
		return a, nil
	}
	name := "add_table"
	if m.Agg != nil {
		name = "add_keyed"
		if key.Kind == types.None {
			name = "add_keyless"
		}
	}
	var a hostAdder
	scope := hostScope{m, s.adds.result.Decl(), nil}
	if boxed {
		name += "_boxed"
		scope.box = &compiler.Map{Name: "box", Ref: s.reg.newRef("box"), Atomic: true, MapTypes: compiler.MapTypes{Key: types.TInt, Val: key}}
		a.box = maps.NewTable(s.mapEnv, scope.box, 1)
		s.addMap(a.box)
	}
	fn := s.adds.funcs[name]
	ev := &compiler.Event{Probe: "script", Event: abi.Event{Fields: []abi.Field{
		{Name: "value", Kind: abi.FieldInt, Size: 8, Signed: signed},
		{Name: "key", Kind: abi.FieldValue, Offset: 8, Type: key},
	}}}
	h := &compiler.Func{Name: name, Pos: pos, Fn: fn, Scope: scope}
	code, err := compiler.Compile(s.request("script", h, ev))
	if err != nil {
		return none, err
	}
	for i := range code.Sites {
		code.Sites[i].Pos = pos
	}
	for i := range code.Maps {
		if use := &code.Maps[i]; use.Map == m {
			use.Types.KeyAt, use.Types.ValAt = pos, pos
		}
	}
	p := &Probe{s: s, name: "script"}
	l := &loader{s: s, p: p, adds: m}
	if err := l.loadOne(nil, nil, ebpf.RawTracepoint, code); err != nil {
		return none, errors.Join(err, l.rollback())
	}
	l.commit()
	s.reg.remember(p)
	a.p = p
	s.adds.byAt[at] = a
	return a, nil
}

// dropAdds closes the programs of the script's adds to a map that is about to be recreated.
func (s *Session) dropAdds(m *compiler.Map) error {
	if s.adds == nil {
		return nil
	}
	var errs []error
	for at, a := range s.adds.byAt {
		if at.m != m {
			continue
		}
		delete(s.adds.byAt, at)
		s.reg.forget(a.p)
		errs = append(errs, a.p.close())
	}
	return errors.Join(errs...)
}
