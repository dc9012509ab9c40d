package lower

import (
	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// The run time of a handler is bounded as a whole. The kernel bounds each loop by itself
// (bpf_iter_num, bpf_loop), so two nested loops of run-time length could keep a CPU busy for hours.
// All such loops of a run take their iterations out of one budget, a variable of the handler: an
// iteration costs one step for each workPerStep units of work that its code can do, including the
// loops of constant length in it. When the budget is used up the handler ends, which is counted as
// an error.
//
// A handler whose only such loop runs at most once needs no variable: the number of iterations is
// bounded by the budget before the loop starts. Handlers without such loops run no more steps than
// the verifier follows, a million at most.

const (
	// maxSteps is the budget of a run. The kernel allows one loop as many iterations
	// (include/linux/bpf.h: BPF_MAX_LOOPS).
	maxSteps = 8 << 20
	// workPerStep is the work of one step: an instruction is one unit, a call of a helper is
	// callWork units.
	workPerStep = 64
	callWork    = 20
	// divisionWork is the work of a division.
	divisionWork = 4
)

// A budget records the cost of the loops of run-time length of a handler.
type budget struct {
	spent *int // the variable that counts the steps
	work  int  // of the code lowered so far
	loops int  // of run-time length, lowered so far
	// alone is the cost of an iteration if there is one loop that runs once. It is set from the
	// second lowering on; 0: not such a handler.
	alone int
	first int            // cost of an iteration of the first loop
	subs  map[string]int // the work of one run of each subprogram
	often bool           // a loop of run-time length is inside one of constant length
}

// weigh counts the work of a value; for a call, the work that any helper does, see weighCall.
func (lw *Lowerer) weigh(v *ir.Value) {
	work := 1
	switch v.Op {
	case ir.OpUDiv, ir.OpUMod:
		work = divisionWork
	case ir.OpCall, ir.OpKfunc, ir.OpCallSub:
		work = callWork
	}
	lw.budget.work += work * lw.times
}

// weighCall counts the work of a helper call beyond callWork.
func (lw *Lowerer) weighCall(v *ir.Value) {
	h, ok := helperWork[v.Helper]
	if !ok || lw.B.Dead() {
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

// A callCost is the work of a helper: fixed, plus perKB for each KiB of the size in argument
// sizeArg.
type callCost struct{ fixed, sizeArg, perKB int }

// unknownSize is the assumed size if it is known only at run time: most sizes are bounded by that
// of a string without a max.
const unknownSize = 256

// helperWork lists the helpers that take longer than callWork, by measurement (TestRunBudgetCalls).
// A unit of work should take at most 3 ns on a current machine, so that the whole budget takes at
// most two seconds.
var helperWork = map[asm.BuiltinFunc]callCost{
	asm.FnProbeReadKernel:    {20, 1, 128},
	asm.FnProbeReadUser:      {20, 1, 128},
	asm.FnProbeReadKernelStr: {20, 1, 256},
	asm.FnProbeReadUserStr:   {20, 1, 256},
	asm.FnMapUpdateElem:      {90, 0, 0},
	asm.FnMapDeleteElem:      {50, 0, 0},
	asm.FnRingbufReserve:     {60, 1, 64},
	asm.FnRingbufSubmit:      {40, 0, 0},
	asm.FnGetStack:           {80, 2, 2560}, // 8 bytes per frame; each of ustack is a user access
}

// repeated counts the work of what fn lowers n times.
func (lw *Lowerer) repeated(n int, fn func()) {
	before := lw.budget.work
	fn()
	lw.budget.work += (lw.budget.work - before) * max(n-1, 0)
}

// weighSub counts the work of one more call of a subprogram that is already lowered, and returns
// its name.
func (lw *Lowerer) weighSub(name string) string {
	lw.budget.work += lw.budget.subs[name] * lw.times
	return name
}

// steps returns the cost of an iteration, whose body fn lowers. rounds is the number of iterations,
// or 0 if it is not known.
func (lw *Lowerer) steps(rounds int64, fn func()) int64 {
	before := lw.budget.work
	fn()
	work := lw.budget.work - before
	lw.budget.work += work * int(max(rounds-1, 0))
	return int64(1 + work/lw.times/workPerStep)
}

// counted reports whether a loop that is about to be lowered takes its iterations out of the budget
// variable, and how many iterations it may have by itself. A loop with a fixed number of iterations
// takes none: it is work of the loop around it.
func (lw *Lowerer) counted(fixed int64) (counts bool, most int64) {
	g := &lw.budget
	if fixed > 0 {
		return false, maxSteps
	}
	g.loops++
	if lw.times > 1 {
		g.often = true // in a loop of constant length
	}
	if g.alone > 0 {
		return false, int64(maxSteps / g.alone)
	}
	return true, maxSteps
}

// pay subtracts the cost of an iteration from the budget, and continues at over if the budget does
// not suffice.
func (lw *Lowerer) pay(counts bool, steps int64, over *ir.Block) {
	b := lw.B
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

// paidRound lowers an iteration of a loop that a helper runs, in its callback. body ends it with a
// jump to again, or falls off its end.
func (lw *Lowerer) paidRound(pos syntax.Position, rounds int64, counts bool, next *ir.Block, body func(again *ir.Block)) {
	b := lw.B
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

// overspent ends the handler and counts the error.
func (lw *Lowerer) overspent(pos syntax.Position) {
	if !lw.B.Dead() {
		lw.Fail(Site{Pos: pos, Op: "loop", Ends: true}, lw.B.Const(-errTooLong))
		lw.B.Jump(lw.end)
	}
}
