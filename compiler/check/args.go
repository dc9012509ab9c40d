package check

import (
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// JoinArgs checks join(argv, sep) of an array of strings in memory that ends with NULL. call is
// lowered with the pointers as its arguments, one more than are read.
func (c *Checker) JoinArgs(call *tree.BuiltinExpr, sep, argv tree.Expr) tree.Expr {
	k, ok := sep.(*tree.ConstExpr)
	if !ok || k.T.Kind != types.Str {
		return c.Bad(sep.Position(), "", "the separator of join() must be a constant string for an array in memory")
	}
	var parts []*types.Type
	for i := range int64(tree.MaxArgs + 1) {
		x := c.element(argv, tree.IntConst(i, argv.Position()), call.Pos)
		t := x.Type()
		switch {
		case t.Kind == types.Invalid:
			return x
		case t.Kind != types.Ptr || t.C == nil || t.C.Size != 1:
			return c.Bad(argv.Position(), `say that it points to strings: cast(ptr, "char **")`, "join() reads an array of strings, and this is %s", pointerText(argv.Type()))
		}
		call.Args = append(call.Args, x)
		parts = append(parts, types.TOpt(types.TStr(tree.MaxArg-1)))
	}
	parts[tree.MaxArgs] = types.TBool
	call.T = types.TText(types.Joined, k.Value.(string), parts)
	return call
}
