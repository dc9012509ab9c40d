package compiler

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

func (lw *lowerer) block(stmts []stmt) {
	for _, s := range stmts {
		if lw.b.Dead() || lw.req.canceled() {
			return // unreachable, or canceled
		}
		lw.b.Pos = s.position()
		lw.scoped(func() { lw.stmt(s) })
	}
}

// cellOf returns the storage of a local, which it allocates on first use.
func (lw *lowerer) cellOf(v *local) *cell {
	c := lw.cells[v]
	if c == nil {
		c = lw.newCell(v.t, v.name)
		lw.cells[v] = c
	}
	return c
}

func (lw *lowerer) stmt(s stmt) {
	switch s := s.(type) {
	case *sAssign:
		lw.set(lw.cellOf(s.v), s.x)
	case *sExpr:
		if s.x.typ().Storable() {
			lw.value(s.x)
		}
	case *sIf:
		t, f, done := lw.b.Block("then"), lw.b.Block("else"), lw.b.Block("")
		lw.cond(s.c, t, f)
		lw.b.Continue(t)
		lw.block(s.t)
		lw.b.Jump(done)
		lw.b.Continue(f)
		lw.block(s.f)
		lw.b.Jump(done)
		lw.b.Continue(done)
	case *sFor:
		lw.forRange(s)
	case *sEach:
		lw.forEach(s)
	case *sItems:
		lw.forItems(s)
	case *sCount:
		lw.forCount(s)
	case *sWhile:
		lw.while(s)
	case *sReturn:
		r := lw.rets[s.call]
		lw.set(r.cell, s.x)
		lw.leave(r)
	case *sBranch:
		l := lw.loops[len(lw.loops)-1]
		if s.tok == syntax.BREAK {
			lw.b.Jump(l.brk)
		} else {
			lw.b.Jump(l.cont)
		}
	case *sSet:
		lw.tableSet(s)
	case *sAugment:
		lw.tableAugment(s)
	default:
		lw.bug(s.position(), "statement %T", s)
	}
}

// forRange counts in a variable of its own, because the body may assign to the loop variable. The
// last value is known, so the test at the end compares for equality and no bound can overflow.
func (lw *lowerer) forRange(s *sFor) {
	i := new(int)
	lw.b.Write(i, lw.value(s.lo).w)
	times := lw.times
	lw.times *= int((word(s.hi.(*eConst).v)-word(s.lo.(*eConst).v))/s.step) + 1
	defer func() { lw.times = times }()
	lw.b.InLoop(func() {
		head, cont, next := lw.b.Block("loop"), lw.b.Block("continue"), lw.b.Block("next")
		brk := lw.b.Block("break")
		opaque := lw.req.Variant != VariantDefault
		var enter *ir.Value
		if opaque {
			lw.b.Shown(i) // the verifier must know when this variable ends
			enter = lw.opaqueZero()
		}
		lw.b.Jump(head)
		lw.b.Start(head)
		lw.b.Write(lw.cellOf(s.v).key, lw.b.Read(i))
		lw.loops = append(lw.loops, loop{brk, cont, nil})
		lw.block(s.body)
		lw.loops = lw.loops[:len(lw.loops)-1]
		lw.b.Jump(cont)
		lw.b.Continue(cont)
		if !lw.b.Dead() {
			lw.b.If(ir.EQ, lw.b.Read(i), lw.value(s.hi).w, brk, next)
		}
		lw.b.Continue(next)
		if !lw.b.Dead() {
			lw.b.Write(i, lw.b.Add(ir.OpAdd, lw.b.Read(i), lw.b.Const(s.step)))
			if opaque {
				lw.b.Opaque(head, enter, lw.opaqueZero())
			}
			lw.b.Jump(head)
		}
		lw.b.Seal(head)
		lw.b.Continue(brk)
	})
}

// forEach repeats the body for each element of a list.
func (lw *lowerer) forEach(s *sEach) {
	brk := lw.b.Block("break")
	for _, e := range s.list {
		if lw.b.Dead() {
			break
		}
		cont := lw.b.Block("continue")
		lw.scoped(func() { lw.set(lw.cellOf(s.v), e) })
		lw.loops = append(lw.loops, loop{brk, cont, nil})
		lw.block(s.body)
		lw.loops = lw.loops[:len(lw.loops)-1]
		lw.b.Jump(cont)
		lw.b.Continue(cont)
	}
	lw.b.Jump(brk)
	lw.b.Continue(brk)
}

// inlineCall inlines a function's body at its call.
func (lw *lowerer) inlineCall(e *eCall) val {
	if f := lw.subprog(e); f != nil {
		return lw.callShared(f, e)
	}
	for i, p := range e.params {
		if p.static != nil {
			continue
		}
		lw.cells[p] = nil // each call has its own variables
		lw.set(lw.cellOf(p), e.args[i])
	}
	r := &result{lw.newCell(e.t, e.fn.Name), lw.b.Block("return"), len(lw.loops), lw.out}
	lw.rets[e] = r
	pos := lw.b.Pos
	lw.block(e.body)
	lw.b.Pos = pos
	lw.b.Jump(r.exit)
	lw.b.Continue(r.exit)
	return lw.get(r.cell)
}
