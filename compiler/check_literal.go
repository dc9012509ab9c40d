package compiler

import (
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Lists and dicts written in a handler are read-only, because nothing in the kernel could change
// them. A list or dict of constants is treated as a captured one. A list of values that the handler
// computes is allowed only where it is read immediately; it is then a tuple.

// sequence checks an expression that is only read here: searched, indexed, or looped over.
func (c *checker) sequence(x syntax.Expr) expr {
	if l, ok := unparen(x).(*syntax.ListExpr); ok {
		return c.listDisplay(l, true)
	}
	return c.expr(x)
}

func (c *checker) listDisplay(x *syntax.ListExpr, read bool) expr {
	elems := c.exprs(x.List)
	list := List{}
	for _, e := range elems {
		if k, ok := e.(*eConst); ok && k.t.Kind != types.Invalid && k.t.Kind != types.Formatted {
			list = append(list, k.v)
		}
	}
	if len(list) == len(elems) {
		return &eConst{node{types.TList, x.Lbrack}, list}
	}
	e := c.tupleOf(x.Lbrack, elems)
	if !read && e.typ().Kind != types.Invalid {
		return c.bad(e.position(), "use a tuple: (a, b)", "a handler cannot store a list of computed values")
	}
	return e
}

func (c *checker) dictDisplay(x *syntax.DictExpr) expr {
	d := Dict{}
	seen := map[string]bool{}
	ok := true
	constant := func(x syntax.Expr, what string) any {
		e := c.expr(x)
		k, isConst := e.(*eConst)
		switch {
		case e.typ().Kind == types.Invalid:
			ok = false
		case !isConst:
			c.errorf(e.position(), "use a table() for what the handler computes", "the %s of a dict in a handler must be constants", what)
			ok = false
		default:
			return k.v
		}
		return nil
	}
	for _, e := range x.List {
		entry := e.(*syntax.DictEntry)
		k, v := constant(entry.Key, "keys"), constant(entry.Value, "values")
		if text := constRepr(k); ok && seen[text] {
			c.errorf(entry.Colon, "", "duplicate key: %s", constText(k))
			ok = false
		} else {
			seen[text] = true
		}
		d.Keys, d.Vals = append(d.Keys, k), append(d.Vals, v)
	}
	if !ok {
		return invalid(x.Lbrace)
	}
	return &eConst{node{types.TDict, x.Lbrace}, d}
}

// pick checks x[i] of a tuple or a constant list, with an index that is known only at run time.
func (c *checker) pick(pos syntax.Position, x, i expr) expr {
	i = c.wantInt(i, "the index of the "+x.typ().Kind.Noun())
	if i.typ().Kind == types.Invalid {
		return i
	}
	var d Dict
	n := len(x.typ().Elems)
	if k, ok := x.(*eConst); ok {
		list, _ := constElems(k.v)
		n = len(list)
		d.Vals = append(append(d.Vals, list...), list...)
		x = nil
	}
	if n == 0 {
		return c.bad(pos, "test its length first: if len(x) > 0: ...", "index out of range: it is empty")
	}
	if n > maxSearch/2 {
		return c.bad(pos, "fill a table() from the script", "%d elements are too many for an index that is not constant (at most %d)", n, maxSearch/2)
	}
	for at := range 2 * n {
		if at >= n {
			at -= 2 * n // counted from the end
		}
		d.Keys = append(d.Keys, big.NewInt(int64(at)))
	}
	e := &eDict{node: node{types.TInvalid, pos}, x: i, dict: d, of: x, index: true}
	elem := func(j int) (*types.Type, bool) {
		if x != nil {
			return x.typ().Elems[j], true
		}
		if trailingNUL(d.Vals[j]) {
			c.badNUL(pos, d.Vals[j])
			return nil, false
		}
		t := constType(d.Vals[j])
		if t == nil || !t.Storable() {
			c.errorf(pos, "", "an element cannot be used in a handler: %s", constText(d.Vals[j]))
			return nil, false
		}
		return t, true
	}
	for j := range n {
		t, ok := elem(j)
		if !ok {
			return invalid(pos)
		}
		join := types.Join(e.t, t)
		if join == nil {
			return c.bad(pos, meetHint(e.t, t), "the elements have several types: %s and %s", e.t, t)
		}
		e.t = join
	}
	return e
}
