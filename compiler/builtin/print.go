package builtin

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/plural"
)

func printBuiltins() []builtin {
	return []builtin{
		{
			name:    "print",
			sig:     "print(*args)",
			doc:     "print the values on the host, separated by spaces",
			example: `print(e.comm, e.pid)`,
			check:   checkPrint,
			lower:   lower.Print,
		},
		{
			name:    "printf",
			sig:     "printf(format, *args)",
			doc:     "print on the host with a C format string, which must be a constant",
			example: `printf("%-16s %6d\n", e.comm, e.pid)`,
			check:   checkPrint,
			lower:   lower.Print,
		},
		{
			name:    "stop",
			sig:     "stop()",
			doc:     "end run()",
			example: "stop()",
			check:   fixed(types.TNone),
			lower:   lower.Stop,
		},
	}
}

// checkPrint checks print and printf. It also checks a printf format against the types of the
// arguments; the host does the formatting.
func checkPrint(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	e := mk(row, call, types.TNone, nil)
	format := ""
	if row.Name == "printf" {
		var ok bool
		if format, ok = constFormat(c, row, args[0]); !ok {
			return tree.Invalid(call.Lparen)
		}
		if err := checkFormat(row.Name, format, args[1:]); err != nil {
			return c.Bad(args[0].Position(), "", "%s", err)
		}
		args = args[1:]
	}
	size := 0
	for _, a := range args {
		switch {
		case a.Type().Kind == types.Invalid:
			return a
		case !a.Type().Storable():
			return c.Bad(a.Position(), check.StoreHint(a), "%s cannot be printed from a handler", a.Type().WithArticle())
		}
		size += a.Type().Size()
	}
	if size > maxRecord {
		return c.Bad(call.Lparen, "use shorter strings: str(ptr, 64)", "the record would have %d bytes; at most %d fit", size, maxRecord)
	}
	e.Args = args
	if c.Req.PrintProbe {
		e.Args = append(slices.Clone(args), probeName(c, call.Lparen))
	}
	e.Aux = format
	return e
}

// maxRecord is the maximum size in bytes of a print record.
const maxRecord = 32 << 10

// checkFormat checks the number and the types of the arguments against a format of printf or
// sprintf. The host does the formatting.
func checkFormat(fn, format string, args []tree.Expr) error {
	n := 0
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		i++
		for i < len(format) && strings.IndexByte("-+ #0123456789.*hlzjt", format[i]) >= 0 {
			if format[i] == '*' {
				if err := formatArg(args, n, '*'); err != nil {
					return err
				}
				n++
			}
			i++
		}
		if i >= len(format) {
			return fmt.Errorf("the format ends in the middle of a conversion: %q", format)
		}
		if format[i] == '%' {
			continue
		}
		if strings.IndexByte("diuxXocpsr", format[i]) < 0 {
			if strings.IndexByte("feEgG", format[i]) >= 0 {
				return fmt.Errorf("%%%c formats floats, which are not supported in a handler: write %%d for a number in a smaller unit", format[i])
			}
			return fmt.Errorf("%s has no conversion %%%c", fn, format[i])
		}
		if err := formatArg(args, n, format[i]); err != nil {
			return err
		}
		n++
	}
	if n != len(args) {
		return fmt.Errorf("the format needs %s, got %d", plural.Of(n, "argument"), len(args))
	}
	return nil
}

func formatArg(args []tree.Expr, n int, verb byte) error {
	if n >= len(args) {
		return fmt.Errorf("the format needs more than %s", plural.Of(len(args), "argument"))
	}
	t := args[n].Type()
	switch {
	case t.Kind == types.Ptr && (verb == 's' || verb == 'r'):
		return fmt.Errorf("%%%c needs a string, but argument %d is a pointer: write str(ptr) for the string it points to, %%p for the address", verb, n+1)
	case t.Kind == types.Invalid || verb == 's' || verb == 'r':
		return nil
	}
	if !t.IsInt() && t.Kind != types.Bool && t.Kind != types.Ptr {
		return fmt.Errorf("%%%c needs an int, but argument %d is %s", verb, n+1, t.WithArticle())
	}
	return nil
}

func checkEmit(c *check.Checker, e *tree.MethodExpr) tree.Expr {
	size := abi.RecordHead
	for i, x := range e.Args {
		switch name := e.Names[i]; {
		case slices.Contains(tree.StreamHead, name):
			return c.Bad(x.Position(), "omit it, or give it another name", "each record of a stream already has a field %s", name)
		case slices.Index(e.Names, name) < i:
			return c.Bad(x.Position(), "", "emit() got two values for %q", name)
		case !x.Type().Storable():
			return c.Bad(x.Position(), check.StoreHint(x), "%s cannot be sent in a record", x.Type().WithArticle())
		}
		size += x.Type().Size()
	}
	if size += 8 * len(tree.StreamHead); size > maxRecord {
		return c.Bad(e.Pos, "use shorter strings: str(ptr, 64)", "the record would have %d bytes; at most %d fit", size, maxRecord)
	}
	return e
}

// constFormat returns the format of printf or sprintf. It reports an error and returns false if the
// format is not a constant.
func constFormat(c *check.Checker, row *check.Builtin, x tree.Expr) (format string, ok bool) {
	k, isConst := x.(*tree.ConstExpr)
	switch {
	case x.Type().Kind == types.Invalid:
		return "", false
	case !isConst || k.T.Kind != types.Str:
		c.Errorf(x.Position(), "write the format in the handler, or as a global", "the format of %s must be a constant string", row.Name)
		return "", false
	}
	return k.Value.(string), true
}
