package builtin

import (
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func intBuiltins() []builtin {
	return []builtin{
		{
			name:    "int",
			sig:     "int(x)",
			doc:     "a bool, an int or an address as an int",
			example: "total.add(int(e.args.ret < 0))",
			probe:   "tracepoint:raw_syscalls:sys_exit",
			check:   checkInt,
			lower: func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
				return lower.Scalar(e.T, lw.Value(e.Args[0]).W)
			},
		},
		{
			name:    "bool",
			sig:     "bool(x)",
			doc:     "the truth value of x",
			example: "by_success.add(by=bool(e.args.ret))",
			probe:   "tracepoint:raw_syscalls:sys_exit",
			check: func(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
				return c.Truth(args[0])
			},
		},
		{
			name:    "abs",
			sig:     "abs(x)",
			doc:     "the absolute value of an int",
			example: "drift.add(abs(e.args.ret))",
			probe:   "tracepoint:raw_syscalls:sys_exit",
			check:   checkAbs,
			lower:   lowerAbs,
		},
		{
			name:    "min",
			sig:     "min(a, *rest)",
			doc:     "the smallest of two or more ints",
			example: "capped.add(min(e.args.len, 4096))",
			probe:   "tracepoint:syscalls:sys_enter_sendto",
			check:   checkExtreme,
			lower:   lowerExtreme,
		},
		{
			name:    "max",
			sig:     "max(a, *rest)",
			doc:     "the largest of two or more ints",
			example: "atleast.add(max(e.args.len, 1))",
			probe:   "tracepoint:syscalls:sys_enter_sendto",
			check:   checkExtreme,
			lower:   lowerExtreme,
		},
	}
}

func checkInt(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	x := args[0]
	switch {
	case x.Type().Kind == types.Bool:
		if k, ok := x.(*tree.ConstExpr); ok {
			return tree.IntConst(tree.Word(k.Value), call.Lparen)
		}
		return mk(row, call, types.TNat, args)
	case x.Type().Kind == types.Str:
		return c.Bad(x.Position(), "parse strings on the host", "int() of a string is not supported in a handler")
	}
	return c.WantInt(x, "the argument of int()")
}

func checkAbs(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	x := c.WantInt(args[0], "the argument of abs()")
	if x.Type().Kind == types.Invalid || tree.NeverNegative(x) {
		return x
	}
	if k, ok := x.(*tree.ConstExpr); ok {
		return c.Constant(new(big.Int).Abs(k.Value.(*big.Int)), call.Lparen, "the result")
	}
	// -2**63 has no magnitude in 63 bits
	return mk(row, call, &types.Type{Kind: types.Int, NonNeg: true, Wraps: true}, []tree.Expr{x})
}

func lowerAbs(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
	return lower.Scalar(e.T, lw.Magnitude(lw.Value(e.Args[0]).W))
}

func checkExtreme(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	if len(args) < 2 {
		return c.Bad(call.Lparen, "the "+row.Name+" of a captured list is a constant: compute it outside of the handler", "%s() takes two or more ints in a handler", row.Name)
	}
	for i := range args {
		args[i] = c.WantInt(args[i], "each argument of "+row.Name+"()")
		if args[i].Type().Kind == types.Invalid {
			return tree.Invalid(call.Lparen)
		}
	}
	t := args[0].Type()
	for _, a := range args[1:] {
		t = extremeType(row.Name, t, a.Type())
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

func lowerExtreme(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
	op := syntax.LT
	if e.Name == "max" {
		op = syntax.GT
	}
	best := new(int)
	bt := e.Args[0].Type()
	lw.B.Write(best, lw.Value(e.Args[0]).W)
	for _, a := range e.Args[1:] {
		x := lw.Value(a).W
		better, done := lw.B.Block("better"), lw.B.Block("")
		lw.CompareInts(op, x, a.Type(), lw.B.Read(best), bt, better, done)
		lw.B.Continue(better)
		lw.B.Write(best, x)
		lw.B.Jump(done)
		lw.B.Continue(done)
		bt = extremeType(e.Name, bt, a.Type())
	}
	return lower.Scalar(e.T, lw.B.Read(best))
}
