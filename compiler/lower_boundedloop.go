package compiler

import "github.com/bpfrepl/bpfrepl/compiler/ir"

// Loops of the compiler's own that end after so many rounds. The verifier follows such a loop round by round, and goes on from one
// state only where ways meet that differ in nothing that is used later. Inside of a loop of the handler it does not: there ways differ
// also in what nobody uses any more, and each of them is followed through all rounds that are left. So the rounds are counted by
// the kernel's iterator for numbers there (or wherever the body is large), as those of the handler's loops are: then the
// verifier follows no more rounds than it takes to see nothing new.

// inLoop tells that the code stands in a loop of the handler, or may be called from there, on a kernel that has the iterator.
func (lw *lowerer) inLoop() bool {
	_, err := lw.req.Kfunc(iterNew)
	return err == nil && (len(lw.loops) > 0 || lw.out != nil)
}

// boundedLoop repeats body at most n times: it goes on at next, or leaves. After n times it goes on at over.
func (lw *lowerer) boundedLoop(iterator bool, n *ir.Value, leave, over *ir.Block, body func(i *ir.Value, next, leave *ir.Block)) {
	b := lw.b
	repeat := func(i *ir.Value, next, leave *ir.Block) {
		most, _ := n.IsConst()
		lw.repeated(int(most)/4, func() { body(i, next, leave) }) // a round takes one of the ways through the body, and few take all rounds
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
