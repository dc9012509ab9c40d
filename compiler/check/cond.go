package check

import (
	"fmt"
	"slices"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// condition checks an expression that is used as a condition. It returns the facts that hold if it
// is true and if it is false.
func (c *Checker) condition(x syntax.Expr) (e tree.Expr, yes, no facts) {
	if x, ok := unparen(x).(*syntax.BinaryExpr); ok && (x.Op == syntax.AND || x.Op == syntax.OR) {
		return c.conditionLogic(x)
	}
	e, yes, no = c.valueFacts(x)
	e = c.Truth(e)
	if truth, known := tree.KnownTruth(e); known {
		yes.never, no.never = !truth, truth
	}
	return e, yes, no
}

// valueFacts checks an expression, and returns the facts that hold if it is true and if it is
// false.
func (c *Checker) valueFacts(x syntax.Expr) (e tree.Expr, yes, no facts) {
	switch x := unparen(x).(type) {
	case *syntax.Ident:
		e := c.ident(x)
		if v := c.boundLocal(x); v != nil && v.Static == nil {
			w := c.flow.when[v]
			return e, union(notNone(v), w.yes), w.no
		}
		return e, facts{}, facts{}
	case *syntax.UnaryExpr:
		if x.Op == syntax.NOT {
			e, yes, no := c.condition(x.X)
			if k, ok := e.(*tree.ConstExpr); ok && k.T.Kind == types.Bool {
				return tree.BoolConst(!k.Value.(bool), x.OpPos), no, yes
			}
			if e.Type().Kind == types.Invalid {
				return e, no, yes
			}
			return &tree.NotExpr{Node: tree.At(types.TBool, x.OpPos), X: e}, no, yes
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
func (c *Checker) boolArg(call *syntax.CallExpr) syntax.Expr {
	id, ok := call.Fn.(*syntax.Ident)
	if !ok || id.Name != "bool" || len(call.Args) != 1 || c.local(id) != nil || c.frame.fn.Scope.Lookup(id) != (tree.Builtin{Name: "bool"}) {
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
func (c *Checker) optional(x syntax.Expr) *tree.Local {
	if id, ok := unparen(x).(*syntax.Ident); ok {
		return c.boundLocal(id)
	}
	return nil
}

// mayHoldNone reports whether x, a captured or literal collection, may contain None.
func (c *Checker) mayHoldNone(x syntax.Expr) bool {
	start, warned := len(c.Diags), len(c.warnings)
	e := c.sequence(x)
	c.Diags, c.warnings = c.Diags[:start], c.warnings[:warned] // reported elsewhere
	k, ok := e.(*tree.ConstExpr)
	if !ok {
		return true
	}
	list, ok := tree.ConstElems(k.Value)
	return !ok || slices.Contains(list, nil)
}

func (c *Checker) boundLocal(id *syntax.Ident) *tree.Local {
	if b, ok := id.Binding.(*resolve.Binding); ok {
		return c.frame.locals[b]
	}
	return nil
}

func (c *Checker) conditionLogic(x *syntax.BinaryExpr) (tree.Expr, facts, facts) {
	return c.twoSides(x, c.condition, func(a, b tree.Expr) tree.Expr {
		return &tree.LogicExpr{Node: tree.At(types.TBool, x.OpPos), Op: x.Op, X: a, Y: b}
	})
}

// twoSides checks the operands of and, or. The right one is checked with the facts known from the
// left one, or not at all if the left one decides.
func (c *Checker) twoSides(x *syntax.BinaryExpr, side func(syntax.Expr) (tree.Expr, facts, facts), join func(a, b tree.Expr) tree.Expr) (e tree.Expr, yes, no facts) {
	before := c.flow
	a, ya, na := side(x.X)
	truth, known := tree.KnownTruth(a)
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
	if truth, known := tree.KnownTruth(b); known {
		yb.never, nb.never = !truth, truth
	}
	switch {
	case known:
		return b, yb, nb
	case a.Type().Kind == types.Invalid || b.Type().Kind == types.Invalid:
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
func (c *Checker) compareFacts(x *syntax.BinaryExpr, a, b tree.Expr) (yes, no facts) {
	yes.known, no.known = signFacts(x.Op, a, b), signFacts(negated[x.Op], a, b)
	v, other := c.optional(x.X), b
	if v == nil || b.Type().Kind == types.Opt {
		if w := c.optional(x.Y); w != nil {
			v, other = w, a
		}
	}
	if v == nil {
		return yes, no
	}
	none := other.Type().Kind == types.None
	switch {
	case none && x.Op == syntax.NEQ, !none && other.Type().Kind != types.Opt && x.Op == syntax.EQL:
		yes = union(yes, notNone(v))
	case none && x.Op == syntax.EQL, !none && other.Type().Kind != types.Opt && x.Op == syntax.NEQ:
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

func (c *Checker) compare(pos syntax.Position, op syntax.Token, x, y tree.Expr) tree.Expr {
	tx, ty := x.Type(), y.Type()
	if tx.Kind == types.Invalid || ty.Kind == types.Invalid {
		return tree.Invalid(pos)
	}
	equality := op == syntax.EQL || op == syntax.NEQ
	x, y = c.pointers(op, x, y)
	tx, ty = x.Type(), y.Type()
	if tx.Kind == types.None || ty.Kind == types.None {
		if !equality {
			return c.Bad(pos, "compare it with None first: if x != None: ...", "None cannot be compared with %s", op)
		}
		// The result is known: both are None, or one never is.
		if tx.Kind != types.Opt && ty.Kind != types.Opt {
			return tree.BoolConst((tx.Kind == ty.Kind) == (op == syntax.EQL), pos)
		}
		return &tree.CompareExpr{Node: tree.At(types.TBool, pos), Op: op, X: x, Y: y}
	}
	for _, t := range []*types.Type{composedIn(tx), composedIn(ty)} {
		if t != nil {
			return c.Bad(pos, UsageHint(t), "a handler cannot compare %s", t.WithArticle())
		}
	}
	if !comparable(tx, ty) {
		if tx.Kind == ty.Kind && !tx.Storable() {
			return c.compareLists(pos, op, x, y)
		}
		return c.Bad(pos, compareHint(tx, ty), "%s is never equal to, less than or greater than %s", tx.WithArticle(), ty.WithArticle())
	}
	if equality && (c.neverEqual(pos, x, y) || c.neverEqual(pos, y, x)) {
		return tree.Invalid(pos)
	}
	if isMixed(tx, ty) {
		return c.compareMixed(pos, op, x, y)
	}
	if tx.IsIP() && ty.IsIP() && !tx.Equal(ty) {
		x, y = tree.Convert(x, types.TIP), tree.Convert(y, types.TIP)
	}
	x, y = tree.Number(x), tree.Number(y)
	tx, ty = x.Type(), y.Type()
	kx, cx := x.(*tree.ConstExpr)
	ky, cy := y.(*tree.ConstExpr)
	if cx && cy {
		if b, ok := tree.ConstCompare(op, kx.Value, ky.Value); ok {
			return tree.BoolConst(b, pos)
		}
	}
	if !equality {
		if tx.Kind == types.Opt || ty.Kind == types.Opt {
			return c.Bad(pos, "compare it with None first: if x != None: ...", "one side of %s may be None", op)
		}
		if !(tx.IsInt() && ty.IsInt()) && !tx.InMemory() {
			return c.Bad(pos, UsageHint(tx), "%ss cannot be ordered with %s in a handler yet", tx, op)
		}
	}
	return &tree.CompareExpr{Node: tree.At(types.TBool, pos), Op: op, X: x, Y: y}
}

// compareLists checks a comparison of values without bytes, which must be constant lists.
func (c *Checker) compareLists(pos syntax.Position, op syntax.Token, x, y tree.Expr) tree.Expr {
	kx, ok1 := x.(*tree.ConstExpr)
	ky, ok2 := y.(*tree.ConstExpr)
	if ok1 && ok2 && x.Type().Kind == types.List && (op == syntax.EQL || op == syntax.NEQ) {
		equal, _ := tree.ConstCompare(op, kx.Value, ky.Value)
		return tree.BoolConst(equal, pos)
	}
	return c.Bad(pos, "compare their elements", "a handler cannot compare %s with another", x.Type().WithArticle())
}

// neverEqual reports a comparison with a constant string that is longer than what is read of x.
func (c *Checker) neverEqual(pos syntax.Position, x, y tree.Expr) bool {
	k, ok := y.(*tree.ConstExpr)
	if !ok {
		return false
	}
	most, s, cut := cutBelow(x.Type(), k.Value)
	if !cut {
		return false
	}
	c.tooLong(pos, x, most, s)
	return true
}

// tooLong reports that s is longer than what is read of x.
func (c *Checker) tooLong(pos syntax.Position, x tree.Expr, most int, s string) {
	hint := fmt.Sprintf("compare with the part that is kept: %s", tree.ConstText(s[:most]))
	if _, ok := x.(*tree.StrExpr); ok {
		hint = fmt.Sprintf("read more of it: str(ptr, %d)", len(s)+1)
	}
	c.Errorf(pos, hint, "%s can never match: it has %d bytes, and at most %d are read", tree.ConstText(s), len(s), most)
}

// cutBelow finds a string in the constant k that is longer than what a value of type t keeps there.
func cutBelow(t *types.Type, k any) (most int, s string, ok bool) {
	switch t.Kind {
	case types.Opt:
		return cutBelow(t.Elem, k)
	case types.Tuple:
		if k, isTuple := k.(tree.Tuple); isTuple && len(k) == len(t.Elems) {
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

// Truth converts x to a condition, or reports an error if it is not one.
func (c *Checker) Truth(x tree.Expr) tree.Expr {
	if o, ok := x.(*chosenExpr); ok {
		return c.Truth(c.chosenTruth(o))
	}
	if cond, ok := tree.Truth(x); ok {
		return cond
	}
	if x.Type().Kind == types.Method {
		return c.Bad(x.Position(), "call it: add ()", "a method is not a condition")
	}
	return c.Bad(x.Position(), UsageHint(x.Type()), "%s is not a condition", x.Type().WithArticle())
}
