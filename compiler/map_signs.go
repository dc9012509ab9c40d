package compiler

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// The sign of the integers in a map follows from all its uses, in any order. What is stored decides. What is added follows
// arithmetic: an unsigned number can be added to numbers that may be negative, which stay signed. What is taken away makes numbers signed
// that are unsigned only because of what is added to them, since a balance of sizes may be negative.

// signs are the uses of a map that decide the sign of its integers.
type signs struct {
	storedUnsigned, storedSigned bool
	addedUnsigned, addedSigned   bool
	taken                        bool
}

// of notes that an integer of type t, which may be nil or another type, is stored.
func (s *signs) of(t *types.Type) {
	if t != nil && t.IsInt() {
		s.storedUnsigned = s.storedUnsigned || t.Kind == types.Uint && !t.Wraps
		s.addedUnsigned = s.addedUnsigned || t.Kind == types.Uint
		s.storedSigned = s.storedSigned || t.Kind == types.Int && !t.NonNeg
	}
}

// join returns the type of the integers, or nil. Of their types t and u, it takes what is no sign.
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

// use notes a use of integers of type u, by note, and reports whether a type holds them beside the others.
func (c *checker) use(has *typing, u *types.Type, pos syntax.Position, note func(*signs)) bool {
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

// storeInt joins an integer that is a key or a value into a map's type.
func (c *checker) storeInt(m *Map, x expr, has *typing, what string) expr {
	if !c.use(has, x.typ(), x.position(), func(s *signs) { s.of(x.typ()) }) {
		return c.twoTypes(m, x, has, what)
	}
	return c.convert(x, has.t)
}

// addTo joins what is added to the values of a table, or taken from them, into their type. It reports what cannot be added.
func (c *checker) addTo(m *Map, x expr, take bool, op string, pos syntax.Position) (bad bool) {
	t := c.typing(m)
	if t.val.t != nil && !t.val.t.IsInt() {
		c.errorf(pos, "keep numbers in a table of their own", "table %q holds values of type %s: %s works on integers only", m.Name, t.val.t, op)
		return true
	}
	k, isConst := kxInt(x)
	take = take || isConst && k.Sign() < 0 // to add a negative constant is to take something away
	signed := !neverNegative(x) && !isConst
	ok := t.valFixed && (t.val.t.Kind == types.Int || !signed) || !t.valFixed && c.use(&t.val, x.typ(), pos, func(s *signs) {
		s.addedUnsigned = s.addedUnsigned || x.typ().Kind == types.Uint
		s.addedSigned = s.addedSigned || signed
		s.taken = s.taken || take
	})
	if !ok {
		c.errorf(pos, joinHint(t.val.t, x.typ()), "table %q holds values of type %s elsewhere, and adds %s here", m.Name, t.val.t, x.typ())
	}
	return !ok
}
