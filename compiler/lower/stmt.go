package lower

import (
	"go.starlark.net/syntax"

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
