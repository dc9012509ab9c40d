package check

import (
	"math/big"
	"slices"
	"strings"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Affix checks startswith and endswith, whose argument may be a tuple.
func Affix(c *Checker, e *tree.MethodExpr) tree.Expr {
	arg := e.Args[0]
	var list []tree.Expr
	switch a := arg.(type) {
	case *tree.ConstExpr:
		list = []tree.Expr{a}
		if tup, ok := a.Value.(tree.Tuple); ok && a.T.Kind == types.Tuple {
			list = nil
			for i, v := range tup {
				list = append(list, &tree.ConstExpr{Node: tree.At(a.T.Elems[i], a.Pos), Value: v})
			}
		}
	case *tree.TupleExpr:
		list = a.Elems
	default:
		list = []tree.Expr{arg}
	}
	known, all := false, true
	for _, p := range list {
		if p.Type().Kind != types.Str {
			hint := ""
			if p.Type().Kind == types.List {
				hint = "a tuple is allowed here: (" + `"a", "b")`
			}
			return c.Bad(p.Position(), hint, "%s needs a string or a tuple of strings, not %s", e.Name, p.Type().WithArticle())
		}
		kr, ok1 := e.X.(*tree.ConstExpr)
		kp, ok2 := p.(*tree.ConstExpr)
		if ok2 {
			if most, s, cut := cutBelow(e.X.Type(), kp.Value); cut {
				c.tooLong(p.Position(), e.X, most, s)
				return tree.Invalid(e.Pos)
			}
		}
		if !ok1 || !ok2 {
			all = false
			continue
		}
		has := strings.HasPrefix
		if e.Name == "endswith" {
			has = strings.HasSuffix
		}
		known = known || has(kr.Value.(string), kp.Value.(string))
	}
	if all {
		return tree.BoolConst(known, e.Pos)
	}
	e.Args = list
	e.T = types.TBool
	return e
}

// FormattedAffix checks startswith and endswith of a value that the host shows as a name. It
// compares the value with the numbers of all names that match.
func FormattedAffix(c *Checker, e *tree.MethodExpr) tree.Expr {
	t := e.X.Type()
	var all map[int64]string
	if names := requestFormats[t.Format.Name].names; names != nil {
		all = names(c)
	} else if names := t.Format.Row().Names; names != nil {
		all = names(t.Format)
	} else {
		return c.Bad(e.Pos, t.Format.Row().Hint, "%s() of %s: its text is produced on the host", e.Name, t.WithArticle())
	}
	k, ok := e.Args[0].(*tree.ConstExpr)
	var affixes []string
	if ok {
		switch v := k.Value.(type) {
		case string:
			affixes = []string{v}
		case tree.Tuple:
			for _, x := range v {
				s, isStr := x.(string)
				ok = ok && isStr
				affixes = append(affixes, s)
			}
		default:
			ok = false
		}
	}
	if !ok {
		return c.Bad(e.Args[0].Position(), "", "%s() of %s takes a constant string, or a tuple of these", e.Name, t.WithArticle())
	}
	has := strings.HasPrefix
	if e.Name == "endswith" {
		has = strings.HasSuffix
	}
	var list []any
	for n, name := range all {
		if slices.ContainsFunc(affixes, func(s string) bool { return has(name, s) }) {
			list = append(list, big.NewInt(n))
		}
	}
	slices.SortFunc(list, func(a, b any) int { return a.(*big.Int).Cmp(b.(*big.Int)) })
	if v, ok := e.X.(*tree.ConstExpr); ok {
		return tree.BoolConst(slices.ContainsFunc(list, func(n any) bool { return n.(*big.Int).Cmp(v.Value.(*big.Int)) == 0 }), e.Pos)
	}
	return &tree.InExpr{Node: tree.At(types.TBool, e.Pos), X: &tree.ConvertExpr{Node: tree.At(t.Elem, e.Pos), X: e.X}, List: list, Not: false}
}
