package compiler

import (
	"fmt"
	"strings"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

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
		return fmt.Errorf("%%%c needs an int, but argument %d is a %s", verb, n+1, t)
	}
	return nil
}
