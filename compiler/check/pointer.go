package check

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// pointers makes two pointers, or a pointer and None, comparable as numbers. None is NULL.
func (c *Checker) pointers(op syntax.Token, x, y tree.Expr) (tree.Expr, tree.Expr) {
	null := func(x, other tree.Expr) tree.Expr {
		if x.Type().Kind == types.None && other.Type().Kind == types.Ptr && (op == syntax.EQL || op == syntax.NEQ) {
			return tree.IntConst(0, x.Position())
		}
		return x
	}
	x, y = c.AddressOf(x), c.AddressOf(y)
	x, y = null(x, y), null(y, x)
	if op != syntax.EQL && op != syntax.NEQ {
		for _, p := range []*tree.Expr{&x, &y} {
			if (*p).Type().Kind == types.Ptr {
				*p = c.WantInt(*p, "")
			}
		}
	}
	return x, y
}

// pointerKey converts the pointers in a key to ints, which is how the script sees them.
func (c *Checker) pointerKey(x tree.Expr) tree.Expr {
	if t := keyType(x.Type()); t != x.Type() {
		return &tree.ConvertExpr{Node: tree.At(t, x.Position()), X: x}
	}
	return x
}

func keyType(t *types.Type) *types.Type {
	switch t.Kind {
	case types.Ptr:
		return types.TUint
	case types.Opt:
		if e := keyType(t.Elem); e != t.Elem {
			return types.TOpt(e)
		}
	case types.Tuple:
		elems, changed := make([]*types.Type, len(t.Elems)), false
		for i, e := range t.Elems {
			elems[i] = keyType(e)
			changed = changed || elems[i] != e
		}
		if changed {
			return types.TTuple(elems...)
		}
	}
	return t
}
