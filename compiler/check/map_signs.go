package check

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// The sign of a map's integers depends on all its uses, in any order. Stored values determine it.
// Added values follow arithmetic: an unsigned number can be added to numbers that may be negative,
// which stay signed. If something is subtracted, numbers that are unsigned only because of what is
// added to them become signed, because a balance of sizes may be negative.

// signs records the uses of a map that determine the sign of its integers.
type signs struct {
	storedUnsigned, storedSigned bool
	addedUnsigned, addedSigned   bool
	taken                        bool
}

// of records that an integer of type t is stored. It ignores nil and other types.
func (s *signs) of(t *types.Type) {
	if t != nil && t.IsInt() {
		s.storedUnsigned = s.storedUnsigned || t.Kind == types.Uint && !t.Wraps
		s.addedUnsigned = s.addedUnsigned || t.Kind == types.Uint
		s.storedSigned = s.storedSigned || t.Kind == types.Int && !t.NonNeg
	}
}

// join returns the type of the integers, or nil if there is none. From the types t, which may be
// nil, and u it takes only properties other than the sign.
func (s *signs) join(t, u *types.Type) *types.Type {
	j := &types.Type{Kind: types.Int, Addr: u.Addr && (t == nil || t.Addr)}
	switch {
	case s.storedUnsigned && (s.storedSigned || s.addedSigned):
		return nil
	case s.storedUnsigned, s.addedUnsigned && !s.storedSigned && !s.addedSigned && !s.taken:
		j.Kind = types.Uint
	default:
		j.NonNeg = !s.storedSigned && !s.addedSigned && !s.taken
	}
	return j
}

// use records a use of integers of type u by calling note. It reports whether a type exists that
// holds them along with those of the other uses.
func (c *Checker) use(has *typing, u *types.Type, pos syntax.Position, note func(*signs)) bool {
	before := has.signs
	note(&has.signs)
	j := has.signs.join(has.t, u)
	if j == nil {
		has.signs = before // one error is enough
		return false
	}
	if has.t == nil || !j.Equal(has.t) {
		c.growMap(has, j, pos)
	}
	return true
}

// storeInt joins the type of an integer key or value into a map's type.
func (c *Checker) storeInt(m *tree.Map, x tree.Expr, has *typing, what string) tree.Expr {
	if !c.use(has, x.Type(), x.Position(), func(s *signs) { s.of(x.Type()) }) {
		return c.twoTypes(m, x, has, what)
	}
	return tree.Convert(x, has.t)
}

// addTo joins the type of a value that is added to, or (if take is set) subtracted from, the values
// of a table into their type. It reports an error and returns true if that is not possible.
func (c *Checker) addTo(m *tree.Map, x tree.Expr, take bool, op string, pos syntax.Position) (bad bool) {
	t := c.typing(m)
	if t.val.t != nil && !t.val.t.IsInt() {
		c.Errorf(pos, "keep numbers in a table of their own", "table %q holds values of type %s: %s works on integers only", m.Name, t.val.t, op)
		return true
	}
	k, isConst := tree.ConstInt(x)
	take = take || isConst && k.Sign() < 0 // adding a negative constant is subtraction
	signed := !tree.NeverNegative(x) && !isConst
	ok := t.valFixed && (t.val.t.Kind == types.Int || !signed) || !t.valFixed && c.use(&t.val, x.Type(), pos, func(s *signs) {
		s.addedUnsigned = s.addedUnsigned || x.Type().Kind == types.Uint
		s.addedSigned = s.addedSigned || signed
		s.taken = s.taken || take
	})
	if !ok {
		c.Errorf(pos, joinHint(t.val.t, x.Type()), "table %q holds values of type %s elsewhere, and adds %s here", m.Name, t.val.t, x.Type())
		c.pointAt(c.Diags, t.val.at, "values of type %s here", t.val.t)
	}
	return !ok
}
