package lower

import (
	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
)

// Loops whose length is not known at compile time are kept as loops in the program. The verifier
// accepts a loop that asks the kernel's number iterator in each iteration (bpf_iter_num, 6.4): it
// walks through the body until the state of registers and stack repeats, not once for each
// iteration. The iterator counts to its own limit, and must be destroyed on every path out of the
// loop. Older kernels run a loop's body as a callback (bpf_loop, 5.17), see callback.go.

// The other kernel functions of the iterator.
const (
	iterNext = "bpf_iter_num_next"
)

// iterate repeats the body count times, or, if count is nil, until it is left. each gets the number
// of the iteration and continues at body, or leaves.
func (lw *Lowerer) iterate(s tree.LoopStmt, count *ir.Value, each func(i *ir.Value, body, leave *ir.Block)) {
	b := lw.B
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
	if !lw.Req.Iterators() {
		lw.iterateByCallback(s, fixed, counts, limit, tooMany, each)
		return
	}
	it := b.F.NewSlot(8, "iterator")
	lw.kfunc(tree.IterNew, b.SlotAddr(it, 0), b.Const(0), limit)
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
			lw.block(s.Statements())
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
		lw.overspent(s.Position())
	})
	lw.end = outer
	b.Continue(end)
	lw.destroy(it)
	b.Jump(outer)
	b.Continue(brk)
	lw.destroy(it)
}

// iterateByCallback is iterate with bpf_loop.
func (lw *Lowerer) iterateByCallback(s tree.LoopStmt, fixed int64, counts bool, limit, tooMany *ir.Value, each func(i *ir.Value, body, leave *ir.Block)) {
	b := lw.B
	exceeds := new(int) // a variable, so that callBody hides it
	b.Write(exceeds, tooMany)
	for _, v := range s.Keeps() { // so that they exist outside of the callback
		lw.clearHome(lw.homeOf(v))
	}
	way := lw.inCallback("loop", 2, func(args []*ir.Value, next, leave *ir.Block) {
		lw.paidRound(s.Position(), fixed, counts, next, func(again *ir.Block) {
			run := lw.B.Block("body")
			lw.scoped(func() { each(args[0], run, leave) })
			lw.B.Continue(run)
			lw.loops = append(lw.loops, loop{leave, again, nil})
			lw.block(s.Statements())
			lw.loops = lw.loops[:len(lw.loops)-1]
		})
	}, func(fn, frame *ir.Value) { lw.Call(asm.FnLoop, limit, fn, frame, b.Const(0)) })
	if b.Dead() {
		return
	}
	done, fault, on := b.Block("done"), b.Block("too long"), b.Block("")
	b.If(ir.EQ, way, b.Const(exitNormal), done, on)
	b.Continue(done)
	b.If(ir.NE, b.Read(exceeds), b.Const(0), fault, on)
	fault.Cold = true
	b.Continue(fault)
	lw.overspent(s.Position())
	b.Continue(on)
}

func (lw *Lowerer) while(s *tree.WhileStmt) {
	lw.iterate(s, nil, func(_ *ir.Value, body, leave *ir.Block) { lw.cond(s.Cond, body, leave) })
}

// forCount computes the number of iterations before the first one, as Starlark does, so that no
// bound overflows.
func (lw *Lowerer) forCount(s *tree.CountStmt) {
	b := lw.B
	lo, hi := lw.Value(s.Lo).W, lw.Value(s.Hi).W
	n := new(int)
	some, done := b.Block("some"), b.Block("")
	b.Write(n, b.Const(0))
	lw.CompareInts(map[bool]syntax.Token{true: syntax.LT, false: syntax.GT}[s.Step > 0], lo, operandType(s.Lo, s.Hi), hi, operandType(s.Hi, s.Lo), some, done)
	b.Continue(some)
	if !b.Dead() {
		width, step := b.Add(ir.OpSub, hi, lo), s.Step
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
		b := lw.B
		b.Write(lw.homeOf(s.Local).key, b.Add(ir.OpAdd, b.Read(start), b.Add(ir.OpMul, i, b.Const(s.Step))))
		b.Jump(body)
	})
}

// This file lowers loops of the compiler's own that end after a bounded number of iterations. The
// verifier follows such a loop iteration by iteration, and prunes a path only if it joins one that
// differs in nothing that is used later. Inside a loop of the handler that does not work: there,
// paths differ also in values that are no longer used, and the verifier follows each of them
// through all remaining iterations. So in such a place (or wherever the body is large) the
// iterations are counted by the kernel's number iterator, as those of the handler's loops are. The
// verifier then stops once the state converges.

// inLoop reports whether the code is in a loop of the handler, or may be called from one, on a
// kernel that has the number iterator.
func (lw *Lowerer) inLoop() bool {
	_, err := lw.Req.Kfunc(tree.IterNew)
	return err == nil && (len(lw.loops) > 0 || lw.out != nil)
}

// boundedLoop repeats body at most n times. body jumps to next or to leave; after n iterations
// control continues at over.
func (lw *Lowerer) boundedLoop(iterator bool, n *ir.Value, leave, over *ir.Block, body func(i *ir.Value, next, leave *ir.Block)) {
	b := lw.B
	repeat := func(i *ir.Value, next, leave *ir.Block) {
		most, _ := n.IsConst()
		// An iteration takes one path through the body, and few loops run all iterations.
		lw.repeated(int(most)/4, func() { body(i, next, leave) })
	}
	if !iterator {
		at := new(int)
		b.Write(at, b.Const(0))
		b.InLoop(func() {
			head, round, next := b.Block("head"), b.Block("round"), b.Block("next")
			b.Jump(head)
			b.Start(head)
			i := b.Read(at)
			b.If(ir.EQ, i, n, over, round)
			b.Continue(round)
			repeat(i, next, leave)
			b.Continue(next)
			b.Write(at, b.Add(ir.OpAdd, i, b.Const(1)))
			b.Jump(head)
			b.Seal(head)
		})
		return
	}
	it := b.F.NewSlot(8, "iterator")
	lw.kfunc(tree.IterNew, b.SlotAddr(it, 0), b.Const(0), n)
	end, gone := b.Block("end of rounds"), b.Block("left")
	b.InLoop(func() {
		head, round := b.Block("head"), b.Block("round")
		b.Jump(head)
		b.Start(head)
		p := lw.kfunc(iterNext, b.SlotAddr(it, 0))
		b.If(ir.NE, p, b.Const(0), round, end)
		b.Continue(round)
		repeat(b.Load(p, 0, 4, false), head, gone)
		b.Seal(head)
	})
	b.Continue(gone)
	if !b.Dead() {
		lw.destroy(it)
		b.Jump(leave)
	}
	b.Continue(end)
	lw.destroy(it)
	b.Jump(over)
}

// forRange counts in a variable of its own, because the body may assign to the loop variable. The
// last value is known, so the test at the end compares for equality and no bound can overflow.
func (lw *Lowerer) forRange(s *tree.ForStmt) {
	i := new(int)
	lw.B.Write(i, lw.Value(s.Lo).W)
	times := lw.times
	lw.times *= int((tree.Word(s.Hi.(*tree.ConstExpr).Value)-tree.Word(s.Lo.(*tree.ConstExpr).Value))/s.Step) + 1
	defer func() { lw.times = times }()
	lw.B.InLoop(func() {
		head, cont, next := lw.B.Block("loop"), lw.B.Block("continue"), lw.B.Block("next")
		brk := lw.B.Block("break")
		opaque := lw.Req.Variant != tree.VariantDefault
		var enter *ir.Value
		lw.B.NeverHide(i) // the verifier must know when this variable ends
		if opaque {
			enter = lw.opaqueZero()
		}
		lw.B.Jump(head)
		lw.B.Start(head)
		lw.B.Write(lw.homeOf(s.Local).key, lw.B.Read(i))
		lw.loops = append(lw.loops, loop{brk, cont, nil})
		lw.block(s.Body)
		lw.loops = lw.loops[:len(lw.loops)-1]
		lw.B.Jump(cont)
		lw.B.Continue(cont)
		if !lw.B.Dead() {
			lw.B.If(ir.EQ, lw.B.Read(i), lw.Value(s.Hi).W, brk, next)
		}
		lw.B.Continue(next)
		if !lw.B.Dead() {
			lw.B.Write(i, lw.B.Add(ir.OpAdd, lw.B.Read(i), lw.B.Const(s.Step)))
			if opaque {
				lw.B.Opaque(head, enter, lw.opaqueZero())
			}
			lw.B.Jump(head)
		}
		lw.B.Seal(head)
		lw.B.Continue(brk)
	})
}

// forEach repeats the body for each element of a list.
func (lw *Lowerer) forEach(s *tree.EachStmt) {
	brk := lw.B.Block("break")
	for _, e := range s.List {
		if lw.B.Dead() {
			break
		}
		cont := lw.B.Block("continue")
		lw.scoped(func() { lw.set(lw.homeOf(s.Local), e) })
		lw.loops = append(lw.loops, loop{brk, cont, nil})
		lw.block(s.Body)
		lw.loops = lw.loops[:len(lw.loops)-1]
		lw.B.Jump(cont)
		lw.B.Continue(cont)
	}
	lw.B.Jump(brk)
	lw.B.Continue(brk)
}
