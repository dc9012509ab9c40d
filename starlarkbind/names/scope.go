package names

import (
	"math/big"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// funcScope resolves the names in a function: free variables, globals of its module, and builtins.
type funcScope struct {
	names   *Namespace
	fn      *starlark.Function // its free variables are used; nil if there are none
	globals starlark.StringDict
	outer   starlark.StringDict // globals of the prompt
}

// Lookup implements compiler.Scope.
func (sc *funcScope) Lookup(id *syntax.Ident) compiler.Entity {
	b, _ := id.Binding.(*resolve.Binding)
	if b != nil && b.Scope == resolve.Free {
		return sc.names.entity(freeVar(sc.fn, id.Name))
	}
	if v, ok := sc.globals[id.Name]; ok {
		return sc.names.entity(v)
	}
	if v, ok := sc.outer[id.Name]; ok {
		return sc.names.entity(v)
	}
	if compiler.CanCall(id.Name) { // builtins with a meaning of their own in handlers
		return compiler.Builtin{Name: id.Name}
	}
	if v, ok := sc.names.Predeclared[id.Name]; ok {
		return sc.names.entity(v)
	}
	if v, ok := starlark.Universe[id.Name]; ok {
		return sc.names.entity(v)
	}
	return sc.names.entity(sc.names.enumerator(id.Name)) // at the prompt
}

// FuncValue returns the value of a name when the script calls a function in which it stands, or
// nil.
func (n *Namespace) FuncValue(fn *starlark.Function, id *syntax.Ident) starlark.Value {
	if b, _ := id.Binding.(*resolve.Binding); b != nil && b.Scope == resolve.Free {
		return freeVar(fn, id.Name)
	}
	for _, d := range []starlark.StringDict{fn.Globals(), n.outer(fn.Position().Filename()), n.Predeclared, starlark.Universe} {
		if v, ok := d[id.Name]; ok {
			return v
		}
	}
	return nil
}

// freeVar returns the value of a variable of an enclosing function, or nil.
func freeVar(fn *starlark.Function, name string) starlark.Value {
	for i := range fn.NumFreeVars() {
		if bind, v := fn.FreeVar(i); bind.Name == name {
			return v
		}
	}
	return nil
}

// Function converts a function value to the compiler's form.
func (n *Namespace) Function(fn *starlark.Function) (*compiler.Func, error) {
	r, err := n.sources.Function(fn)
	if err != nil {
		return nil, err
	}
	f := &compiler.Func{Name: fn.Name(), Pos: fn.Position(), Fn: r, Scope: &funcScope{n, fn, fn.Globals(), n.outer(fn.Position().Filename())}, Defaults: map[string]compiler.Entity{}, ID: fn}
	for i := 0; i < fn.NumParams(); i++ {
		if d := fn.ParamDefault(i); d != nil {
			name, _ := fn.Param(i)
			f.Defaults[name] = n.entity(d)
		}
	}
	return f, nil
}

// entity returns what a value means in a handler.
func (n *Namespace) entity(v starlark.Value) compiler.Entity {
	switch v := v.(type) {
	case nil:
		return nil
	case maps.Map:
		return v.Decl()
	case interface{ Decl() *compiler.Stream }:
		return v.Decl()
	case *starlark.Function:
		f, err := n.Function(v)
		if err != nil {
			return compiler.Opaque{Type: "function without source"}
		}
		return f
	case *starlark.Builtin:
		if v.Receiver() != nil {
			return compiler.Opaque{Type: "bound method"}
		}
		return compiler.Builtin{Name: v.Name()}
	}
	if c, ok := constant(v); ok {
		return compiler.Const{V: c}
	}
	return compiler.Opaque{Type: v.Type(), Part: opaquePart(v)}
}

// opaquePart says which field of a struct is no constant: "ratio is a float".
func opaquePart(v starlark.Value) string {
	s, ok := v.(*structs.Struct)
	if !ok {
		return ""
	}
	names := s.AttrNames()
	for i, field := range s.Values() {
		if _, ok := constant(field); !ok {
			return names[i] + " is " + types.WithArticle(field.Type())
		}
	}
	return ""
}

// constant converts a value to a compile-time constant. It returns false for values that cannot be
// one.
func constant(v starlark.Value) (any, bool) {
	seq := func(it starlark.Iterable) ([]any, bool) {
		var out []any
		iter := it.Iterate()
		defer iter.Done()
		var e starlark.Value
		for iter.Next(&e) {
			c, ok := constant(e)
			if !ok {
				return nil, false
			}
			out = append(out, c)
		}
		return out, true
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, true
	case starlark.Bool:
		return bool(v), true
	case starlark.Int:
		return new(big.Int).Set(v.BigInt()), true
	case starlark.String:
		return string(v), true
	case starlark.Bytes:
		return compiler.Bytes(v), true
	case starlark.Tuple:
		l, ok := seq(v)
		return compiler.Tuple(l), ok
	case *starlark.List:
		l, ok := seq(v)
		return compiler.List(l), ok
	case *starlark.Set:
		l, ok := seq(v)
		return compiler.Set(l), ok
	case *starlark.Dict:
		var d compiler.Dict
		for _, item := range v.Items() {
			k, ok := constant(item[0])
			if !ok {
				return nil, false
			}
			val, ok := constant(item[1])
			if !ok {
				return nil, false
			}
			d.Keys, d.Vals = append(d.Keys, k), append(d.Vals, val)
		}
		return d, true
	case *structs.Struct:
		s := compiler.Struct{Names: v.AttrNames()}
		for _, field := range v.Values() {
			c, ok := constant(field)
			if !ok {
				return nil, false
			}
			s.Vals = append(s.Vals, c)
		}
		return s, true
	}
	return nil, false
}
