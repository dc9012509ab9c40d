package compiler

import (
	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// A run of a handler is bounded as a whole. The kernel bounds each loop by itself (bpf_iter_num, bpf_loop), so two loops of run-time
// length, one in the other, could keep a CPU for hours. All such loops of a run take their rounds out of one budget, a variable of the
// handler: a round costs one step for each workPerStep units of work that the code in it can do, loops of constant length in it included.
// A budget that is used up ends the handler, which is counted as an error.
//
// A handler whose only such loop runs at most once needs no variable: the number of its rounds is bounded by the budget before it starts.
// Handlers without such loops have as many steps as the verifier follows, a million at most.

const (
	// maxSteps is the budget of a run. The kernel lets one loop have as many rounds (include/linux/bpf.h: BPF_MAX_LOOPS).
	maxSteps = 8 << 20
	// workPerStep is the work of one step: an instruction is a unit, a call of a helper callWork.
	workPerStep = 64
	callWork    = 20
	// divisionWork is the work of a division.
	divisionWork = 4
)

// A budget says what the loops of run-time length of a handler cost.
type budget struct {
	spent *int // the variable that counts the steps
	work  int  // done by what has been lowered so far
	loops int  // of run-time length that have been lowered
	// alone is set from the second lowering on, where there is one loop, which runs once: what a round of it costs. 0: there are more.
	alone int
	first int            // what a round of the loop costs that was lowered first
	subs  map[string]int // the work of a run of each subprogram
	often bool           // a loop of run-time length stands in one of constant length
}

// weigh counts the work of a value: of a call that of any helper, see weighCall.
func (lw *lowerer) weigh(v *ir.Value) {
	work := 1
	switch v.Op {
	case ir.OpUDiv, ir.OpUMod:
		work = divisionWork
	case ir.OpCall, ir.OpKfunc, ir.OpCallSub:
		work = callWork
	}
	lw.budget.work += work * lw.times
}

// weighCall counts what the helper of a call does beyond callWork.
func (lw *lowerer) weighCall(v *ir.Value) {
	h, ok := helperWork[v.Helper]
	if !ok || lw.b.Dead() {
		return
	}
	work := h.fixed - callWork
	if h.sizeArg > 0 {
		n, known := v.Args[h.sizeArg].IsConst()
		if !known {
			n = unknownSize
		}
		work += int(n) * h.perKB / 1024
	}
	lw.budget.work += work * lw.times
}

// A callCost is the work of a helper: fixed, and for each KiB of what its argument sizeArg says.
type callCost struct{ fixed, sizeArg, perKB int }

// unknownSize stands for a size that is known at run time: most are bounded by that of a string without a max.
const unknownSize = 256

// helperWork has the helpers that take longer than callWork, by measurement (TestRunBudgetCalls): a unit of work is to be at most 3 ns on a machine
// of today, so that the whole budget is at most two seconds.
var helperWork = map[asm.BuiltinFunc]callCost{
	asm.FnProbeReadKernel:    {20, 1, 128},
	asm.FnProbeReadUser:      {20, 1, 128},
	asm.FnProbeReadKernelStr: {20, 1, 256},
	asm.FnProbeReadUserStr:   {20, 1, 256},
	asm.FnMapUpdateElem:      {60, 0, 0},
	asm.FnMapDeleteElem:      {50, 0, 0},
	asm.FnRingbufReserve:     {60, 1, 64},
	asm.FnRingbufSubmit:      {40, 0, 0},
	asm.FnGetStack:           {80, 2, 512}, // 8 bytes of a frame
}

// repeated counts the work of what fn lowers n times.
func (lw *lowerer) repeated(n int, fn func()) {
	before := lw.budget.work
	fn()
	lw.budget.work += (lw.budget.work - before) * max(n-1, 0)
}

// weighSub counts the work of a subprogram that was lowered before, for one more call of it.
func (lw *lowerer) weighSub(name string) string {
	lw.budget.work += lw.budget.subs[name] * lw.times
	return name
}

// steps returns the cost of a round, of which fn lowers the body. There are so many rounds, or 0: that is not known.
func (lw *lowerer) steps(rounds int64, fn func()) int64 {
	before := lw.budget.work
	fn()
	work := lw.budget.work - before
	lw.budget.work += work * int(max(rounds-1, 0))
	return int64(1 + work/lw.times/workPerStep)
}

// counted reports whether a loop that is about to be lowered takes its rounds out of the variable, and how many rounds it may have
// by itself. A loop of a fixed number of rounds takes none: it is work of the loop around it.
func (lw *lowerer) counted(fixed int64) (counts bool, most int64) {
	g := &lw.budget
	if fixed > 0 {
		return false, maxSteps
	}
	g.loops++
	if lw.times > 1 {
		g.often = true // a loop of constant length around it
	}
	if g.alone > 0 {
		return false, int64(maxSteps / g.alone)
	}
	return true, maxSteps
}

// pay takes the cost of a round out of the budget; it goes on at over where there is not that much left.
func (lw *lowerer) pay(counts bool, steps int64, over *ir.Block) {
	b := lw.b
	if !counts {
		return
	}
	if lw.budget.first == 0 {
		lw.budget.first = int(steps)
	}
	spent := b.Add(ir.OpAdd, b.Read(lw.budget.spent), b.Const(steps))
	b.Write(lw.budget.spent, spent)
	on := b.Block("")
	b.If(ir.UGT, spent, b.Const(maxSteps), over, on)
	b.Continue(on)
}

// paidRound is a round of a loop that a helper runs, in its callback. body ends it by a jump to again, or falls off its end.
func (lw *lowerer) paidRound(pos syntax.Position, rounds int64, counts bool, next *ir.Block, body func(again *ir.Block)) {
	b := lw.b
	again, spent := b.Block("again"), b.Block("too long")
	spent.Cold = true
	steps := lw.steps(rounds, func() { body(again) })
	b.Jump(again)
	b.Continue(again)
	if !b.Dead() {
		lw.pay(counts, steps, spent)
		b.Jump(next)
	}
	b.Continue(spent)
	lw.overspent(pos)
}

// overspent ends the handler.
func (lw *lowerer) overspent(pos syntax.Position) {
	if !lw.b.Dead() {
		lw.fail(Site{Pos: pos, Op: "loop", Ends: true}, lw.b.Const(-errTooLong))
		lw.b.Jump(lw.end)
	}
}
