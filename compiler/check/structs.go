package check

import (
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A struct that a handler makes is a tuple in the kernel. Its type has the names of the fields, so
// the handler can read them, and the script gets a struct.

// structDisplay checks struct(name=value, ...).
func (c *Checker) structDisplay(x *syntax.CallExpr) tree.Expr {
	var names []string
	var elems []tree.Expr
	var parts []*types.Type
	bad := false
	for _, a := range x.Args {
		b, ok := a.(*syntax.BinaryExpr)
		if !ok || b.Op != syntax.EQ {
			pos, _ := a.Span()
			c.checkArgs(x)
			return c.Bad(pos, "write struct(name=value)", "struct() takes keyword arguments only")
		}
		v := c.held(b.Y)
		switch {
		case v.Type().Kind == types.Invalid:
			bad = true
		case !v.Type().Storable():
			c.Errorf(v.Position(), StoreHint(v), "%s cannot be a field of a struct in a handler", v.Type().WithArticle())
			bad = true
		}
		names, elems, parts = append(names, b.X.(*syntax.Ident).Name), append(elems, v), append(parts, v.Type())
	}
	if len(names) == 0 {
		return c.Bad(x.Lparen, "write struct(name=value)", "struct() without fields cannot be used in a handler")
	}
	if bad && !c.inferring {
		return tree.Invalid(x.Lparen)
	}
	return &tree.TupleExpr{Node: tree.At(types.TStruct(names, parts), x.Lparen), Elems: elems}
}

// structField checks v.name of a struct that a handler made.
func (c *Checker) structField(v tree.Expr, name string, pos syntax.Position) tree.Expr {
	names := v.Type().Fields()
	for i, n := range names {
		if n != name {
			continue
		}
		field := func(v any) (any, bool) { return v.(tree.Struct).Vals[i], true }
		switch t := v.(type) {
		case *tree.TupleExpr:
			return t.Elems[i]
		case *tree.ConstExpr, *chosenExpr:
			return c.OfConst(pos, t, field)
		case *tree.DictExpr:
			if t.Of == nil && t.Def == nil {
				return c.project(pos, &chosenExpr{Node: t.Node, by: t.X, keys: t.Dict.Keys, vals: t.Dict.Vals, index: t.Index}, field)
			}
		}
		return &tree.ElemExpr{Node: tree.At(v.Type().Elem.Elems[i], pos), X: v, I: i}
	}
	hint := DidYouMean(name, names)
	if hint == "" && len(names) > 0 {
		hint = "it has " + strings.Join(names, ", ")
	}
	return c.Bad(pos, hint, "the struct has no field %s", name)
}

// composedIn returns the type of the composed value that a value of type t is or contains, or nil.
func composedIn(t *types.Type) *types.Type {
	switch {
	case t.IsComposed():
		return t
	case t.Kind == types.Opt:
		return composedIn(t.Elem)
	case t.Kind == types.Tuple:
		for _, e := range t.Elems {
			if found := composedIn(e); found != nil {
				return found
			}
		}
	}
	return nil
}
