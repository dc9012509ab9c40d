package check

import (
	"maps"
	"math/big"
	"slices"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A formatted value is one or more numbers in the kernel and a string on the host. If the compiler
// can convert a string to these numbers, a handler can compare the value with the string. The table
// of formats (package types) has the conversions that need nothing but the string; those below need
// the request.

// requestFormat converts the strings of a format that depends on the request.
type requestFormat struct {
	parse func(c *Checker, s string) (n uint64, ok bool)
	names func(c *Checker) map[int64]string // nil if the values cannot be listed
}

var requestFormats = map[string]requestFormat{
	"probe": {
		parse: func(c *Checker, s string) (uint64, bool) { return c.Req.ProbeID(s), true },
		names: func(c *Checker) map[int64]string {
			names := map[int64]string{}
			for _, name := range append(c.Req.Event.Names, c.Req.Event.Probe, c.Req.Event.Func) {
				names[int64(c.Req.ProbeID(name))] = name
			}
			return names
		},
	},
	"cgroup": {
		parse: func(c *Checker, s string) (uint64, bool) {
			n, err := c.Req.Host.CgroupID(s)
			return n, err == nil
		},
	},
}

// parsesStrings reports whether a handler can compare values of format f with strings.
func parsesStrings(f *types.Format) bool {
	return requestFormats[f.Name].parse != nil || f.Row().Parse != nil
}

// parseFormatted converts a string to a constant of the formatted type t. If it cannot, v is nil
// and names may list possible values.
func (c *Checker) parseFormatted(t *types.Type, s string) (v any, names []string) {
	f, row := t.Format, t.Format.Row()
	if r := requestFormats[f.Name]; r.parse != nil {
		if n, ok := r.parse(c, s); ok {
			return new(big.Int).SetUint64(n), nil
		}
		return nil, nil
	}
	if row.Names != nil {
		all := row.Names(f)
		for _, n := range slices.Sorted(maps.Keys(all)) {
			if all[n] == s {
				return wordsConst(t.Elem, types.Words{uint64(n)}), nil
			}
			names = append(names, all[n])
		}
		return nil, names
	}
	if row.Parse != nil {
		if w, ok := row.Parse(f, s); ok {
			return wordsConst(t.Elem, w), nil
		}
	}
	return nil, nil
}

// wordsConst returns the words of a formatted value as a constant of its underlying type.
func wordsConst(t *types.Type, w types.Words) any {
	switch t.Kind {
	case types.Tuple:
		out := make(tree.Tuple, len(t.Elems))
		for i, e := range t.Elems {
			out[i] = wordsConst(e, types.Words{w[i]})
		}
		return out
	case types.Int:
		return big.NewInt(int64(w[0]))
	}
	return new(big.Int).SetUint64(w[0])
}

// comparableFormatted reports whether values of a and b, one of which is formatted, can be equal. A
// formatted value can equal another of its format, a string and, if it is numeric, a number.
func comparableFormatted(a, b *types.Type) bool {
	if a.Kind != types.Formatted {
		a, b = b, a
	}
	return a.Equal(b) || a.IsIP() && b.IsIP() || b.Kind == types.Str || a.IsNumber() && (b.IsInt() || b.IsNumber())
}

// checkFormattedConst checks the constant k in a comparison with a value of type t. Each string
// that is compared with a formatted value must be valid in its format. It reports an error and
// returns false otherwise.
func (c *Checker) checkFormattedConst(pos syntax.Position, t *types.Type, k any) bool {
	switch t.Kind {
	case types.Opt:
		return k == nil || c.checkFormattedConst(pos, t.Elem, k)
	case types.Tuple:
		if k, ok := k.(tree.Tuple); ok && len(k) == len(t.Elems) {
			for i, e := range t.Elems {
				if !c.checkFormattedConst(pos, e, k[i]) {
					return false
				}
			}
		}
	case types.Formatted:
		s, ok := k.(string)
		if !ok {
			return true
		}
		if !parsesStrings(t.Format) {
			c.Errorf(pos, t.Format.Row().Hint, "%s cannot be compared with a string in a handler", t.WithArticle())
			return false
		}
		if v, names := c.parseFormatted(t, s); v == nil {
			hint := DidYouMean(s, names)
			if hint == "" && len(names) > 0 {
				hint = "valid names include " + strings.Join(names[:min(len(names), 4)], ", ")
			}
			c.Errorf(pos, hint, "%q is not a valid %s", s, t)
			return false
		}
	}
	return true
}

// isMixed reports whether a comparison of the types would compare a formatted value with a string
// somewhere.
func isMixed(a, b *types.Type) bool {
	switch {
	case a.Kind == types.Opt:
		return isMixed(a.Elem, b)
	case b.Kind == types.Opt:
		return isMixed(a, b.Elem)
	case a.Kind == types.Tuple && b.Kind == types.Tuple:
		for i := range a.Elems {
			if isMixed(a.Elems[i], b.Elems[i]) {
				return true
			}
		}
		return false
	}
	return a.Kind == types.Formatted && b.Kind == types.Str || a.Kind == types.Str && b.Kind == types.Formatted
}

// numbers returns the constant k, which is compared with a value of type t, with the numbers of
// formatted values in place of their strings.
func (c *Checker) numbers(t *types.Type, k any) any {
	switch t.Kind {
	case types.Opt:
		return c.numbers(t.Elem, k)
	case types.Tuple:
		tuple, ok := k.(tree.Tuple)
		if !ok || len(tuple) != len(t.Elems) {
			return k
		}
		out := make(tree.Tuple, len(tuple))
		for i, e := range tuple {
			out[i] = c.numbers(t.Elems[i], e)
		}
		return out
	case types.Formatted:
		if s, ok := k.(string); ok {
			k, _ = c.parseFormatted(t, s)
		}
	}
	return k
}

// compareMixed checks a comparison of formatted values with strings, which must be constants.
func (c *Checker) compareMixed(pos syntax.Position, op syntax.Token, x, y tree.Expr) tree.Expr {
	if op != syntax.EQL && op != syntax.NEQ {
		return c.Bad(pos, UsageHint(x.Type()), "%s cannot be ordered with %s in a handler", x.Type().WithArticle(), op)
	}
	k, ok := y.(*tree.ConstExpr)
	if !ok || y.Type().Kind == types.Formatted {
		x, y = y, x
		k, ok = y.(*tree.ConstExpr)
	}
	if !ok || y.Type().Kind == types.Formatted {
		t := x.Type()
		if t.Kind == types.Str {
			t = y.Type()
		}
		return c.Bad(pos, "compare it with a constant", "%s can be compared with constant strings only", t.WithArticle())
	}
	if !c.checkFormattedConst(k.Pos, x.Type(), k.Value) {
		return tree.Invalid(pos)
	}
	n := &tree.ConstExpr{Node: tree.At(x.Type(), k.Pos), Value: c.numbers(x.Type(), k.Value)}
	if kx, ok := x.(*tree.ConstExpr); ok {
		return tree.BoolConst((tree.ConstRepr(kx.Value) == tree.ConstRepr(n.Value)) == (op == syntax.EQL), pos)
	}
	return &tree.CompareExpr{Node: tree.At(types.TBool, pos), Op: op, X: x, Y: n}
}
