package compiler

import (
	"math/big"
	"math/rand/v2"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func checkInt(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := args[0]
	switch {
	case x.typ().Kind == types.Bool:
		if k, ok := x.(*eConst); ok {
			return intConst(word(k.v), call.Lparen)
		}
		return mk(row, call, types.TNat, args)
	case x.typ().Kind == types.Str:
		return c.bad(x.position(), "parse strings on the host", "int() of a string is not supported in a handler")
	}
	return c.wantInt(x, "the argument of int()")
}

func checkAbs(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := c.wantInt(args[0], "the argument of abs()")
	if x.typ().Kind == types.Invalid || neverNegative(x) {
		return x
	}
	if k, ok := x.(*eConst); ok {
		return c.constant(new(big.Int).Abs(k.v.(*big.Int)), call.Lparen, "the result")
	}
	// -2**63 has no magnitude in 63 bits
	return mk(row, call, &types.Type{Kind: types.Int, NonNeg: true, Wraps: true}, []expr{x})
}

func lowerAbs(lw *lowerer, e *eBuiltin) val {
	return scalar(e.t, lw.magnitude(lw.value(e.args[0]).w))
}

func checkExtreme(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	if len(args) < 2 {
		return c.bad(call.Lparen, "the "+row.name+" of a captured list is a constant: compute it outside of the handler", "%s() takes two or more ints in a handler", row.name)
	}
	for i := range args {
		args[i] = c.wantInt(args[i], "each argument of "+row.name+"()")
		if args[i].typ().Kind == types.Invalid {
			return invalid(call.Lparen)
		}
	}
	t := args[0].typ()
	for _, a := range args[1:] {
		t = extremeType(row.name, t, a.typ())
	}
	return mk(row, call, t, args)
}

// extremeType returns the type of min or max of two ints. The minimum is not above its signed
// operand, and the maximum is not negative if either operand is not.
func extremeType(name string, a, b *types.Type) *types.Type {
	t := &types.Type{Kind: types.Int, NonNeg: a.NonNeg || b.NonNeg}
	t.Wraps = t.NonNeg && (a.Wraps || b.Wraps)
	switch {
	case a.Kind != b.Kind && name == "max", a.Kind == types.Uint && b.Kind == types.Uint:
		return types.TID
	case name == "max":
		t.Wraps = t.NonNeg && (!a.NonNeg || a.Wraps) && (!b.NonNeg || b.Wraps)
	case a.Kind == b.Kind:
		t.NonNeg = a.NonNeg && b.NonNeg
		t.Wraps = t.NonNeg && t.Wraps
	}
	return t
}

func lowerExtreme(lw *lowerer, e *eBuiltin) val {
	op := syntax.LT
	if e.name == "max" {
		op = syntax.GT
	}
	best := new(int)
	bt := e.args[0].typ()
	lw.b.Write(best, lw.value(e.args[0]).w)
	for _, a := range e.args[1:] {
		x := lw.value(a).w
		better, done := lw.b.Block("better"), lw.b.Block("")
		lw.compareInts(op, x, a.typ(), lw.b.Read(best), bt, better, done)
		lw.b.Continue(better)
		lw.b.Write(best, x)
		lw.b.Jump(done)
		lw.b.Continue(done)
		bt = extremeType(e.name, bt, a.typ())
	}
	return scalar(e.t, lw.b.Read(best))
}

func hostRand(*hostCall) (any, error) { return big.NewInt(int64(rand.Uint32())), nil }
