package builtin

import (
	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/strftime"
)

func clockBuiltins() []builtin {
	return []builtin{
		{
			name:    "now",
			sig:     "now()",
			doc:     "nanoseconds since boot, excluding suspend (bpf_ktime_get_ns)",
			example: "start[e.tid] = now()",
			check:   fixed(types.TNat),
			lower:   clock(asm.FnKtimeGetNs),
		},
		{
			name:    "boottime",
			sig:     "boottime()",
			doc:     "nanoseconds since boot, including suspend (bpf_ktime_get_boot_ns, 5.8)",
			example: "start[e.tid] = boottime()",
			check:   fixed(types.TNat),
			lower:   clock(asm.FnKtimeGetBootNs),
		},
	}
}

// clock lowers a function that returns what the helper does, a number that is never negative.
func clock(helper asm.BuiltinFunc) func(*lower.Lowerer, *tree.BuiltinExpr) lower.Val {
	return func(lw *lower.Lowerer, _ *tree.BuiltinExpr) lower.Val {
		return lower.Scalar(types.TNat, lw.Call(helper))
	}
}

func timeBuiltins() []builtin {
	return []builtin{
		{
			name:       "jiffies",
			sig:        "jiffies()",
			doc:        "the kernel's 64-bit count of timer ticks, CONFIG_HZ of them a second (bpf_jiffies64, 5.9)",
			example:    "start[e.tid] = jiffies()",
			check:      fixed(types.TNat),
			lower:      clock(asm.FnJiffies64),
			kernelOnly: "scripts have no clock in ticks; use now()",
		},
		{
			name:    "strftime",
			sig:     "strftime(format, ns)",
			doc:     "a time from now() or e.time as wall-clock time, in a C format; as a key, times are grouped by the smallest unit that the format shows",
			example: `calls.add(by=strftime("%H:%M", now()))`,
			check:   checkStrftime,
			lower:   lowerStrftime,
			host:    hostStrftime,
		},
	}
}

func checkStrftime(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	format, ok := c.ConstString(args[0], "the format of strftime")
	x := c.WantInt(args[1], "the time")
	if !ok || x.Type().Kind == types.Invalid {
		return tree.Invalid(call.Lparen)
	}
	if err := strftime.Check(format); err != nil {
		return c.Bad(args[0].Position(), "", "%s", err)
	}
	return mk(row, call, types.TTime(format), []tree.Expr{x})
}

// lowerStrftime returns the wall-clock time, rounded down to the precision of the format, so that
// all times with the same text are one key.
func lowerStrftime(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
	b := lw.B
	t := b.Add(ir.OpAdd, lw.Value(e.Args[0]).W, b.Const(lw.Req.Host.WallClock()))
	if unit := int64(strftime.Unit(e.T.Format.Arg)); unit > 1 {
		t = b.Add(ir.OpSub, t, b.Add(ir.OpUMod, t, b.Const(unit)))
	}
	return lower.Scalar(e.T, t)
}

func hostStrftime(h *hostCall) (any, error) {
	format, ns := h.text(0), h.word(1)
	if err := strftime.Check(format); err != nil {
		return nil, err
	}
	t := ns + h.WallClock()
	return formatted(types.TTime(format), uint64(t-t%int64(strftime.Unit(format)))), nil
}
