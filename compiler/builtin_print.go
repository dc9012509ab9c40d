package compiler

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// checkPrint checks print and printf. It also checks a printf format against the types of the
// arguments; the host does the formatting.
func checkPrint(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	e := mk(row, call, types.TNone, nil)
	format := ""
	if row.name == "printf" {
		k, ok := args[0].(*eConst)
		if !ok || k.t.Kind != types.Str {
			if args[0].typ().Kind == types.Invalid {
				return args[0]
			}
			return c.bad(args[0].position(), "write the format in the handler, or as a global", "the format of printf must be a constant string")
		}
		format = k.v.(string)
		args = args[1:]
		if err := checkFormat(format, args); err != nil {
			return c.bad(k.pos, "", "%s", err)
		}
	}
	size := 0
	for _, a := range args {
		switch {
		case a.typ().Kind == types.Invalid:
			return a
		case !a.typ().Storable():
			return c.bad(a.position(), storeHint(a), "%s cannot be printed from a handler", a.typ().WithArticle())
		}
		size += a.typ().Size()
	}
	if size > maxRecord {
		return c.bad(call.Lparen, "use shorter strings: str(ptr, 64)", "the record would have %d bytes; at most %d fit", size, maxRecord)
	}
	e.args = args
	if c.req.PrintProbe {
		e.args = append(slices.Clone(args), probeName(c, call.Lparen))
	}
	e.aux = format
	return e
}

// maxRecord is the maximum size in bytes of a print record.
const maxRecord = 32 << 10

// checkFormat checks the number and the types of the arguments against a printf format. The host
// does the formatting.
func checkFormat(format string, args []expr) error {
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
			return fmt.Errorf("printf has no conversion %%%c", format[i])
		}
		if err := formatArg(args, n, format[i]); err != nil {
			return err
		}
		n++
	}
	if n != len(args) {
		return fmt.Errorf("the format needs %s, got %d", countOf(n, "argument"), len(args))
	}
	return nil
}

func formatArg(args []expr, n int, verb byte) error {
	if n >= len(args) {
		return fmt.Errorf("the format needs more than %s", countOf(len(args), "argument"))
	}
	t := args[n].typ()
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

func checkEmit(c *checker, e *eMethod) expr {
	size := 8
	for i, x := range e.args {
		switch name := e.names[i]; {
		case slices.Contains(streamHead, name):
			return c.bad(x.position(), "omit it, or give it another name", "each record of a stream already has a field %s", name)
		case slices.Index(e.names, name) < i:
			return c.bad(x.position(), "", "emit() got two values for %q", name)
		case !x.typ().Storable():
			return c.bad(x.position(), storeHint(x), "%s cannot be sent in a record", x.typ().WithArticle())
		}
		size += x.typ().Size()
	}
	if size += 8 * len(streamHead); size > maxRecord {
		return c.bad(e.pos, "use shorter strings: str(ptr, 64)", "the record would have %d bytes; at most %d fit", size, maxRecord)
	}
	return e
}
