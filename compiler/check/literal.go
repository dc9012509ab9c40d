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
	switch x := unparen(x).(type) {
	case *syntax.ListExpr:
		return c.listOf(x.Lbrack, c.exprs(x.List), true)
	case *syntax.Comprehension:
		return c.comprehension(x, true)
	}
	return c.expr(x)
}

// listOf checks a list of these elements. If it is only read, the elements need not be constants.
func (c *Checker) listOf(pos syntax.Position, elems []tree.Expr, read bool) tree.Expr {
	list := tree.List{}
	for _, e := range elems {
		if k, ok := e.(*tree.ConstExpr); ok && k.T.Kind != types.Invalid && k.T.Kind != types.Formatted {
			list = append(list, k.Value)
		}
	}
	if len(list) == len(elems) {
		return &tree.ConstExpr{Node: tree.At(types.TList, pos), Value: list}
	}
	e := c.tupleOf(pos, elems)
	if !read && e.Type().Kind != types.Invalid {
		return c.Bad(e.Position(), "use a tuple: (a, b)", "a handler cannot store a list of computed values")
	}
	return e
}

func (c *Checker) dictDisplay(x *syntax.DictExpr) tree.Expr {
	d := tree.Dict{}
	seen := map[string]bool{}
	ok := true
	for _, e := range x.List {
		entry := e.(*syntax.DictEntry)
		k, v, isConst := c.constEntry(entry)
		ok = ok && isConst
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

// constStruct returns the value of a constant, or of a struct of constants.
func constStruct(x tree.Expr) (v any, ok bool) {
	switch x := x.(type) {
	case *tree.ConstExpr:
		return x.Value, true
	case *tree.TupleExpr:
		s := tree.Struct{Vals: make([]any, len(x.Elems))}
		if ok = x.T.IsStruct(); ok {
			s.Names = x.T.Fields()
		}
		for i, e := range x.Elems {
			if ok {
				s.Vals[i], ok = constStruct(e)
			}
		}
		return s, ok
	}
	return nil, false
}

// constEntry returns the key and the value of an entry, which must be constants.
func (c *Checker) constEntry(x *syntax.DictEntry) (key, val any, ok bool) {
	ok = true
	constant := func(x syntax.Expr, what string) any {
		e := c.expr(x)
		v, isConst := constStruct(e)
		switch {
		case e.Type().Kind == types.Invalid:
			ok = false
		case !isConst:
			c.Errorf(e.Position(), "use a table() for what the handler computes", "the %s of a dict in a handler must be constants", what)
			ok = false
		}
		return v
	}
	return constant(x.Key, "keys"), constant(x.Value, "values"), ok
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
		if t == nil {
			c.Errorf(pos, "", "an element cannot be used in a handler: %s", tree.ConstText(d.Vals[j]))
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
	if x == nil && !e.T.Storable() {
		return c.lookup(chosenExpr{Node: e.Node, by: i, keys: d.Keys, vals: d.Vals, index: true})
	}
	return e
}
