package check

import (
	"math/big"
	"slices"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/plural"
)

func (c *Checker) index(x *syntax.IndexExpr) tree.Expr {
	recv := c.sequence(x.X)
	if st, ok := recv.(*tree.StaticExpr); ok {
		if m, ok := st.Entity.(*tree.Map); ok {
			if m.Agg != nil {
				return c.Bad(x.Lbrack, "read it in the script; keep what the handler reads in a table()", "a handler cannot read %s %q, only add to it", m.Kind(), m.Name)
			}
			return c.callMethod(x.Lbrack, recv, m, c.rows.method("table", "[]"), []tree.Expr{c.expr(x.Y)})
		}
	}
	i := c.expr(x.Y)
	if recv.Type().Kind == types.Invalid || i.Type().Kind == types.Invalid {
		return tree.Invalid(x.Lbrack)
	}
	if o, ok := recv.(*chosenExpr); ok {
		return c.chosenIndex(x.Lbrack, o, i, nil)
	}
	k, isConst := recv.(*tree.ConstExpr)
	switch {
	case recv.Type().InMemory():
		return c.textIndex(x.Lbrack, recv, i)
	case recv.Type().Kind == types.Args:
		return c.indexedArg(x, i)
	case recv.Type().Kind == types.Array:
		return c.arrayElem(x, recv.(*tree.ArgExpr), i)
	case recv.Type().Kind == types.Ptr, recv.Type().Kind == types.Mem:
		return c.element(recv, i, x.Lbrack)
	case recv.Type().Kind == types.Dict && isConst:
		return c.DictGet(x.Lbrack, k.Value.(tree.Dict), i, nil)
	case recv.Type().Kind == types.Tuple, recv.Type().Kind == types.List && isConst:
		ki, ok := i.(*tree.ConstExpr)
		if !ok || ki.T.Kind != types.Int {
			return c.pick(x.Lbrack, recv, i)
		}
		return c.elem(x.Lbrack, recv, tree.Word(ki.Value))
	}
	return c.Bad(x.Lbrack, UsageHint(recv.Type()), "%s cannot be indexed in a handler", recv.Type().WithArticle())
}

func (c *Checker) elem(pos syntax.Position, recv tree.Expr, i int64) tree.Expr {
	if k, ok := recv.(*tree.ConstExpr); ok {
		var list []any
		switch v := k.Value.(type) {
		case tree.Tuple:
			list = v
		case tree.List:
			list = v
		}
		if i < 0 {
			i += int64(len(list))
		}
		if i < 0 || i >= int64(len(list)) {
			return c.Bad(pos, "indexes start at 0, or at -1 from the end", "index out of range: the %s has %s", recv.Type().Kind.Noun(), plural.Of(len(list), "element"))
		}
		return c.Constant(list[i], pos, "the element")
	}
	n := int64(len(recv.Type().Elems))
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return c.Bad(pos, "indexes start at 0, or at -1 from the end", "index out of range: the tuple has %s", plural.Of(int(n), "element"))
	}
	return &tree.ElemExpr{Node: tree.At(recv.Type().Elems[i], pos), X: recv, I: int(i)}
}

// DictGet checks a lookup of x in a captured dict. If def is nil, a missing key ends the handler.
func (c *Checker) DictGet(pos syntax.Position, d tree.Dict, x, def tree.Expr) tree.Expr {
	t := types.TInvalid
	for _, v := range d.Vals {
		vt := tree.ConstType(v)
		if tree.TrailingNUL(v) {
			return c.badNUL(pos, v)
		}
		if vt == nil {
			return c.Bad(pos, "", "the dict holds a value that cannot be used in a handler: %s", tree.ConstText(v))
		}
		j := types.Either(t, vt)
		if j == nil {
			return c.Bad(pos, meetHint(t, vt), "the dict holds values of several types: %s and %s", t, vt)
		}
		t = j
	}
	keys, ok := c.searchable(pos, x, d.Keys)
	if !ok {
		return tree.Invalid(pos)
	}
	if def != nil {
		j := types.Either(t, def.Type())
		if k, ok := def.(*tree.ConstExpr); ok && j != nil && !j.Storable() {
			return c.lookup(chosenExpr{Node: tree.At(t, pos), by: x, keys: keys, vals: d.Vals, def: &k.Value})
		}
		if j == nil || !j.Storable() {
			return c.Bad(def.Position(), meetHint(def.Type(), t), "the default is %s, the values of the dict are of type %s", def.Type().WithArticle(), t)
		}
		t = j
		def = tree.Convert(def, t)
	}
	if t.Kind == types.Invalid {
		return c.Bad(pos, "", "the dict is empty")
	}
	if !t.Storable() {
		return c.lookup(chosenExpr{Node: tree.At(t, pos), by: x, keys: keys, vals: d.Vals})
	}
	return &tree.DictExpr{Node: tree.At(t, pos), X: x, Dict: tree.Dict{Keys: keys, Vals: d.Vals}, Def: def}
}

// searchable checks that x can be compared with each of the constants, and returns them as they are
// compared: strings for formatted values are numbers.
func (c *Checker) searchable(pos syntax.Position, x tree.Expr, list []any) ([]any, bool) {
	if x.Type().Kind == types.Invalid {
		return nil, false
	}
	if len(list) > maxSearch {
		c.Errorf(pos, "fill a table() from the script and use `in` on that", "%d elements are too many to search in a handler (at most %d)", len(list), maxSearch)
		return nil, false
	}
	if t := composedIn(x.Type()); t != nil {
		c.Errorf(pos, UsageHint(t), "a handler cannot search for %s", t.WithArticle())
		return nil, false
	}
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
		t := tree.ConstType(v)
		if t == nil {
			continue // larger than 64 bits: equal to nothing
		}
		if !comparable(x.Type(), t) {
			c.Errorf(pos, compareHint(x.Type(), t), "%s is never equal to %s: %s", x.Type().WithArticle(), t.WithArticle(), tree.ConstText(v))
			return nil, false
		}
		if most, s, cut := cutBelow(x.Type(), v); cut {
			c.tooLong(pos, x, most, s)
			return nil, false
		}
		if !c.checkFormattedConst(pos, x.Type(), v) {
			return nil, false
		}
		out[i] = c.numbers(x.Type(), v)
	}
	return out, true
}

// in checks x in y, x not in y.
func (c *Checker) in(e *syntax.BinaryExpr) tree.Expr {
	x, y := c.expr(e.X), c.sequence(e.Y)
	not := e.Op == syntax.NOT_IN
	if x.Type().Kind == types.Invalid || y.Type().Kind == types.Invalid {
		return tree.Invalid(e.OpPos)
	}
	if st, ok := y.(*tree.StaticExpr); ok {
		if m, ok := st.Entity.(*tree.Map); ok {
			if m.Agg != nil {
				return c.Bad(e.OpPos, "keep what the handler reads in a table()", "a handler cannot read %s %q, only add to it", m.Kind(), m.Name)
			}
			r := c.callMethod(e.OpPos, y, m, c.rows.method("table", "in"), []tree.Expr{x})
			if not {
				return &tree.NotExpr{Node: tree.At(types.TBool, e.OpPos), X: r}
			}
			return r
		}
	}
	if o, ok := y.(*chosenExpr); ok {
		return c.inChosen(e.OpPos, x, o, not)
	}
	var list []any
	k, ok := y.(*tree.ConstExpr)
	if ok {
		list, ok = tree.ConstElems(k.Value)
	}
	switch {
	case ok:
	case y.Type().Kind == types.Tuple:
		return c.inTuple(e.OpPos, x, y, not)
	case y.Type().InMemory():
		return c.contains(e.OpPos, x, y, not)
	default:
		if t := composedIn(y.Type()); t != nil {
			return c.Bad(e.OpPos, UsageHint(t), "a handler cannot search in %s", t.WithArticle())
		}
		return c.Bad(e.OpPos, "use a list, tuple, dict or table() from outside of the handler", "a handler cannot search in %s", y.Type().WithArticle())
	}
	list, ok = c.searchable(e.OpPos, x, list)
	if !ok {
		return tree.Invalid(e.OpPos)
	}
	return &tree.InExpr{Node: tree.At(types.TBool, e.OpPos), X: x, List: list, Not: not}
}

// inTuple compares x with each element of y, a tuple built in the handler.
func (c *Checker) inTuple(pos syntax.Position, x, y tree.Expr, not bool) tree.Expr {
	var r tree.Expr = tree.BoolConst(false, pos)
	for i := range y.Type().Elems {
		eq := c.compare(pos, syntax.EQL, x, c.elem(pos, y, int64(i)))
		if eq.Type().Kind == types.Invalid {
			return eq
		}
		if k, ok := r.(*tree.ConstExpr); ok && !k.Value.(bool) {
			r = eq
		} else {
			r = &tree.LogicExpr{Node: tree.At(types.TBool, pos), Op: syntax.OR, X: r, Y: eq}
		}
	}
	if not {
		return &tree.NotExpr{Node: tree.At(types.TBool, pos), X: r}
	}
	return r
}

// chosenIndex checks o[i], or o.get(i, *def) if def is not nil.
func (c *Checker) chosenIndex(pos syntax.Position, o *chosenExpr, i tree.Expr, def *any) tree.Expr {
	isDict := o.T.Kind == types.Dict
	if !isDict {
		i = c.WantInt(i, "the index of the "+o.T.Kind.Noun())
	}
	if i.Type().Kind == types.Invalid {
		return i
	}
	if k, ok := i.(*tree.ConstExpr); ok && def == nil && k.T.Kind != types.Formatted {
		key := tree.ConstRepr(k.Value)
		e := c.project(pos, o, func(v any) (any, bool) {
			keys, vals, _ := entries(v)
			at := slices.IndexFunc(keys, func(k any) bool { return tree.ConstRepr(k) == key })
			if at < 0 {
				return nil, false
			}
			return vals[at], true
		})
		if e != nil {
			return e
		}
	}
	out := chosenExpr{Node: tree.At(types.TInvalid, pos), index: !isDict, def: def}
	n, among := o.ordinal()
	for at, v := range among {
		keys, vals, ok := entries(v)
		if !ok {
			return c.Bad(pos, UsageHint(o.T), "%s cannot be indexed in a handler", o.T.WithArticle())
		}
		for _, k := range keys {
			out.keys = append(out.keys, tree.Tuple{big.NewInt(int64(at)), k})
		}
		out.vals = append(out.vals, vals...)
	}
	out.by, out.keys = c.pairWith(pos, n, i, out.keys)
	if out.by == nil {
		return tree.Invalid(pos)
	}
	return c.lookup(out)
}

// ChosenGet checks x.get(key, def) of a dict that the handler chooses.
func (c *Checker) ChosenGet(pos syntax.Position, x, key, def tree.Expr) tree.Expr {
	o, ok := x.(*chosenExpr)
	k, isConst := def.(*tree.ConstExpr)
	if !ok || !isConst {
		return c.Bad(pos, "write t[key] if key in t else x", "the default must be a constant if the handler chooses the dict")
	}
	return c.chosenIndex(pos, o, key, &k.Value)
}

// pairWith returns the pair of n and x, which is compared with the pairs in keys, and the keys as
// they are compared. It returns nil after an error.
func (c *Checker) pairWith(pos syntax.Position, n, x tree.Expr, keys []any) (tree.Expr, []any) {
	if !x.Type().Storable() {
		return c.Bad(pos, UsageHint(x.Type()), "a handler cannot search for %s", x.Type().WithArticle()), nil
	}
	pair := &tree.TupleExpr{Node: tree.At(types.TTuple(n.Type(), x.Type()), pos), Elems: []tree.Expr{n, x}}
	keys, ok := c.searchable(pos, pair, keys)
	if !ok {
		return nil, nil
	}
	return pair, keys
}

// inChosen checks x in o, x not in o.
func (c *Checker) inChosen(pos syntax.Position, x tree.Expr, o *chosenExpr, not bool) tree.Expr {
	n, among := o.ordinal()
	var keys []any
	for at, v := range among {
		list, ok := tree.ConstElems(v)
		if !ok {
			return c.Bad(pos, UsageHint(o.T), "a handler cannot search in %s", o.T.WithArticle())
		}
		for _, e := range list {
			keys = append(keys, tree.Tuple{big.NewInt(int64(at)), e})
		}
	}
	pair, keys := c.pairWith(pos, n, x, keys)
	if pair == nil || pair.Type().Kind == types.Invalid {
		return tree.Invalid(pos)
	}
	return &tree.InExpr{Node: tree.At(types.TBool, pos), X: pair, List: keys, Not: not}
}
