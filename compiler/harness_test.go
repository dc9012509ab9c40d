package compiler

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// A source is a parsed test script. Its global assignments are made of constants and of calls of the builtins that make
// maps; that is as much of the host language as the compiler's own tests need.
type source struct {
	lines []string
	ents  map[string]Entity
	last  *Func
}

var fileOptions = &syntax.FileOptions{While: true, TopLevelControl: true, GlobalReassign: true, Set: true}

func parseSource(t testing.TB, name, text string) *source {
	t.Helper()
	f, err := fileOptions.Parse(name, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	anything := func(string) bool { return true }
	if err := resolve.File(f, anything, func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	s := &source{lines: strings.Split(text, "\n"), ents: map[string]Entity{}}
	for _, st := range f.Stmts {
		switch st := st.(type) {
		case *syntax.DefStmt:
			fn := st.Function.(*resolve.Function)
			s.last = &Func{Name: fn.Name, Pos: fn.Pos, Fn: fn, Scope: s, Defaults: s.defaults(fn)}
			s.ents[fn.Name] = s.last
		case *syntax.AssignStmt:
			id := st.LHS.(*syntax.Ident)
			s.ents[id.Name] = s.entity(t, id.Name, st.RHS)
			if fn, ok := s.ents[id.Name].(*Func); ok {
				s.last = fn
			}
		}
	}
	return s
}

func (s *source) defaults(fn *resolve.Function) map[string]Entity {
	m := map[string]Entity{}
	for _, p := range fn.Params {
		if b, ok := p.(*syntax.BinaryExpr); ok {
			m[b.X.(*syntax.Ident).Name] = Const{constOf(b.Y)}
		}
	}
	return m
}

func (s *source) entity(t testing.TB, name string, x syntax.Expr) Entity {
	switch x := x.(type) {
	case *syntax.LambdaExpr:
		fn := x.Function.(*resolve.Function)
		return &Func{Name: name, Pos: fn.Pos, Fn: fn, Scope: s}
	case *syntax.CallExpr:
		kind := x.Fn.(*syntax.Ident).Name
		if kind == "stream" {
			return &Stream{name, name}
		}
		m := &Map{Name: name, Ref: name, Atomic: true}
		for i, k := range []string{"count", "sum", "avg", "min", "max", "stats", "hist", "lhist"} {
			if k == kind {
				m.Agg = &agg.Spec{Kind: agg.Kind(i), Lo: 0, Hi: 100, Step: 10}
			}
		}
		return m
	}
	return Const{constOf(x)}
}

func constOf(x syntax.Expr) any {
	list := func(xs []syntax.Expr) []any {
		var out []any
		for _, e := range xs {
			out = append(out, constOf(e))
		}
		return out
	}
	switch x := x.(type) {
	case *syntax.Literal:
		switch v := x.Value.(type) {
		case int64:
			return big.NewInt(v)
		}
		return x.Value
	case *syntax.Ident:
		return map[string]any{"None": nil, "True": true, "False": false}[x.Name]
	case *syntax.ParenExpr:
		return constOf(x.X)
	case *syntax.UnaryExpr:
		return new(big.Int).Neg(constOf(x.X).(*big.Int))
	case *syntax.TupleExpr:
		return Tuple(list(x.List))
	case *syntax.ListExpr:
		return List(list(x.List))
	case *syntax.DictExpr:
		d := Dict{}
		for _, e := range x.List {
			de := e.(*syntax.DictEntry)
			d.Keys = append(d.Keys, constOf(de.Key))
			d.Vals = append(d.Vals, constOf(de.Value))
		}
		return d
	}
	panic(fmt.Sprintf("no constant: %T", x))
}

func (s *source) Lookup(id *syntax.Ident) Entity {
	if e, ok := s.ents[id.Name]; ok {
		return e
	}
	switch id.Name {
	case "None":
		return Const{nil}
	case "True":
		return Const{true}
	case "False":
		return Const{false}
	case "PI":
		return Opaque{"float"}
	}
	if builtinRows[id.Name] != nil || hostOnly[id.Name] != "" {
		return Builtin{id.Name}
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
var testEvent = &Event{Probe: "tracepoint:test:event", Fields: []Field{
	{Name: "i32", CType: "int", Kind: FieldInt, Offset: 8, Size: 4, Signed: true},
	{Name: "u32", CType: "unsigned int", Kind: FieldInt, Offset: 12, Size: 4},
	{Name: "i64", CType: "long", Kind: FieldInt, Offset: 16, Size: 8, Signed: true},
	{Name: "u64", CType: "unsigned long", Kind: FieldInt, Offset: 24, Size: 8},
	{Name: "filename", CType: "const char *", Kind: FieldPtr, Offset: 32, Size: 8, User: true},
	{Name: "comm", CType: "char[16]", Kind: FieldChars, Offset: 40, Size: 16},
	{Name: "name", CType: "__data_loc char[]", Kind: FieldDataLoc, Offset: 56, Size: 4},
	{Name: "args", CType: "unsigned long[6]", Kind: FieldArray, Offset: 64, Size: 48, Elem: 8, Len: 6},
}, Ret: &Field{Name: "ret", Kind: FieldInt, Offset: 16, Size: 8, Signed: true}}

func (s *source) request(t testing.TB) *Request {
	ids := map[string]uint64{}
	return &Request{
		Name: "tracepoint:test:event", Handler: s.last, Event: testEvent,
		Features: Features{FetchAtomics: true, Cookie: true, ForEachElem: true, Loop: true, PerCPULookup: true},
		Source:   s.line,
		Offset:   func(typ string, path ...string) (int, int, error) { return 1000, 8, nil },
		CPUs:     func() (int, error) { return 2, nil },
		Kfunc:    func(string) (int64, error) { return 4711, nil },
		ProbeID: func(n string) uint64 {
			if ids[n] == 0 {
				ids[n] = uint64(len(ids) + 1)
			}
			return ids[n]
		},
		Cells: "cells", Ring: "ring", Control: "control", Zeros: "zeros",
		Pass: func(name string, f *ir.Func) {
			if err := ir.Verify(f); err != nil {
				t.Errorf("after %s: %v\n%s", name, err, f)
			}
		},
	}
}
