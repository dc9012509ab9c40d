package check

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// forChosen checks a loop over a list, tuple or dict that the handler chooses. It runs over the
// indexes of the longest.
func (c *Checker) forChosen(s *syntax.ForStmt, o *chosenExpr) []tree.Stmt {
	o, out := c.hold(o)
	most, least := 0, maxUnroll
	lists := c.project(s.For, o, func(v any) (any, bool) {
		list, ok := tree.ConstElems(v)
		most, least = max(most, len(list)), min(least, len(list))
		return tree.List(list), ok
	})
	size := c.ConstLen(o, s.For)
	at, ok := lists.(*chosenExpr)
	if !ok || size == nil || most > maxUnroll {
		c.Errorf(o.Pos, "loop over range(n), or over a list or tuple from outside of the handler", "a handler cannot loop over %s", o.T.WithArticle())
		c.skipLoop(s)
		return nil
	}
	if most == 0 {
		return out
	}
	i := &tree.Local{Name: "i", T: types.TNat}
	n := &tree.VarExpr{Node: tree.At(types.TNat, s.For), Local: i}
	body := c.loopBodyOf(s, i, c.chosenIndex(s.For, at, n, nil), most, least > 0)
	if least < most {
		more := &tree.CompareExpr{Node: tree.At(types.TBool, s.For), Op: syntax.LT, X: n, Y: size}
		body = []tree.Stmt{&tree.IfStmt{StmtNode: tree.StmtAt(s.For), Cond: more, True: body}}
	}
	return append(out, &tree.EachStmt{StmtNode: tree.StmtAt(s.For), Local: i, List: counted(most, s.For), Body: body})
}

// forCollections checks a loop over a constant list of collections. The variable is the one that
// the number of the iteration chooses.
func (c *Checker) forCollections(s *syntax.ForStmt, t *types.Type, list []any) []tree.Stmt {
	i := &tree.Local{Name: "i", T: types.TNat}
	elem := numbered(s.For, t, &tree.VarExpr{Node: tree.At(types.TNat, s.For), Local: i}, list)
	body := c.loopBodyOf(s, i, elem, len(list), true)
	return []tree.Stmt{&tree.EachStmt{StmtNode: tree.StmtAt(s.For), Local: i, List: counted(len(list), s.For), Body: body}}
}

// counted returns the constants from 0 to n-1.
func counted(n int, pos syntax.Position) []tree.Expr {
	out := make([]tree.Expr, n)
	for i, k := range count(n) {
		out[i] = &tree.ConstExpr{Node: tree.At(types.TNat, pos), Value: k}
	}
	return out
}
