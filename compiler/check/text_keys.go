package check

import (
	"math/big"
	"slices"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A key that is a text is a tuple in the kernel. For a table to find it, each text must have one
// tuple only: the format tells the arguments apart, and no text is of two formats. A constant
// string that is a text of the format becomes its tuple, as in the script.

// oneTextEach reports an error, and returns false, if the keys of a table may differ in the kernel
// and be the same texts on the host: the handler would not find the key that the script sees.
func (c *Checker) oneTextEach(m *tree.Map, x tree.Expr, has, t *types.Type) bool {
	j := t
	if has != nil {
		j = types.Join(has, t)
	}
	if j == nil {
		return true // another error
	}
	e := composedIn(j)
	if e == nil || !e.SameText() || e == j && j.IsEither() && tellsApart(x, j) {
		return true
	}
	c.Errorf(x.Position(), "use a tuple as key: t[(a, b)]; or put between the parts what neither of them contains: sprintf(\"%d:%s\", n, s)", "different values may have the same text here, so that table %q cannot find them by it", m.Name)
	return false
}

// tellsApart reports whether a use of x as a key of type t, which has several types, is a text of
// one of them only. Strings among the keys are constants, because this is false for others.
func tellsApart(x tree.Expr, t *types.Type) bool {
	alts := t.Alternatives()
	if slices.ContainsFunc(alts, func(a *types.Type) bool {
		return a.SameText() || !a.IsText() && a.Kind != types.Str && !a.IsInt() && a.Kind != types.Bool
	}) {
		return false
	}
	apart := func(text *types.Type) bool {
		return !slices.ContainsFunc(alts, func(a *types.Type) bool {
			return a.IsText() && a.Format.Arg != text.Format.Arg && !text.Apart(a)
		})
	}
	switch x := x.(type) {
	case *tree.ConstExpr:
		if s, ok := x.Value.(string); ok {
			return apart(types.TText(types.Sprintf, types.Escape(s), nil))
		}
	case *tree.ConvertExpr:
		return tellsApart(x.X, t)
	case *tree.CondExpr:
		return tellsApart(x.True, t) && tellsApart(x.False, t)
	}
	switch u := x.Type(); {
	case u.IsText():
		return apart(u)
	case u.IsInt(), u.Kind == types.Bool:
		return true
	}
	return false
}

// textOfFormat returns a constant string as a text of type t, or of one of the types of which t is,
// if it is one. Otherwise it returns the string.
func textOfFormat(x *tree.ConstExpr, t *types.Type) tree.Expr {
	for _, a := range t.Alternatives() {
		if !a.IsText() {
			continue
		}
		parts, ok, _ := a.SplitText(x.Value.(string))
		if !ok {
			continue
		}
		e := &tree.TupleExpr{Node: tree.At(a, x.Pos)}
		for i, s := range parts {
			var v any = s
			if arg := a.Elem.Elems[i]; arg.IsInt() {
				v, _ = new(big.Int).SetString(s, 10)
			}
			e.Elems = append(e.Elems, tree.Convert(&tree.ConstExpr{Node: tree.At(tree.ConstType(v), x.Pos), Value: v}, a.Elem.Elems[i]))
		}
		return e
	}
	return x
}
