package compiler

import (
	"fmt"
	"slices"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// condition checks an expression that is used as a condition. It returns the facts that hold if it
// is true and if it is false.
func (c *checker) condition(x syntax.Expr) (e expr, yes, no facts) {
	if x, ok := unparen(x).(*syntax.BinaryExpr); ok && (x.Op == syntax.AND || x.Op == syntax.OR) {
		return c.conditionLogic(x)
	}
	e, yes, no = c.valueFacts(x)
	e = c.truth(e)
	if truth, known := knownTruth(e); known {
		yes.never, no.never = !truth, truth
	}
	return e, yes, no
}

// valueFacts checks an expression, and returns the facts that hold if it is true and if it is
// false.
func (c *checker) valueFacts(x syntax.Expr) (e expr, yes, no facts) {
	switch x := unparen(x).(type) {
	case *syntax.Ident:
		e := c.ident(x)
		if v := c.boundLocal(x); v != nil && v.static == nil {
			w := c.flow.when[v]
			return e, union(notNone(v), w.yes), w.no
		}
		return e, facts{}, facts{}
	case *syntax.UnaryExpr:
		if x.Op == syntax.NOT {
			e, yes, no := c.condition(x.X)
			if k, ok := e.(*eConst); ok && k.t.Kind == types.Bool {
				return boolConst(!k.v.(bool), x.OpPos), no, yes
			}
			if e.typ().Kind == types.Invalid {
				return e, no, yes
			}
			return &eNot{node{types.TBool, x.OpPos}, e}, no, yes
		}
	case *syntax.BinaryExpr:
		switch x.Op {
		case syntax.AND, syntax.OR:
			return c.logic(x)
		case syntax.IN:
			e := c.in(x)
			if v := c.optional(x.X); v != nil && !c.mayHoldNone(x.Y) {
				yes = notNone(v)
			}
			return e, yes, facts{}
		case syntax.EQL, syntax.NEQ, syntax.LT, syntax.GT, syntax.LE, syntax.GE:
			a, b := c.expr(x.X), c.expr(x.Y)
			e := c.compare(x.OpPos, x.Op, a, b)
			yes, no := c.compareFacts(x, a, b)
			return e, yes, no
		}
	}
	if call, ok := unparen(x).(*syntax.CallExpr); ok {
		if arg := c.boolArg(call); arg != nil {
			return c.condition(arg)
		}
	}
	return c.expr(x), facts{}, facts{}
}

// boolArg returns the argument of a call of bool() that can be checked as a condition, or nil.
func (c *checker) boolArg(call *syntax.CallExpr) syntax.Expr {
	id, ok := call.Fn.(*syntax.Ident)
	if !ok || id.Name != "bool" || len(call.Args) != 1 || c.local(id) != nil || c.frame.fn.Scope.Lookup(id) != (Builtin{"bool"}) {
		return nil
	}
	switch arg := call.Args[0].(type) {
	case *syntax.UnaryExpr:
		if arg.Op != syntax.NOT {
			return nil
		}
	case *syntax.BinaryExpr:
		if arg.Op == syntax.EQ {
			return nil
		}
	}
	return call.Args[0]
}

// optional returns the local that x names, or nil.
func (c *checker) optional(x syntax.Expr) *local {
	if id, ok := unparen(x).(*syntax.Ident); ok {
		return c.boundLocal(id)
	}
	return nil
}

// mayHoldNone reports whether x, a captured or literal collection, may contain None.
func (c *checker) mayHoldNone(x syntax.Expr) bool {
	start, warned := len(c.diags), len(c.warnings)
	e := c.sequence(x)
	c.diags, c.warnings = c.diags[:start], c.warnings[:warned] // reported elsewhere
	k, ok := e.(*eConst)
	if !ok {
		return true
	}
	list, ok := constElems(k.v)
	return !ok || slices.Contains(list, nil)
}

func (c *checker) boundLocal(id *syntax.Ident) *local {
	if b, ok := id.Binding.(*resolve.Binding); ok {
		return c.frame.locals[b]
	}
	return nil
}

func (c *checker) conditionLogic(x *syntax.BinaryExpr) (expr, facts, facts) {
	return c.twoSides(x, c.condition, func(a, b expr) expr {
		return &eLogic{node{types.TBool, x.OpPos}, x.Op, a, b}
	})
}

// twoSides checks the operands of and, or. The right one is checked with the facts known from the
// left one, or not at all if the left one decides.
func (c *checker) twoSides(x *syntax.BinaryExpr, side func(syntax.Expr) (expr, facts, facts), join func(a, b expr) expr) (e expr, yes, no facts) {
	before := c.flow
	a, ya, na := side(x.X)
	truth, known := knownTruth(a)
	if known {
		ya.never, na.never = !truth, truth
	}
	goesOn := na
	if x.Op == syntax.AND {
		goesOn = ya
	}
	if goesOn.never {
		return a, ya, na
	}
	c.flow = before.with(goesOn)
	b, yb, nb := side(x.Y)
	c.flow = before
	if truth, known := knownTruth(b); known {
		yb.never, nb.never = !truth, truth
	}
	switch {
	case known:
		return b, yb, nb
	case a.typ().Kind == types.Invalid || b.typ().Kind == types.Invalid:
		e = c.unknownSide(x.OpPos, a, b)
	default:
		e = join(a, b)
	}
	if x.Op == syntax.AND {
		return e, union(ya, yb), both(na, nb)
	}
	return e, both(ya, yb), union(na, nb)
}

// compareFacts returns the facts that hold if x, a comparison of a and b, is true and if it is
// false. The facts are about an operand that is compared with None or with something that is never
// None, and about one that is compared with a number that is not negative.
func (c *checker) compareFacts(x *syntax.BinaryExpr, a, b expr) (yes, no facts) {
	yes.known, no.known = signFacts(x.Op, a, b), signFacts(negated[x.Op], a, b)
	v, other := c.optional(x.X), b
	if v == nil || b.typ().Kind == types.Opt {
		if w := c.optional(x.Y); w != nil {
			v, other = w, a
		}
	}
	if v == nil {
		return yes, no
	}
	none := other.typ().Kind == types.None
	switch {
	case none && x.Op == syntax.NEQ, !none && other.typ().Kind != types.Opt && x.Op == syntax.EQL:
		yes = union(yes, notNone(v))
	case none && x.Op == syntax.EQL, !none && other.typ().Kind != types.Opt && x.Op == syntax.NEQ:
		no = union(no, notNone(v))
	}
	return yes, no
}

// comparable reports whether a value of type a can equal a value of type b.
func comparable(a, b *types.Type) bool {
	switch {
	case a.Kind == types.Invalid || b.Kind == types.Invalid:
		return true
	case a.Kind == types.None:
		return b.Kind == types.None || b.Kind == types.Opt || b.Kind == types.Ptr
	case b.Kind == types.None:
		return a.Kind == types.Opt || a.Kind == types.Ptr
	case a.Kind == types.Opt:
		return comparable(a.Elem, b)
	case b.Kind == types.Opt:
		return comparable(a, b.Elem)
	case a.Kind == types.Tuple && b.Kind == types.Tuple:
		if len(a.Elems) != len(b.Elems) {
			return false
		}
		for i := range a.Elems {
			if !comparable(a.Elems[i], b.Elems[i]) {
				return false
			}
		}
		return true
	case a.Kind == types.Formatted || b.Kind == types.Formatted:
		return comparableFormatted(a, b)
	case a.Kind == types.Ptr || b.Kind == types.Ptr:
		return (a.Kind == types.Ptr || a.IsInt()) && (b.Kind == types.Ptr || b.IsInt())
	case a.IsInt():
		return b.IsInt()
	}
	return a.Kind == b.Kind && a.Storable()
}

func (c *checker) compare(pos syntax.Position, op syntax.Token, x, y expr) expr {
	tx, ty := x.typ(), y.typ()
	if tx.Kind == types.Invalid || ty.Kind == types.Invalid {
		return invalid(pos)
	}
	equality := op == syntax.EQL || op == syntax.NEQ
	x, y = c.pointers(op, x, y)
	tx, ty = x.typ(), y.typ()
	if tx.Kind == types.None || ty.Kind == types.None {
		if !equality {
			return c.bad(pos, "compare it with None first: if x != None: ...", "None cannot be compared with %s", op)
		}
		// The result is known: both are None, or one never is.
		if tx.Kind != types.Opt && ty.Kind != types.Opt {
			return boolConst((tx.Kind == ty.Kind) == (op == syntax.EQL), pos)
		}
		return &eCompare{node{types.TBool, pos}, op, x, y}
	}
	if !comparable(tx, ty) {
		return c.bad(pos, compareHint(tx, ty), "%s is never equal to, less than or greater than %s", tx.WithArticle(), ty.WithArticle())
	}
	if equality && (c.neverEqual(pos, x, y) || c.neverEqual(pos, y, x)) {
		return invalid(pos)
	}
	if isMixed(tx, ty) {
		return c.compareMixed(pos, op, x, y)
	}
	if tx.IsIP() && ty.IsIP() && !tx.Equal(ty) {
		x, y = convert(x, types.TIP), convert(y, types.TIP)
	}
	x, y = number(x), number(y)
	tx, ty = x.typ(), y.typ()
	kx, cx := x.(*eConst)
	ky, cy := y.(*eConst)
	if cx && cy {
		if b, ok := constCompare(op, kx.v, ky.v); ok {
			return boolConst(b, pos)
		}
	}
	if !equality {
		if tx.Kind == types.Opt || ty.Kind == types.Opt {
			return c.bad(pos, "compare it with None first: if x != None: ...", "one side of %s may be None", op)
		}
		if !(tx.IsInt() && ty.IsInt()) && !tx.InMemory() {
			return c.bad(pos, usage(tx), "%ss cannot be ordered with %s in a handler yet", tx, op)
		}
	}
	return &eCompare{node{types.TBool, pos}, op, x, y}
}

// neverEqual reports a comparison with a constant string that is longer than what is read of x.
func (c *checker) neverEqual(pos syntax.Position, x, y expr) bool {
	k, ok := y.(*eConst)
	if !ok {
		return false
	}
	most, s, cut := cutBelow(x.typ(), k.v)
	if !cut {
		return false
	}
	c.tooLong(pos, x, most, s)
	return true
}

// tooLong reports that s is longer than what is read of x.
func (c *checker) tooLong(pos syntax.Position, x expr, most int, s string) {
	hint := fmt.Sprintf("compare with the part that is kept: %s", constText(s[:most]))
	if _, ok := x.(*eStr); ok {
		hint = fmt.Sprintf("read more of it: str(ptr, %d)", len(s)+1)
	}
	c.errorf(pos, hint, "%s can never match: it has %d bytes, and at most %d are read", constText(s), len(s), most)
}

// cutBelow finds a string in the constant k that is longer than what a value of type t keeps there.
func cutBelow(t *types.Type, k any) (most int, s string, ok bool) {
	switch t.Kind {
	case types.Opt:
		return cutBelow(t.Elem, k)
	case types.Tuple:
		if k, isTuple := k.(Tuple); isTuple && len(k) == len(t.Elems) {
			for i, e := range t.Elems {
				if most, s, ok = cutBelow(e, k[i]); ok {
					return most, s, true
				}
			}
		}
	case types.Str:
		s, isStr := k.(string)
		return t.Most, s, isStr && t.Most > 0 && len(s) > t.Most
	}
	return 0, "", false
}

// truth converts x to a condition, or reports that it is none.
func (c *checker) truth(x expr) expr {
	if cond, ok := truth(x); ok {
		return cond
	}
	if x.typ().Kind == types.Method {
		return c.bad(x.position(), "call it: add ()", "a method is not a condition")
	}
	return c.bad(x.position(), usage(x.typ()), "%s is not a condition", x.typ().WithArticle())
}
