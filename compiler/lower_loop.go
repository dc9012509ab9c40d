package compiler

import (
	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// Loops whose length is not known at compile time are kept as loops in the program. The verifier
// accepts a loop that asks the kernel's number iterator in each iteration (bpf_iter_num, 6.4): it
// walks through the body until the state of registers and stack repeats, not once for each
// iteration. The iterator counts to its own limit, and must be destroyed on every path out of the
// loop. Older kernels run a loop's body as a callback (bpf_loop, 5.17), see outline.go.

// The other kernel functions of the iterator.
const (
	iterNext    = "bpf_iter_num_next"
	iterDestroy = "bpf_iter_num_destroy"
)

func (lw *lowerer) kfunc(name string, args ...*ir.Value) *ir.Value {
	id, err := lw.req.Kfunc(name)
	if err != nil {
		lw.bug(lw.b.Pos, "%v", err)
	}
	v := lw.b.Add(ir.OpKfunc, args...)
	v.Sym, v.Imm = name, id
	return v
}

// destroy destroys an iterator.
func (lw *lowerer) destroy(it *ir.Slot) {
	if it != nil && !lw.b.Dead() {
		lw.kfunc(iterDestroy, lw.b.SlotAddr(it, 0))
	}
}

// iterate repeats the body count times, or, if count is nil, until it is left. each gets the number
// of the iteration and continues at body, or leaves.
func (lw *lowerer) iterate(s loopStmt, count *ir.Value, each func(i *ir.Value, body, leave *ir.Block)) {
	b := lw.b
	fixed := int64(0)
	if count != nil {
		fixed, _ = count.IsConst()
	}
	counts, most := lw.counted(fixed)
	// Without a count, reaching the iterator's end is an error.
	limit, tooMany := b.Const(most), b.Const(1)
	if count != nil {
		limit, tooMany = lw.atMost(count, most)
	}
	if !lw.req.iterators() {
		lw.iterateOutlined(s, fixed, counts, limit, tooMany, each)
		return
	}
	it := b.F.NewSlot(8, "iterator")
	lw.kfunc(iterNew, b.SlotAddr(it, 0), b.Const(0), limit)
	outer := lw.end
	end := b.Block("end of loop and handler")
	lw.end = end
	brk := b.Block("break")
	b.InLoop(func() {
		head, run, round := b.Block("loop"), b.Block("body"), b.Block("round")
		var over, fault *ir.Block
		b.InCold(func() { over, fault = b.Block("over"), b.Block("too long") })
		enter, again := lw.opaqueZero(), b.Block("again")
		b.Jump(head)
		b.Start(head)
		p := lw.kfunc(iterNext, b.SlotAddr(it, 0))
		b.If(ir.NE, p, b.Const(0), round, over)
		b.Continue(over)
		b.If(ir.NE, tooMany, b.Const(0), fault, brk)
		steps := lw.steps(fixed, func() {
			b.Continue(round)
			lw.scoped(func() { each(b.Load(p, 0, 4, true), run, brk) })
			b.Continue(run)
			lw.loops = append(lw.loops, loop{brk, again, it})
			lw.block(s.statements())
			lw.loops = lw.loops[:len(lw.loops)-1]
			b.Jump(again)
		})
		b.Continue(again)
		if !b.Dead() {
			lw.pay(counts, steps, fault)
			b.Opaque(head, enter, lw.opaqueZero())
			b.Jump(head)
		}
		b.Seal(head)
		b.Continue(fault)
		lw.overspent(s.position())
	})
	lw.end = outer
	b.Continue(end)
	lw.destroy(it)
	b.Jump(outer)
	b.Continue(brk)
	lw.destroy(it)
}

// iterateOutlined is iterate with bpf_loop.
func (lw *lowerer) iterateOutlined(s loopStmt, fixed int64, counts bool, limit, tooMany *ir.Value, each func(i *ir.Value, body, leave *ir.Block)) {
	b := lw.b
	for _, v := range s.keeps() { // so that they exist outside of the callback
		lw.clearCell(lw.cellOf(v))
	}
	way := lw.outlined("loop", 2, func(args []*ir.Value, next, leave *ir.Block) {
		lw.paidRound(s.position(), fixed, counts, next, func(again *ir.Block) {
			run := lw.b.Block("body")
			lw.scoped(func() { each(args[0], run, leave) })
			lw.b.Continue(run)
			lw.loops = append(lw.loops, loop{leave, again, nil})
			lw.block(s.statements())
			lw.loops = lw.loops[:len(lw.loops)-1]
		})
	}, func(fn, frame *ir.Value) { lw.call(asm.FnLoop, limit, fn, frame, b.Const(0)) })
	if b.Dead() {
		return
	}
	done, fault, on := b.Block("done"), b.Block("too long"), b.Block("")
	b.If(ir.EQ, way, b.Const(exitNormal), done, on)
	b.Continue(done)
	b.If(ir.NE, tooMany, b.Const(0), fault, on)
	fault.Cold = true
	b.Continue(fault)
	lw.overspent(s.position())
	b.Continue(on)
}

// atMost returns the smaller of n, which is unsigned, and limit; more is 1 if n is the larger, else
// 0.
func (lw *lowerer) atMost(n *ir.Value, limit int64) (least, more *ir.Value) {
	b := lw.b
	if k, ok := n.IsConst(); ok && uint64(k) <= uint64(limit) {
		return n, b.Const(0)
	}
	l, m := new(int), new(int)
	over, done := b.Block("over the limit"), b.Block("")
	b.Write(l, n)
	b.Write(m, b.Const(0))
	b.If(ir.UGT, n, b.Const(limit), over, done)
	b.Continue(over)
	b.Write(l, b.Const(limit))
	b.Write(m, b.Const(1))
	b.Jump(done)
	b.Continue(done)
	return b.Read(l), b.Read(m)
}

// opaqueZero returns a 0 that is unknown to the verifier.
func (lw *lowerer) opaqueZero() *ir.Value {
	lw.needs.Zeros = max(lw.needs.Zeros, 8)
	return lw.b.Load(lw.b.MapValue(lw.req.Zeros, 0), 0, 8, false)
}

func (lw *lowerer) while(s *sWhile) {
	lw.iterate(s, nil, func(_ *ir.Value, body, leave *ir.Block) { lw.cond(s.cond, body, leave) })
}

// forCount computes the number of iterations before the first one, as Starlark does, so that no
// bound overflows.
func (lw *lowerer) forCount(s *sCount) {
	b := lw.b
	lo, hi := lw.value(s.lo).w, lw.value(s.hi).w
	n := new(int)
	some, done := b.Block("some"), b.Block("")
	b.Write(n, b.Const(0))
	lw.compareInts(map[bool]syntax.Token{true: syntax.LT, false: syntax.GT}[s.step > 0], lo, operandType(s.lo, s.hi), hi, operandType(s.hi, s.lo), some, done)
	b.Continue(some)
	if !b.Dead() {
		width, step := b.Add(ir.OpSub, hi, lo), s.step
		if step < 0 {
			width, step = b.Add(ir.OpSub, lo, hi), -step
		}
		rounds := b.Add(ir.OpUDiv, b.Add(ir.OpSub, width, b.Const(1)), b.Const(step))
		b.Write(n, b.Add(ir.OpAdd, rounds, b.Const(1)))
		b.Jump(done)
	}
	b.Continue(done)
	start := new(int) // a variable: the body may become a function of its own
	b.Write(start, lo)
	lw.iterate(s, b.Read(n), func(i *ir.Value, body, _ *ir.Block) {
		b := lw.b
		b.Write(lw.cellOf(s.v).key, b.Add(ir.OpAdd, b.Read(start), b.Add(ir.OpMul, i, b.Const(s.step))))
		b.Jump(body)
	})
}
