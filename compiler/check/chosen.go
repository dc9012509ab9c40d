package check

import (
	"math/big"
	"slices"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A handler can choose one of several constants that have no bytes: rows[i], where rows is a
// captured list of lists. The lowerer never sees such a value: rows[i][j] is one lookup, by the
// pair of i and j, and len(rows[i]) a lookup among the lengths.

// A chosenExpr is one of vals, which are collections, or tuples and structs that contain some: the
// one whose key equals by.
type chosenExpr struct {
	tree.Node
	by    tree.Expr
	keys  []any
	vals  []any
	def   *any // if nil, a missing key ends the handler
	index bool // a missing key is reported as an index out of range
	plain bool // the keys are 0, 1, 2 and so on, and by is always one of them
}

// lookup checks the choice of one of vals by the key that x equals.
func (c *Checker) lookup(o chosenExpr) tree.Expr {
	t := types.TInvalid
	all := o.vals
	if o.def != nil {
		all = append(slices.Clone(all), *o.def)
	}
	for _, v := range all {
		if tree.TrailingNUL(v) {
			return c.badNUL(o.Pos, v)
		}
		vt := tree.ConstType(v)
		if vt == nil {
			return c.Bad(o.Pos, "", "an element does not fit in 64 bits: %s", tree.ConstText(v))
		}
		j := types.Either(t, vt)
		if j == nil {
			return c.Bad(o.Pos, meetHint(t, vt), "the elements have several types: %s and %s", t, vt)
		}
		t = j
	}
	o.T = t
	switch {
	case len(o.vals) == 0:
		return c.Bad(o.Pos, "test its length first: if len(x) > 0: ...", "index out of range: it is empty")
	case len(o.vals) > maxSearch:
		return c.Bad(o.Pos, "fill a table() from the script", "%d elements are too many to search in a handler (at most %d)", len(o.vals), maxSearch)
	case t.Storable():
		e := &tree.DictExpr{Node: o.Node, X: o.by, Dict: tree.Dict{Keys: o.keys, Vals: o.vals}, Index: o.index}
		if o.def != nil {
			e.Def = tree.Convert(&tree.ConstExpr{Node: tree.At(tree.ConstType(*o.def), o.Pos), Value: *o.def}, t)
		}
		return e
	case t.Kind == types.Opt:
		return c.Bad(o.Pos, "use an empty one instead of None", "%s cannot be used in a handler", t.WithArticle())
	}
	return &o
}

// project checks the choice of f of a constant, for each constant that o may be. It returns nil if
// one of them has no such part.
func (c *Checker) project(pos syntax.Position, o *chosenExpr, f func(v any) (any, bool)) tree.Expr {
	out := *o
	out.Pos, out.vals = pos, make([]any, len(o.vals))
	ok := true
	for i, v := range o.vals {
		if out.vals[i], ok = f(v); !ok {
			return nil
		}
	}
	if o.def != nil {
		def, ok := f(*o.def)
		if !ok {
			return nil
		}
		out.def = &def
	}
	return c.lookup(out)
}

// OfConst checks f of x, which is a constant or chosen from several. It returns nil for other
// expressions.
func (c *Checker) OfConst(pos syntax.Position, x tree.Expr, f func(v any) (any, bool)) tree.Expr {
	switch x := x.(type) {
	case *chosenExpr:
		return c.project(pos, x, f)
	case *tree.ConstExpr:
		if v, ok := f(x.Value); ok && x.T.Kind != types.Invalid {
			return c.Constant(v, pos, "the value")
		}
	}
	return nil
}

// ConstLen checks the length of a constant, or of one that the handler chooses. It returns nil for
// other expressions.
func (c *Checker) ConstLen(x tree.Expr, pos syntax.Position) tree.Expr {
	return c.OfConst(pos, x, func(v any) (any, bool) {
		n, ok := tree.ConstLen(v)
		return big.NewInt(int64(n)), ok
	})
}

// ordinal returns the number of the constant that is chosen, among the constants that it returns.
func (o *chosenExpr) ordinal() (n tree.Expr, among []any) {
	if o.plain {
		return o.by, o.vals
	}
	at := map[string]*big.Int{}
	number := func(v any) any {
		text := tree.ConstRepr(v)
		if at[text] == nil {
			at[text] = big.NewInt(int64(len(among)))
			among = append(among, v)
		}
		return at[text]
	}
	d := tree.Dict{Keys: o.keys}
	for _, v := range o.vals {
		d.Vals = append(d.Vals, number(v))
	}
	e := &tree.DictExpr{Node: tree.At(types.TNat, o.Pos), X: o.by, Dict: d, Index: o.index}
	if o.def != nil {
		e.Def = &tree.ConstExpr{Node: tree.At(types.TNat, o.Pos), Value: number(*o.def)}
	}
	return e, among
}

// hold returns o as it is now: a local has its number, which the statements assign.
func (c *Checker) hold(o *chosenExpr) (*chosenExpr, []tree.Stmt) {
	if o.plain {
		return o, nil
	}
	n, among := o.ordinal()
	tmp := &tree.Local{Name: "chosen at " + o.Pos.String(), T: types.TNat}
	c.frame.locals[&resolve.Binding{}] = tmp // as a local of the handler, it is kept when a loop ends
	c.flow.assigned[tmp] = true
	return numbered(o.Pos, o.T, &tree.VarExpr{Node: tree.At(tmp.T, o.Pos), Local: tmp}, among),
		[]tree.Stmt{&tree.AssignStmt{StmtNode: tree.StmtAt(o.Pos), Local: tmp, X: n}}
}

// bindChosen makes a local stand for o.
func (c *Checker) bindChosen(v *tree.Local, o *chosenExpr) []tree.Stmt {
	held, assign := c.hold(o)
	c.frame.chosen[v] = true
	c.flow.assigned[v] = true
	c.flow.forget(v)
	c.flow.chosen[v] = held
	return assign
}

// numbered returns the choice of one of vals by its number n.
func numbered(pos syntax.Position, t *types.Type, n tree.Expr, vals []any) *chosenExpr {
	return &chosenExpr{Node: tree.At(t, pos), by: n, keys: count(len(vals)), vals: vals, plain: true, index: true}
}

// count returns the constants from 0 to n-1.
func count(n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = big.NewInt(int64(i))
	}
	return out
}

// entries returns the keys and values of a constant dict, or the indexes and elements of a list or
// tuple; the indexes count from the start and from the end.
func entries(v any) (keys, vals []any, ok bool) {
	switch v := v.(type) {
	case tree.Dict:
		return v.Keys, v.Vals, true
	case tree.List, tree.Tuple:
		list, _ := tree.ConstElems(v)
		keys = count(len(list))
		for i := range list {
			keys = append(keys, big.NewInt(int64(i-len(list))))
		}
		return keys, slices.Concat(list, list), true
	}
	return nil, nil, false
}

// chosenTruth checks o as a condition.
func (c *Checker) chosenTruth(o *chosenExpr) tree.Expr {
	return c.project(o.Pos, o, func(v any) (any, bool) { return tree.ConstTruth(v) })
}

// maxSearch is the maximum size of a captured collection that a handler searches: each element is a
// comparison in the program.
const maxSearch = 4096
