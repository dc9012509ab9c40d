package lower

import (
	"slices"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
)

// The default of get() and pop() is lowered where the key is missing. As Starlark computes it
// always, one that can end the handler, or that changes something, is computed before the lookup.

// early computes x now, and returns an expression that reads it.
func (lw *Lowerer) early(x tree.Expr) tree.Expr {
	tmp := &tree.Local{Name: "early", T: x.Type()}
	lw.set(lw.homeOf(tmp), x)
	return &tree.VarExpr{Node: tree.At(tmp.T, x.Position()), Local: tmp}
}

// acts reports whether computing x can end the handler, or change something.
func acts(x tree.Expr) bool {
	switch x := x.(type) {
	case *tree.ConvertExpr:
		return acts(x.X)
	case *tree.NarrowExpr:
		return acts(x.X)
	case *tree.TruthExpr:
		return acts(x.X)
	case *tree.NotExpr:
		return acts(x.X)
	case *tree.UnaryExpr:
		return acts(x.X)
	case *tree.ElemExpr:
		return acts(x.X)
	case *tree.InExpr:
		return acts(x.X)
	case *tree.BinaryExpr:
		return acts(x.X) || acts(x.Y) || canFail(x)
	case *tree.CompareExpr:
		return acts(x.X) || acts(x.Y)
	case *tree.LogicExpr:
		return acts(x.X) || acts(x.Y)
	case *tree.ContainsExpr:
		return acts(x.X) || acts(x.Y)
	case *tree.CondExpr:
		return acts(x.Cond) || acts(x.True) || acts(x.False)
	case *tree.TupleExpr:
		return slices.ContainsFunc(x.Elems, acts)
	case *tree.BuiltinExpr:
		return slices.ContainsFunc(x.Args, func(a tree.Expr) bool { return a != nil && acts(a) })
	case *tree.SliceExpr:
		return acts(x.X) || x.XLo != nil && acts(x.XLo) || x.XHi != nil && acts(x.XHi)
	case *tree.DictExpr:
		return acts(x.X) || x.Def == nil || acts(x.Def)
	case *tree.IndexExpr, *tree.MethodExpr, *tree.CallExpr:
		return true
	}
	return false
}

// canFail reports whether a division or a shift may end the handler.
func canFail(x *tree.BinaryExpr) bool {
	switch x.Op {
	case syntax.SLASHSLASH, syntax.PERCENT, syntax.LTLT, syntax.GTGT:
		return !tree.IsConst(x.Y)
	}
	return false
}
