package source

import (
	"fmt"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/internal/plural"
	"github.com/bpfrepl/bpfrepl/starlarkbind/cfmt"
)

// Constant formats are checked before the script runs. In a callback, a mistake in a format would
// end the script only at the first event, which may come much later, and in the middle of a line.

// CheckFormats returns the errors in the constant formats of a file as a resolve.ErrorList, or nil.
func CheckFormats(f *syntax.File) error {
	var bad resolve.ErrorList
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.BinaryExpr:
			if format, ok := literal(n.X); ok && n.Op == syntax.PERCENT {
				if msg := wrongPercent(format, n.Y); msg != "" {
					bad = append(bad, resolve.Error{Pos: n.OpPos, Msg: msg})
				}
			}
		case *syntax.CallExpr:
			fn, ok := n.Fn.(*syntax.Ident)
			if !ok || fn.Name != "printf" && fn.Name != "sprintf" || len(n.Args) == 0 {
				break
			}
			if format, ok := literal(n.Args[0]); ok {
				if msg := wrongCall(fn.Name, format, n.Args[1:]); msg != "" {
					bad = append(bad, resolve.Error{Pos: n.Lparen, Msg: msg})
				}
			}
		}
		return true
	})
	if bad == nil {
		return nil
	}
	return bad
}

// literal returns the value of x if it is a string literal, possibly in parentheses.
func literal(x syntax.Expr) (string, bool) {
	for {
		p, ok := x.(*syntax.ParenExpr)
		if !ok {
			break
		}
		x = p.X
	}
	l, ok := x.(*syntax.Literal)
	if !ok || l.Token != syntax.STRING {
		return "", false
	}
	s, ok := l.Value.(string)
	return s, ok
}

// wrongPercent returns what is wrong with FORMAT % args, or "": a conversion that Starlark does not
// have, or the wrong number of arguments.
func wrongPercent(format string, args syntax.Expr) string {
	want, keyed := 0, false
	for rest := format; ; want++ {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
		if strings.HasPrefix(rest, "%") {
			rest = rest[1:]
			want--
			continue
		}
		if strings.HasPrefix(rest, "(") {
			j := strings.IndexByte(rest, ')')
			if j < 0 {
				return fmt.Sprintf("the format %q has a key without a closing )", format)
			}
			keyed, rest = true, rest[j+1:]
		}
		switch {
		case rest == "":
			return fmt.Sprintf("the format %q ends in the middle of a conversion; %%%% is a percent sign", format)
		case !strings.Contains("srdioxXeEfFgGc%", rest[:1]):
			return fmt.Sprintf("Starlark's %% has no conversion %%%s: it has no flags, widths or precisions; write sprintf(%q, ...), or printf() in a handler", conversion(rest), format)
		}
		rest = rest[1:]
	}
	for {
		p, ok := args.(*syntax.ParenExpr)
		if !ok {
			break
		}
		args = p.X
	}
	given := 0
	switch a := args.(type) {
	case *syntax.TupleExpr:
		given = len(a.List)
	case *syntax.Literal:
		given = 1
	default:
		return "" // it may be a tuple or a dict
	}
	if keyed || given == want {
		return ""
	}
	return fmt.Sprintf("the format %q needs %s, got %d", format, plural.Of(want, "argument"), given)
}

// conversion returns the start of rest up to and including the conversion's letter.
func conversion(rest string) string {
	i := strings.IndexFunc(rest, func(r rune) bool { return !strings.ContainsRune("#0- +.*123456789", r) })
	if i < 0 {
		return rest
	}
	return rest[:i+1]
}

// wrongCall returns what is wrong with a call of printf or sprintf, or "".
func wrongCall(name, format string, args []syntax.Expr) string {
	want, err := cfmt.Arguments(format)
	if err != nil {
		return name + strings.TrimPrefix(err.Error(), "printf")
	}
	for _, a := range args {
		if u, ok := a.(*syntax.UnaryExpr); ok && (u.Op == syntax.STAR || u.Op == syntax.STARSTAR) {
			return "" // any number of arguments
		}
		if b, ok := a.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
			return ""
		}
	}
	if want != len(args) {
		return fmt.Sprintf("%s: the format needs %s, got %d", name, plural.Of(want, "argument"), len(args))
	}
	return ""
}
