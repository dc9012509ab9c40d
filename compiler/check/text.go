package check

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/plural"
)

// A text that a handler formats is made on the host. The kernel records the values that it is made
// of (package types, composed.go), so a handler can print it, send it, or use it as a key, but not
// look at it. A text of constants is a constant.

// Text checks a text in a format whose conversions fit the arguments. form is types.Sprintf or
// types.Percent.
func (c *Checker) Text(pos syntax.Position, form, format string, args []tree.Expr) tree.Expr {
	for _, a := range args {
		switch {
		case a.Type().Kind == types.Invalid:
			return tree.Invalid(pos)
		case !a.Type().Storable():
			return c.Bad(a.Position(), StoreHint(a), "%s cannot be part of a text in a handler", a.Type().WithArticle())
		}
	}
	// Other constants stay arguments, so that keys in one format are of one type.
	if folded, rest := foldText(form, format, args); len(rest) == 0 {
		return c.Constant(strings.ReplaceAll(folded, "%%", "%"), pos, "the text")
	}
	return composed(pos, form, format, args)
}

// composed returns the text of values that the host can format.
func composed(pos syntax.Position, form, format string, args []tree.Expr) tree.Expr {
	parts := make([]*types.Type, len(args))
	for i, a := range args {
		parts[i] = a.Type()
	}
	return &tree.TupleExpr{Node: tree.At(types.TText(form, format, parts), pos), Elems: args}
}

// foldText makes constant arguments, and texts of the same form, part of the format.
func foldText(form, format string, args []tree.Expr) (string, []tree.Expr) {
	pieces, _ := types.Pieces(format)
	if slices.ContainsFunc(pieces, func(p types.Piece) bool { return strings.Contains(p.Flags, "*") }) {
		return format, args
	}
	var out strings.Builder
	var rest []tree.Expr
	for _, p := range pieces {
		if p.Verb == 0 {
			out.WriteString(types.Escape(p.Literal))
			continue
		}
		arg := args[0]
		args = args[1:]
		if s, ok := constText(p, arg); ok {
			out.WriteString(types.Escape(s))
			continue
		}
		if t, ok := arg.(*tree.TupleExpr); ok && t.T.IsText() && t.T.Format.Name == form && p.Verb == 's' && p.Flags == "" {
			out.WriteString(t.T.Format.Arg)
			rest = append(rest, t.Elems...)
			continue
		}
		out.WriteString("%" + p.Flags + string(p.Verb))
		rest = append(rest, arg)
	}
	return out.String(), rest
}

// constText returns the text of a constant string or int in a conversion without flags.
func constText(p types.Piece, x tree.Expr) (string, bool) {
	k, ok := x.(*tree.ConstExpr)
	if !ok || p.Flags != "" {
		return "", false
	}
	switch v := k.Value.(type) {
	case string:
		return v, p.Verb == 's' && k.T.Kind == types.Str
	case *big.Int:
		return v.String(), k.T.IsInt() && (p.Verb == 's' || p.Verb == 'd' || p.Verb == 'i')
	}
	return "", false
}

// isText reports whether the host shows values of type t as strings.
func isText(t *types.Type) bool {
	return t.Kind == types.Str || t.Kind == types.Formatted && !t.IsStruct() && !t.IsEither() && !t.IsNumber() && !isStack(t)
}

func isStack(t *types.Type) bool {
	return t.Kind == types.Formatted && (t.Format.Name == "kstack" || t.Format.Name == "ustack")
}

// concat checks x + y of two texts.
func (c *Checker) concat(pos syntax.Position, x, y tree.Expr) tree.Expr {
	return c.strung(pos, []tree.Expr{x, y})
}

// strung checks the text of several texts, one after the other. Constants become part of its
// format.
func (c *Checker) strung(pos syntax.Position, parts []tree.Expr) tree.Expr {
	format, args := foldText(types.Sprintf, strings.Repeat("%s", len(parts)), parts)
	if len(args) == 0 {
		return c.Constant(strings.ReplaceAll(format, "%%", "%"), pos, "the string")
	}
	return composed(pos, types.Sprintf, format, args)
}

// percent checks format % y as Starlark computes it: the conversions have neither flags nor widths.
func (c *Checker) percent(pos syntax.Position, x, y tree.Expr) tree.Expr {
	k, ok := x.(*tree.ConstExpr)
	if !ok || k.T.Kind != types.Str {
		return c.Bad(x.Position(), `write the format in the handler, or as a global`, "the format of %% must be a constant string")
	}
	format := k.Value.(string)
	args := []tree.Expr{y}
	if y.Type().Kind == types.Tuple {
		args = nil
		for i := range y.Type().Elems {
			args = append(args, c.elemOf(pos, y, i))
		}
	}
	if err := percentFits(format, args); err != nil {
		return c.Bad(pos, "", "%s", err)
	}
	form := types.Percent
	pieces, _ := types.Pieces(format)
	if !slices.ContainsFunc(pieces, func(p types.Piece) bool { return strings.IndexByte("oxXc", p.Verb) >= 0 }) {
		form = types.Sprintf // the other conversions mean the same in C
	}
	return c.Text(pos, form, format, args)
}

// elemOf returns an element of a tuple; those of a tuple display are not read through it.
func (c *Checker) elemOf(pos syntax.Position, x tree.Expr, i int) tree.Expr {
	if t, ok := x.(*tree.TupleExpr); ok {
		return t.Elems[i]
	}
	return c.elem(pos, x, int64(i))
}

// percentFits checks the arguments of the operator % against its format.
func percentFits(format string, args []tree.Expr) error {
	pieces, ok := types.Pieces(format)
	if !ok {
		return fmt.Errorf("the format ends in the middle of a conversion: %q", format)
	}
	n := 0
	for _, p := range pieces {
		switch {
		case p.Verb == 0:
			continue
		case p.Flags != "" && !strings.HasPrefix(p.Flags, "("):
			return fmt.Errorf("the operator %% takes no flags and widths, as in %%%s%c: write sprintf(%q, ...)", p.Flags, p.Verb, format)
		case strings.IndexByte("feEgG", p.Verb) >= 0:
			return fmt.Errorf("%%%c formats floats, which are not supported in a handler", p.Verb)
		case strings.IndexByte("srdioxXc", p.Verb) < 0:
			return fmt.Errorf("the operator %% has no conversion %%%c", p.Verb)
		case n >= len(args):
			return fmt.Errorf("the format needs more than %s", plural.Of(len(args), "argument"))
		}
		t := args[n].Type()
		n++
		switch {
		case t.Kind == types.Invalid:
		case p.Verb == 's' || p.Verb == 'r':
			if t.Kind == types.Ptr {
				return fmt.Errorf("%%%c needs a string, but argument %d is a pointer: write str(ptr) for the string it points to, %%x for the address", p.Verb, n)
			}
		case !t.IsInt() && t.Kind != types.Ptr:
			return fmt.Errorf("%%%c needs an int, but argument %d is %s", p.Verb, n, t.WithArticle())
		}
	}
	if n != len(args) {
		return fmt.Errorf("the format needs %s, got %d", plural.Of(n, "argument"), len(args))
	}
	return nil
}

// Join checks sep.join(list): the elements of a list or tuple of texts, with sep between them.
func (c *Checker) Join(pos syntax.Position, sep, list tree.Expr) tree.Expr {
	var elems []tree.Expr
	if o, ok := list.(*chosenExpr); ok && sep.Type().Kind != types.Invalid {
		return c.joinChosen(pos, sep, o)
	}
	switch k, isConst := list.(*tree.ConstExpr); {
	case list.Type().Kind == types.Invalid || sep.Type().Kind == types.Invalid:
		return tree.Invalid(pos)
	case isConst && list.Type().Kind != types.Str:
		values, ok := tree.ConstElems(k.Value)
		if !ok {
			return c.Bad(list.Position(), "", "join() takes a list or a tuple of strings, not %s", list.Type().WithArticle())
		}
		for _, v := range values {
			elems = append(elems, c.Constant(v, list.Position(), "the element"))
		}
	case list.Type().Kind == types.Tuple:
		for i := range list.Type().Elems {
			elems = append(elems, c.elemOf(pos, list, i))
		}
	default:
		return c.Bad(list.Position(), "", "join() takes a list or a tuple of strings, not %s", list.Type().WithArticle())
	}
	if !isText(sep.Type()) {
		return c.Bad(sep.Position(), "", "the separator of join() must be a string, not %s", sep.Type().WithArticle())
	}
	var parts []tree.Expr
	for i, e := range elems {
		switch {
		case e.Type().Kind == types.Invalid:
			return tree.Invalid(pos)
		case !isText(e.Type()):
			return c.Bad(e.Position(), `write sprintf("%s", x) for its text`, "join() takes strings, but element %d is %s", i+1, e.Type().WithArticle())
		}
		if i > 0 {
			parts = append(parts, sep)
		}
		parts = append(parts, e)
	}
	return c.strung(pos, parts)
}

// joinChosen checks sep.join(list) of a constant list that the handler chooses: it is one of as
// many strings.
func (c *Checker) joinChosen(pos syntax.Position, sep tree.Expr, list *chosenExpr) tree.Expr {
	if k, ok := sep.(*tree.ConstExpr); ok && k.T.Kind == types.Str {
		joined := c.project(pos, list, func(v any) (any, bool) {
			elems, ok := tree.ConstElems(v)
			texts := make([]string, len(elems))
			for i, e := range elems {
				if ok {
					texts[i], ok = e.(string)
				}
			}
			return strings.Join(texts, k.Value.(string)), ok
		})
		if joined != nil {
			return joined
		}
	}
	return c.Bad(list.Pos, "join the lists outside of the handler, and index the texts", "join() of %s that the handler chooses takes constant strings", list.T.WithArticle())
}
