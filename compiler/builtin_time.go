package compiler

import (
	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/strftime"
)

func timeBuiltins() []builtin {
	return []builtin{
		{
			name:       "jiffies",
			sig:        "jiffies()",
			doc:        "the kernel's 64-bit count of timer ticks, CONFIG_HZ of them a second (bpf_jiffies64, 5.9)",
			example:    "start[e.tid] = jiffies()",
			check:      fixed(types.TNat),
			lower:      func(lw *lowerer, e *eBuiltin) val { return scalar(types.TNat, lw.call(asm.FnJiffies64)) },
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

func checkStrftime(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	format, ok := c.constString(args[0], "the format of strftime")
	x := c.wantInt(args[1], "the time")
	if !ok || x.typ().Kind == types.Invalid {
		return invalid(call.Lparen)
	}
	if err := strftime.Check(format); err != nil {
		return c.bad(args[0].position(), "", "%s", err)
	}
	return mk(row, call, types.TTime(format), []expr{x})
}

// lowerStrftime returns the wall-clock time, rounded down to the precision of the format, so that
// all times with the same text are one key.
func lowerStrftime(lw *lowerer, e *eBuiltin) val {
	b := lw.b
	t := b.Add(ir.OpAdd, lw.value(e.args[0]).w, b.Const(lw.req.Host.WallClock()))
	if unit := int64(strftime.Unit(e.t.Format.Arg)); unit > 1 {
		t = b.Add(ir.OpSub, t, b.Add(ir.OpUMod, t, b.Const(unit)))
	}
	return scalar(e.t, t)
}

func hostStrftime(h *hostCall) (any, error) {
	format, ns := h.text(0), h.word(1)
	if err := strftime.Check(format); err != nil {
		return nil, err
	}
	t := ns + h.WallClock()
	return formatted(types.TTime(format), uint64(t-t%int64(strftime.Unit(format)))), nil
}
