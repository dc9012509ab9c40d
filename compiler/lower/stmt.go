package lower

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
)

func (lw *Lowerer) block(stmts []tree.Stmt) {
	for _, s := range stmts {
		if lw.B.Dead() || lw.Req.IsCanceled() {
			return // unreachable, or canceled
		}
		lw.B.Pos = s.Position()
		lw.scoped(func() { lw.stmt(s) })
	}
}

// homeOf returns the storage of a local, which it allocates on first use.
func (lw *Lowerer) homeOf(v *tree.Local) *home {
	c := lw.homes[v]
	if c == nil {
		c = lw.newHome(v.T, v.Name)
		lw.homes[v] = c
	}
	return c
}

func (lw *Lowerer) stmt(s tree.Stmt) {
	switch s := s.(type) {
	case *tree.AssignStmt:
		lw.set(lw.homeOf(s.Local), s.X)
	case *tree.ExprStmt:
		if s.X.Type().Storable() {
			lw.Value(s.X)
		}
	case *tree.IfStmt:
		t, f, done := lw.B.Block("then"), lw.B.Block("else"), lw.B.Block("")
		lw.cond(s.Cond, t, f)
		lw.B.Continue(t)
		lw.block(s.True)
		lw.B.Jump(done)
		lw.B.Continue(f)
		lw.block(s.False)
		lw.B.Jump(done)
		lw.B.Continue(done)
	case *tree.ForStmt:
		lw.forRange(s)
	case *tree.EachStmt:
		lw.forEach(s)
	case *tree.ItemsStmt:
		lw.forItems(s)
	case *tree.CountStmt:
		lw.forCount(s)
	case *tree.WhileStmt:
		lw.while(s)
	case *tree.ReturnStmt:
		r := lw.rets[s.Call]
		lw.set(r.home, s.X)
		lw.leave(r)
	case *tree.BranchStmt:
		l := lw.loops[len(lw.loops)-1]
		if s.Tok == syntax.BREAK {
			lw.B.Jump(l.brk)
		} else {
			lw.B.Jump(l.cont)
		}
	case *tree.SetStmt:
		lw.tableSet(s)
	case *tree.AugmentStmt:
		lw.tableAugment(s)
	default:
		lw.bug(s.Position(), "statement %T", s)
	}
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
		if opaque {
			lw.B.NeverHide(i) // the verifier must know when this variable ends
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

// inlineCall inlines a function's body at its call.
func (lw *Lowerer) inlineCall(e *tree.CallExpr) Val {
	if f := lw.subprog(e); f != nil {
		return lw.callShared(f, e)
	}
	for i, p := range e.Params {
		if p.Static != nil {
			continue
		}
		lw.homes[p] = nil // each call has its own variables
		lw.set(lw.homeOf(p), e.Args[i])
	}
	r := &result{lw.newHome(e.T, e.Func.Name), lw.B.Block("return"), len(lw.loops), lw.out}
	lw.rets[e] = r
	pos := lw.B.Pos
	lw.block(e.Body)
	lw.B.Pos = pos
	lw.B.Jump(r.exit)
	lw.B.Continue(r.exit)
	return lw.get(r.home)
}
