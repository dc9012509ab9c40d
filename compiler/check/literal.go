package check

import (
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Lists and dicts written in a handler are read-only, because nothing in the kernel could change
// them. A list or dict of constants is treated as a captured one. A list of values that the handler
// computes is allowed only where it is read immediately; it is then a tuple.

// sequence checks an expression that is only read here: searched, indexed, or looped over.
func (c *Checker) sequence(x syntax.Expr) tree.Expr {
	if l, ok := unparen(x).(*syntax.ListExpr); ok {
		return c.listDisplay(l, true)
	}
	return c.expr(x)
}

func (c *Checker) listDisplay(x *syntax.ListExpr, read bool) tree.Expr {
	elems := c.exprs(x.List)
	list := tree.List{}
	for _, e := range elems {
		if k, ok := e.(*tree.ConstExpr); ok && k.T.Kind != types.Invalid && k.T.Kind != types.Formatted {
			list = append(list, k.Value)
		}
	}
	if len(list) == len(elems) {
		return &tree.ConstExpr{Node: tree.At(types.TList, x.Lbrack), Value: list}
	}
	e := c.tupleOf(x.Lbrack, elems)
	if !read && e.Type().Kind != types.Invalid {
		return c.Bad(e.Position(), "use a tuple: (a, b)", "a handler cannot store a list of computed values")
	}
	return e
}

func (c *Checker) dictDisplay(x *syntax.DictExpr) tree.Expr {
	d := tree.Dict{}
	seen := map[string]bool{}
	ok := true
	constant := func(x syntax.Expr, what string) any {
		e := c.expr(x)
		k, isConst := e.(*tree.ConstExpr)
		switch {
		case e.Type().Kind == types.Invalid:
			ok = false
		case !isConst:
			c.Errorf(e.Position(), "use a table() for what the handler computes", "the %s of a dict in a handler must be constants", what)
			ok = false
		default:
			return k.Value
		}
		return nil
	}
	for _, e := range x.List {
		entry := e.(*syntax.DictEntry)
		k, v := constant(entry.Key, "keys"), constant(entry.Value, "values")
		if text := tree.ConstRepr(k); ok && seen[text] {
			c.Errorf(entry.Colon, "", "duplicate key: %s", tree.ConstText(k))
			ok = false
		} else {
			seen[text] = true
		}
		d.Keys, d.Vals = append(d.Keys, k), append(d.Vals, v)
	}
	if !ok {
		return tree.Invalid(x.Lbrace)
	}
	return &tree.ConstExpr{Node: tree.At(types.TDict, x.Lbrace), Value: d}
}

// pick checks x[i] of a tuple or a constant list, with an index that is known only at run time.
func (c *Checker) pick(pos syntax.Position, x, i tree.Expr) tree.Expr {
	i = c.WantInt(i, "the index of the "+x.Type().Kind.Noun())
	if i.Type().Kind == types.Invalid {
		return i
	}
	var d tree.Dict
	n := len(x.Type().Elems)
	if k, ok := x.(*tree.ConstExpr); ok {
		list, _ := tree.ConstElems(k.Value)
		n = len(list)
		d.Vals = append(append(d.Vals, list...), list...)
		x = nil
	}
	if n == 0 {
		return c.Bad(pos, "test its length first: if len(x) > 0: ...", "index out of range: it is empty")
	}
	if n > maxSearch/2 {
		return c.Bad(pos, "fill a table() from the script", "%d elements are too many for an index that is not constant (at most %d)", n, maxSearch/2)
	}
	for at := range 2 * n {
		if at >= n {
			at -= 2 * n // counted from the end
		}
		d.Keys = append(d.Keys, big.NewInt(int64(at)))
	}
	e := &tree.DictExpr{Node: tree.At(types.TInvalid, pos), X: i, Dict: d, Of: x, Index: true}
	elem := func(j int) (*types.Type, bool) {
		if x != nil {
			return x.Type().Elems[j], true
		}
		if tree.TrailingNUL(d.Vals[j]) {
			c.badNUL(pos, d.Vals[j])
			return nil, false
		}
		t := tree.ConstType(d.Vals[j])
		if t == nil || !t.Storable() {
			c.Errorf(pos, elementHint(d.Vals[j]), "an element cannot be used in a handler: %s", tree.ConstText(d.Vals[j]))
			return nil, false
		}
		return t, true
	}
	for j := range n {
		t, ok := elem(j)
		if !ok {
			return tree.Invalid(pos)
		}
		join := types.Either(e.T, t)
		if join == nil {
			return c.Bad(pos, meetHint(e.T, t), "the elements have several types: %s and %s", e.T, t)
		}
		e.T = join
	}
	return e
}

// maxSearch is the maximum size of a captured collection that a handler searches: each element is a
// comparison in the program.
const maxSearch = 4096
