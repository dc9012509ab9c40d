// Package compiler translates a handler, a Starlark function given as a syntax tree, into eBPF
// instructions.
//
// The package is pure: it makes no system calls, handles no Starlark values and no kernel objects,
// and can be tested without root. Everything that depends on the script or the host arrives in the
// Request: what the names in the handler refer to, which fields the event has, and what the kernel
// supports. The Program returns the instructions, the maps they use and the table of their error
// sites.
//
// Each phase is a package, and hands the next one plain data:
//
//	syntax tree -> package check -> typed tree (package tree) -> package lower -> package ir
//	  -> ir.Optimise -> package codegen -> asm.Instructions
//
// The builtins and methods that a handler can call are the tables of package builtin. This package
// passes them to check and lower, so that these need not import it. What remains here is the order
// of the phases, the limits on a program as a whole (limit.go) and the names that users of the
// compiler need (api.go).
package compiler

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/builtin"
	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/codegen"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
)

// A Program is the result of Compile.
type Program struct {
	Instructions asm.Instructions
	tree.Facts
	lower.Needs
}

// Compile compiles a handler. If the handler is wrong, the error is a diag.List of all its errors.
// Limits that the checker cannot foresee (too much stack, too large a program) are reported as a
// list with only the first one found. The error is ErrCanceled if the compilation was canceled; any
// other error is a bug in the compiler.
func Compile(req *tree.Request) (*Program, error) {
	checked, err := check.Program(builtin.CheckRows, req)
	if err != nil {
		return nil, err
	}
	live := false
	for _, room := range stackBudgets {
		if live && !room.lowPressure {
			continue // moving values off the stack does not help
		}
		var p *Program
		if p, err = generate(req, checked, room); err == nil {
			return p, nil
		}
		var stack *codegen.StackError
		if !errors.As(err, &stack) {
			break
		}
		live = stack.Live
	}
	return nil, limitError(req, err)
}

// A stackBudget limits the use of the stack.
type stackBudget struct {
	// limit is the size in bytes up to which a value may be on the stack. Larger values are in
	// scratch memory, so a smaller limit saves stack.
	limit       int
	lowPressure bool // reload values instead of keeping them
}

// stackBudgets lists the budgets to try, in order, until the program fits the stack.
var stackBudgets = []stackBudget{{256, false}, {64, false}, {16, false}, {16, true}}

// generate compiles the tree of a checked handler under one stack budget.
func generate(req *tree.Request, checked *tree.Program, room stackBudget) (*Program, error) {
	funcs, needs, err := lower.Program(builtin.LowerRows, req, checked, room.limit)
	if err != nil {
		return nil, err
	}
	if err := tooManyValues(funcs); err != nil {
		return nil, err
	}
	for _, f := range funcs {
		if req.Pass != nil {
			req.Pass("lower", f)
		}
		if !ir.Optimise(f, room.lowPressure, req.Pass, req.IsCanceled) {
			return nil, tree.ErrCanceled
		}
	}
	funcs = ir.Called(funcs)
	if err := tooManyMaps(funcs, checked.Maps, needs.Streams); err != nil {
		return nil, err
	}
	insns, err := codegen.Generate(funcs, codegen.Options{Source: req.Source, Canceled: req.IsCanceled})
	if errors.Is(err, codegen.ErrTooLarge) {
		err = sized(funcs, err)
	}
	return &Program{insns, checked.Facts, *needs}, err
}

// Listing returns the program as text, one instruction per line, interleaved with the source lines.
func (p *Program) Listing() string {
	return strings.TrimRight(fmt.Sprintf("%v", p.Instructions), "\n") + "\n"
}

// Infer checks programs together, and returns the types of their maps once all of them are loaded.
// Errors in a program are left to Compile.
func Infer(reqs []*tree.Request) map[*tree.Map]tree.MapTypes {
	return check.Infer(builtin.CheckRows, reqs)
}

// CheckArithmetic checks the handler of a request and returns its Arithmetic. The error is a
// diag.List.
func CheckArithmetic(req *tree.Request) (*check.Arithmetic, error) {
	return check.RecordArithmetic(builtin.CheckRows, req)
}
