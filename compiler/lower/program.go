package lower

import (
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
)

// Program lowers a checked handler. Values of more than limit bytes are not on the stack. The
// error is a diag.List, a *ScratchError, a *TextError or ErrCanceled.
func Program(rows *Tables, req *tree.Request, p *tree.Program, limit int) ([]*ir.Func, *Needs, error) {
	lw := &Lowerer{rows: rows, Req: req, types: p.Types, sharedBy: map[string][]*subprog{}}
	lw.scratch.limit = limit
	funcs := lw.program(p)
	switch {
	case req.IsCanceled():
		return nil, nil, tree.ErrCanceled
	case len(lw.diags) > 0:
		return nil, nil, lw.diags.Sort()
	case lw.walked > maxWalkedText || lw.jumps > maxTextJumps:
		return nil, nil, &TextError{}
	case lw.needs.ScratchSize > MaxScratch:
		return nil, nil, &ScratchError{lw.needs.ScratchSize}
	}
	return funcs, &lw.needs, nil
}

// program lowers the filter and the handler. The code that counts an error becomes a subprogram if
// it has several call sites, and a function of the script becomes one if that makes the program
// smaller. Scratch memory is acquired where it is first needed. All this is known only after the
// first lowering, so the program is lowered again where it matters.
func (lw *Lowerer) program(p *tree.Program) []*ir.Func {
	main := lw.main(p)
	again := lw.chooseSubprogs()
	if lw.budget.loops == 1 && !lw.budget.often {
		lw.budget.alone, again = lw.budget.first, true
	}
	if lw.counts == 1 && !again && lw.scratch.wanted == lw.scratch.taken {
		lw.inline, again = true, true
	}
	for again || lw.scratch.wanted > lw.scratch.taken {
		again = false
		lw.scratch.taken = lw.scratch.wanted
		main = lw.main(p)
	}
	funcs := append([]*ir.Func{main}, lw.subs...)
	if lw.counts > 0 && !lw.inline {
		funcs = append(funcs, lw.countSub())
	}
	return funcs
}

func (lw *Lowerer) main(p *tree.Program) *ir.Func {
	lw.B = ir.NewBuilder("handler")
	lw.B.Weigh = lw.weigh
	lw.needs = Needs{}
	lw.homes, lw.rets, lw.loops, lw.live, lw.free, lw.counts, lw.subs = map[*tree.Local]*home{}, map[*tree.CallExpr]*result{}, nil, nil, nil, 0, nil
	lw.callbacks, lw.ctxVar, lw.out = 0, new(int), nil
	lw.stackStores, lw.paths = map[stackStore]string{}, map[int]string{}
	for _, f := range lw.shared {
		f.body, f.result, f.params = nil, nil, nil
	}
	lw.scratch.reset(scratchFilter)
	lw.times, lw.walked, lw.jumps = 1, 0, 0
	lw.budget = budget{spent: new(int), alone: lw.budget.alone, subs: map[string]int{}}
	end := lw.B.Block("end")
	lw.end = end
	if p.Denies {
		lw.Denied = new(int)
		lw.B.Write(lw.Denied, lw.B.Const(0))
	}
	lw.B.Pos = p.Handler.Pos
	if off := lw.Req.Event.NullGuard; off != 0 {
		there := lw.B.Block("event")
		lw.B.If(ir.EQ, lw.B.Load(lw.ctx(), off, 8, false), lw.B.Const(0), lw.end, there)
		lw.B.Continue(there)
	}
	if lw.Req.Event.Gate != "" {
		lw.passGate()
	}
	if lw.Req.Event.Syscalls != nil {
		lw.ownSyscalls()
	}
	if p.PID != nil {
		lw.lowerPIDFilter(p.PID)
	}
	if p.Filter != nil {
		run := lw.B.Block("run")
		lw.acquireScratch()
		lw.cond(p.Filter, run, lw.end)
		lw.B.Continue(run)
	}
	lw.scratch.at = scratchHandler
	lw.acquireScratch()
	lw.Value(p.Handler)
	lw.B.Jump(lw.end)
	lw.release(end)
	lw.B.Continue(end)
	if p.Denies {
		lw.B.Ret(lw.verdict())
	} else {
		lw.B.Ret(lw.B.Const(0))
	}
	return lw.B.Finish()
}

// verdict returns the program's result: the last error that the handler gave to deny(), negated, or
// 0. The mask shows the verifier that it is in the range that hooks may return.
func (lw *Lowerer) verdict() *ir.Value {
	b := lw.B
	return b.Add(ir.OpSub, b.Const(0), b.Add(ir.OpAnd, b.Read(lw.Denied), b.Const(MaxErrno)))
}

// lowerPIDFilter ends the run if the event is of another process than Request.PIDFilter. It comes
// before everything else because most events are.
func (lw *Lowerer) lowerPIDFilter(pid tree.Expr) {
	b, only := lw.B, lw.Req.PIDFilter
	var id *ir.Value
	if only.Ino == 0 {
		id = lw.Value(pid).W
	} else {
		id = lw.pidIn(only.Dev, only.Ino)
	}
	mine := b.Block("process")
	b.If(ir.EQ, id, b.Const(int64(only.PID)), mine, lw.end)
	b.Continue(mine)
}
