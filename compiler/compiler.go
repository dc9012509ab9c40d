// Package compiler translates a handler, a Starlark function given as a syntax tree, into eBPF
// instructions.
//
// The package is pure: it makes no system calls, handles no Starlark values and no kernel objects,
// and can be tested without root. Everything that depends on the script or the host arrives in the
// Request: what the names in the handler refer to, which fields the event has, and what the kernel
// supports. The Program returns the instructions, the maps they use and the table of their error
// sites.
//
//	syntax tree -> check (check*.go: a typed tree, all errors at once) -> lower (lower*.go: package ir)
//	  -> ir.Optimise -> package codegen -> asm.Instructions
//
// The builtins and methods that a handler can call are tables, in builtin*.go.
package compiler

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/codegen"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// A Program is the result of Compile.
type Program struct {
	Instructions asm.Instructions
	Facts
	Needs
}

// Compile compiles a handler. If the handler is wrong, the error is a diag.List of all its errors.
// Limits that the checker cannot foresee (too much stack, too large a program) are reported as a
// list with only the first one found. The error is ErrCanceled if the compilation was canceled; any
// other error is a bug in the compiler.
func Compile(req *Request) (*Program, error) {
	tree, err := checkProgram(&rows, req)
	if err != nil {
		return nil, err
	}
	live := false
	for _, room := range stackBudgets {
		if live && !room.lowPressure {
			continue // moving values off the stack does not help
		}
		var p *Program
		if p, err = generate(req, tree, room); err == nil {
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
	// scratch memory (the heap), so a smaller limit saves stack.
	limit       int
	lowPressure bool // reload values instead of keeping them
}

// stackBudgets lists the budgets to try, in order, until the program fits the stack.
var stackBudgets = []stackBudget{{256, false}, {64, false}, {16, false}, {16, true}}

// generate compiles the tree of a checked handler under one stack budget.
func generate(req *Request, tree *treeProgram, room stackBudget) (*Program, error) {
	lw := newLowerer(&rows, req, tree)
	lw.scratch.limit = room.limit
	funcs := lw.program(tree)
	if req.canceled() {
		return nil, ErrCanceled
	}
	if len(lw.diags) > 0 {
		return nil, lw.diags.Sort()
	}

	if lw.walked > maxWalkedText || lw.jumps > maxTextJumps {
		return nil, &textError{}
	}
	if lw.needs.ScratchSize > maxScratch {
		return nil, &scratchError{lw.needs.ScratchSize}
	}
	if err := tooManyValues(funcs); err != nil {
		return nil, err
	}
	for _, f := range funcs {
		if req.Pass != nil {
			req.Pass("lower", f)
		}
		if !ir.Optimise(f, room.lowPressure, req.Pass, req.canceled) {
			return nil, ErrCanceled
		}
	}
	funcs = ir.Called(funcs)
	if err := tooManyMaps(funcs, tree.Maps, lw.needs.Streams); err != nil {
		return nil, err
	}
	insns, err := codegen.Generate(funcs, codegen.Options{Source: req.Source, Canceled: req.canceled})
	if errors.Is(err, codegen.ErrTooLarge) {
		err = sized(funcs, err)
	}
	return &Program{insns, tree.Facts, lw.needs}, err
}

// Listing returns the program as text, one instruction per line, interleaved with the source lines.
func (p *Program) Listing() string {
	return strings.TrimRight(fmt.Sprintf("%v", p.Instructions), "\n") + "\n"
}

// Infer checks programs together, and returns the types of their maps once all of them are loaded.
// Errors in a program are left to Compile.
func Infer(reqs []*Request) map[*Map]MapTypes { return infer(&rows, reqs) }

// CheckArithmetic checks the handler of a request and returns its Arithmetic. The error is a
// diag.List.
func CheckArithmetic(req *Request) (*Arithmetic, error) { return checkArithmetic(&rows, req) }
