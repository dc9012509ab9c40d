package compiler

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// A source is a parsed test script. Its global assignments may use constants and the builtins that
// create maps; the compiler's own tests need no more of the host language.
type source struct {
	lines []string
	ents  map[string]Entity
	last  *Func
}

var fileOptions = &syntax.FileOptions{While: true, TopLevelControl: true, GlobalReassign: true, Set: true}

func parseSource(t testing.TB, name, text string) *source {
	t.Helper()
	s, err := readSource(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func readSource(name, text string) (*source, error) {
	f, err := fileOptions.Parse(name, text, 0)
	if err != nil {
		return nil, err
	}
	anything := func(string) bool { return true }
	if err := resolve.File(f, anything, func(string) bool { return false }); err != nil {
		return nil, err
	}
	s := &source{lines: strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n"), ents: map[string]Entity{}}
	for _, st := range f.Stmts {
		switch st := st.(type) {
		case *syntax.DefStmt:
			fn := st.Function.(*resolve.Function)
			s.last, err = s.function(fn.Name, fn)
			if err != nil {
				return nil, err
			}
			s.ents[fn.Name] = s.last
		case *syntax.AssignStmt:
			id, ok := st.LHS.(*syntax.Ident)
			if !ok {
				return nil, fmt.Errorf("%v: not a name", st.OpPos)
			}
			ent, err := s.entity(id.Name, st.RHS)
			if err != nil {
				return nil, err
			}
			s.ents[id.Name] = ent
			if fn, ok := ent.(*Func); ok {
				s.last = fn
			}
		}
	}
	return s, nil
}

func (s *source) function(name string, fn *resolve.Function) (*Func, error) {
	f := &Func{Name: name, Pos: fn.Pos, Fn: fn, Scope: s, Defaults: map[string]Entity{}}
	for _, p := range fn.Params {
		if b, ok := p.(*syntax.BinaryExpr); ok {
			v, err := constOf(b.Y)
			if err != nil {
				return nil, err
			}
			f.Defaults[b.X.(*syntax.Ident).Name] = Const{V: v}
		}
	}
	return f, nil
}

func (s *source) entity(name string, x syntax.Expr) (Entity, error) {
	switch x := x.(type) {
	case *syntax.LambdaExpr:
		return s.function(name, x.Function.(*resolve.Function))
	case *syntax.CallExpr:
		kind, ok := x.Fn.(*syntax.Ident)
		if !ok {
			return nil, fmt.Errorf("%v: not a map", x.Lparen)
		}
		if kind.Name == "stream" {
			return &Stream{Name: name, Ref: name}, nil
		}
		if kind.Name == "struct" {
			v, err := constOf(x)
			return Const{V: v}, err
		}
		m := &Map{Name: name, Ref: name, Atomic: true}
		for i, k := range []string{"count", "sum", "avg", "min", "max", "stats", "hist", "lhist"} {
			if k == kind.Name {
				m.Agg = &agg.Spec{Kind: agg.Kind(i), Lo: 0, Hi: 100, Step: 10}
			}
		}
		return m, nil
	}
	v, err := constOf(x)
	return Const{V: v}, err
}

func constOf(x syntax.Expr) (any, error) {
	list := func(xs []syntax.Expr) ([]any, error) {
		var out []any
		for _, e := range xs {
			v, err := constOf(e)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	}
	switch x := x.(type) {
	case *syntax.Literal:
		switch v := x.Value.(type) {
		case int64:
			return big.NewInt(v), nil
		case *big.Int, string:
			return v, nil
		}
	case *syntax.Ident:
		if v, ok := map[string]any{"None": nil, "True": true, "False": false}[x.Name]; ok {
			return v, nil
		}
	case *syntax.ParenExpr:
		return constOf(x.X)
	case *syntax.UnaryExpr:
		v, err := constOf(x.X)
		if n, ok := v.(*big.Int); ok && x.Op == syntax.MINUS {
			return new(big.Int).Neg(n), err
		}
	case *syntax.TupleExpr:
		v, err := list(x.List)
		return Tuple(v), err
	case *syntax.ListExpr:
		v, err := list(x.List)
		return List(v), err
	case *syntax.DictExpr:
		return constDict(x)
	case *syntax.CallExpr: // struct(name=value)
		s := Struct{}
		for _, a := range x.Args {
			b := a.(*syntax.BinaryExpr)
			v, err := constOf(b.Y)
			if err != nil {
				return nil, err
			}
			s.Names, s.Vals = append(s.Names, b.X.(*syntax.Ident).Name), append(s.Vals, v)
		}
		return s, nil
	}
	return nil, fmt.Errorf("no constant: %T", x)
}

func constDict(x *syntax.DictExpr) (any, error) {
	d := Dict{}
	for _, e := range x.List {
		de := e.(*syntax.DictEntry)
		k, err := constOf(de.Key)
		if err != nil {
			return nil, err
		}
		v, err := constOf(de.Value)
		if err != nil {
			return nil, err
		}
		d.Keys, d.Vals = append(d.Keys, k), append(d.Vals, v)
	}
	return d, nil
}

// scriptOnly lists builtins of scripts that test scripts call in handlers.
var scriptOnly = []string{"dict", "enumerate", "errors", "list", "probe", "range", "run", "sprintf", "type"}

func (s *source) Lookup(id *syntax.Ident) Entity {
	if e, ok := s.ents[id.Name]; ok {
		return e
	}
	switch id.Name {
	case "None":
		return Const{V: nil}
	case "True":
		return Const{V: true}
	case "False":
		return Const{V: false}
	case "PI":
		return Opaque{Type: "float"}
	}
	if CanCall(id.Name) || slices.Contains(scriptOnly, id.Name) {
		return Builtin{Name: id.Name}
	}
	return nil
}

func (s *source) line(pos syntax.Position) string {
	if n := int(pos.Line); n >= 1 && n <= len(s.lines) {
		return s.lines[n-1]
	}
	return ""
}

// testEvent has one field of each kind.
var testEvent = &Event{Probe: "tracepoint:test:event", Event: abi.Event{Fields: []abi.Field{
	{Name: "i32", CType: "int", Kind: abi.FieldInt, Offset: 8, Size: 4, Signed: true},
	{Name: "u32", CType: "unsigned int", Kind: abi.FieldInt, Offset: 12, Size: 4},
	{Name: "i64", CType: "long", Kind: abi.FieldInt, Offset: 16, Size: 8, Signed: true},
	{Name: "u64", CType: "unsigned long", Kind: abi.FieldInt, Offset: 24, Size: 8},
	{Name: "filename", CType: "const char *", Kind: abi.FieldPointer, Offset: 32, Size: 8, User: true},
	{Name: "comm", CType: "char[16]", Kind: abi.FieldCharArray, Offset: 40, Size: 16},
	{Name: "name", CType: "__data_loc char[]", Kind: abi.FieldDataLocString, Offset: 56, Size: 4},
	{Name: "args", CType: "unsigned long[6]", Kind: abi.FieldArray, Offset: 64, Size: 48, ElemSize: 8, Len: 6},
	{Name: "p", CType: "struct task_struct *", Kind: abi.FieldPointer, Offset: 112, Size: 8},
}}, Ret: &abi.Field{Name: "ret", Kind: abi.FieldInt, Offset: 16, Size: 8, Signed: true}}

// testHost is a host with one kernel symbol, one program and one cgroup.
type testHost struct{}

func (testHost) KernelAddr(name string) (uint64, error) {
	if name == "vfs_read" {
		return 0xffffffff81000000, nil
	}
	return 0, &HostError{Msg: fmt.Sprintf("the kernel has no symbol %q", name), Hint: `did you mean "vfs_read"?`}
}

func (testHost) UserAddr(symbol, path string) (uint64, error) {
	if symbol == "main" && path != "" {
		return 0x401000, nil
	}
	return 0, fmt.Errorf("no symbol %q in %q", symbol, path)
}

func (testHost) CgroupID(path string) (uint64, error) {
	if path == "/" {
		return 1, nil
	}
	return 0, fmt.Errorf("no cgroup %s", path)
}

func (testHost) WallClock() int64 { return 1_000_000_000 }

func (s *source) request(t testing.TB) *Request {
	ids := map[string]uint64{}
	return &Request{
		Name: "tracepoint:test:event", Handler: s.last, Event: testEvent,
		Features: Features{FetchAtomics: true, Cookie: true, ForEachElem: true, Loop: true, PerCPULookup: true},
		Source:   s.line,
		CPUs:     func() (int, error) { return 2, nil },
		Types:    newFakeTypes(),
		Kfunc:    func(string) (int64, error) { return 4711, nil },
		Host:     testHost{},
		ProbeID: func(n string) uint64 {
			if ids[n] == 0 {
				ids[n] = uint64(len(ids) + 1)
			}
			return ids[n]
		},
		Cells: "cells", Ring: "ring", Control: "control", Zeros: "zeros", Scratch: "scratch",
		Pass: func(name string, f *ir.Func) {
			if err := ir.Verify(f); err != nil {
				t.Errorf("after %s: %v\n%s", name, err, f)
			}
		},
	}
}
