package compiler

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func (c *checker) index(x *syntax.IndexExpr) expr {
	recv := c.sequence(x.X)
	if st, ok := recv.(*eStatic); ok {
		if m, ok := st.ent.(*Map); ok {
			if m.Agg != nil {
				return c.bad(x.Lbrack, "read it in the script; keep what the handler reads in a table()", "a handler cannot read %s %q, only add to it", m.Kind(), m.Name)
			}
			return c.callMethod(x.Lbrack, recv, m, c.rows.method("table", "[]"), []expr{c.expr(x.Y)})
		}
	}
	i := c.expr(x.Y)
	if recv.typ().Kind == types.Invalid || i.typ().Kind == types.Invalid {
		return invalid(x.Lbrack)
	}
	k, isConst := recv.(*eConst)
	switch {
	case recv.typ().InMemory():
		return c.textIndex(x.Lbrack, recv, i)
	case recv.typ().Kind == types.Args:
		return c.indexedArg(x, i)
	case recv.typ().Kind == types.Array:
		return c.arrayElem(x, recv.(*eArg), i)
	case recv.typ().Kind == types.Ptr, recv.typ().Kind == types.Mem:
		return c.element(recv, i, x.Lbrack)
	case recv.typ().Kind == types.Dict && isConst:
		return c.dictGet(x.Lbrack, k.v.(Dict), i, nil)
	case recv.typ().Kind == types.Tuple, recv.typ().Kind == types.List && isConst:
		ki, ok := i.(*eConst)
		if !ok || ki.t.Kind != types.Int {
			return c.pick(x.Lbrack, recv, i)
		}
		return c.elem(x.Lbrack, recv, word(ki.v))
	}
	return c.bad(x.Lbrack, usage(recv.typ()), "%s cannot be indexed in a handler", recv.typ().WithArticle())
}

func (c *checker) elem(pos syntax.Position, recv expr, i int64) expr {
	if k, ok := recv.(*eConst); ok {
		var list []any
		switch v := k.v.(type) {
		case Tuple:
			list = v
		case List:
			list = v
		}
		if i < 0 {
			i += int64(len(list))
		}
		if i < 0 || i >= int64(len(list)) {
			return c.bad(pos, "indexes start at 0, or at -1 from the end", "index out of range: the %s has %s", recv.typ().Kind.Noun(), countOf(len(list), "element"))
		}
		return c.constant(list[i], pos, "the element")
	}
	n := int64(len(recv.typ().Elems))
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return c.bad(pos, "indexes start at 0, or at -1 from the end", "index out of range: the tuple has %s", countOf(int(n), "element"))
	}
	return &eElem{node{recv.typ().Elems[i], pos}, recv, int(i)}
}

// dictGet checks a lookup of x in a captured dict. If def is nil, a missing key ends the handler.
func (c *checker) dictGet(pos syntax.Position, d Dict, x, def expr) expr {
	t := types.TInvalid
	for _, v := range d.Vals {
		vt := constType(v)
		if trailingNUL(v) {
			return c.badNUL(pos, v)
		}
		if vt == nil || !vt.Storable() {
			return c.bad(pos, "", "the dict holds a value that cannot be used in a handler: %s", constText(v))
		}
		j := types.Join(t, vt)
		if j == nil {
			return c.bad(pos, meetHint(t, vt), "the dict holds values of several types: %s and %s", t, vt)
		}
		t = j
	}
	keys, ok := c.searchable(pos, x, d.Keys)
	if !ok {
		return invalid(pos)
	}
	if def != nil {
		j := types.Join(t, def.typ())
		if j == nil {
			return c.bad(def.position(), meetHint(def.typ(), t), "the default is %s, the values of the dict are of type %s", def.typ().WithArticle(), t)
		}
		t = j
		def = convert(def, t)
	}
	if t.Kind == types.Invalid {
		return c.bad(pos, "", "the dict is empty")
	}
	return &eDict{node: node{t, pos}, x: x, dict: Dict{keys, d.Vals}, def: def}
}

// maxSearch is the maximum size of a captured collection that a handler searches: each element is a
// comparison in the program.
const maxSearch = 4096

// searchable checks that x can be compared with each of the constants, and returns them as they are
// compared: strings for formatted values are numbers.
func (c *checker) searchable(pos syntax.Position, x expr, list []any) ([]any, bool) {
	if x.typ().Kind == types.Invalid {
		return nil, false
	}
	if len(list) > maxSearch {
		c.errorf(pos, "fill a table() from the script and use `in` on that", "%d elements are too many to search in a handler (at most %d)", len(list), maxSearch)
		return nil, false
	}
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
		t := constType(v)
		if t == nil {
			continue // larger than 64 bits: equal to nothing
		}
		if !comparable(x.typ(), t) {
			c.errorf(pos, compareHint(x.typ(), t), "%s is never equal to %s: %s", x.typ().WithArticle(), t.WithArticle(), constText(v))
			return nil, false
		}
		if most, s, cut := cutBelow(x.typ(), v); cut {
			c.tooLong(pos, x, most, s)
			return nil, false
		}
		if !c.checkFormattedConst(pos, x.typ(), v) {
			return nil, false
		}
		out[i] = c.numbers(x.typ(), v)
	}
	return out, true
}

// in checks x in y, x not in y.
func (c *checker) in(e *syntax.BinaryExpr) expr {
	x, y := c.expr(e.X), c.sequence(e.Y)
	not := e.Op == syntax.NOT_IN
	if x.typ().Kind == types.Invalid || y.typ().Kind == types.Invalid {
		return invalid(e.OpPos)
	}
	if st, ok := y.(*eStatic); ok {
		if m, ok := st.ent.(*Map); ok {
			if m.Agg != nil {
				return c.bad(e.OpPos, "keep what the handler reads in a table()", "a handler cannot read %s %q, only add to it", m.Kind(), m.Name)
			}
			r := c.callMethod(e.OpPos, y, m, c.rows.method("table", "in"), []expr{x})
			if not {
				return &eNot{node{types.TBool, e.OpPos}, r}
			}
			return r
		}
	}
	var list []any
	k, ok := y.(*eConst)
	if ok {
		list, ok = constElems(k.v)
	}
	switch {
	case ok:
	case y.typ().Kind == types.Tuple:
		return c.inTuple(e.OpPos, x, y, not)
	case y.typ().InMemory():
		return c.contains(e.OpPos, x, y, not)
	default:
		return c.bad(e.OpPos, "use a list, tuple, dict or table() from outside of the handler", "a handler cannot search in %s", y.typ().WithArticle())
	}
	list, ok = c.searchable(e.OpPos, x, list)
	if !ok {
		return invalid(e.OpPos)
	}
	return &eIn{node{types.TBool, e.OpPos}, x, list, not}
}

// inTuple compares x with each element of y, a tuple built in the handler.
func (c *checker) inTuple(pos syntax.Position, x, y expr, not bool) expr {
	var r expr = boolConst(false, pos)
	for i := range y.typ().Elems {
		eq := c.compare(pos, syntax.EQL, x, c.elem(pos, y, int64(i)))
		if eq.typ().Kind == types.Invalid {
			return eq
		}
		if k, ok := r.(*eConst); ok && !k.v.(bool) {
			r = eq
		} else {
			r = &eLogic{node{types.TBool, pos}, syntax.OR, r, eq}
		}
	}
	if not {
		return &eNot{node{types.TBool, pos}, r}
	}
	return r
}
