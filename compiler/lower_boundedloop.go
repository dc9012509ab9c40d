package compiler

import "github.com/bpfrepl/bpfrepl/compiler/ir"

// This file lowers loops of the compiler's own that end after a bounded number of iterations. The
// verifier follows such a loop iteration by iteration, and prunes a path only if it joins one that
// differs in nothing that is used later. Inside a loop of the handler that does not work: there,
// paths differ also in values that are no longer used, and the verifier follows each of them
// through all remaining iterations. So in such a place (or wherever the body is large) the
// iterations are counted by the kernel's number iterator, as those of the handler's loops are. The
// verifier then stops once the state converges.

// inLoop reports whether the code is in a loop of the handler, or may be called from one, on a
// kernel that has the number iterator.
func (lw *lowerer) inLoop() bool {
	_, err := lw.req.Kfunc(iterNew)
	return err == nil && (len(lw.loops) > 0 || lw.out != nil)
}

// boundedLoop repeats body at most n times. body jumps to next or to leave; after n iterations
// control continues at over.
func (lw *lowerer) boundedLoop(iterator bool, n *ir.Value, leave, over *ir.Block, body func(i *ir.Value, next, leave *ir.Block)) {
	b := lw.b
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
	lw.kfunc(iterNew, b.SlotAddr(it, 0), b.Const(0), n)
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
