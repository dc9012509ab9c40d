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
// The builtins and methods that a handler can call are tables, in builtin.go and method.go.
package compiler

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/codegen"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Features describes what the running kernel offers to BPF programs.
type Features struct {
	FetchAtomics bool // atomic operations that return the old value, and compare-exchange (5.12)
	Cookie       bool // bpf_get_attach_cookie for this kind of program
	ForEachElem  bool // bpf_for_each_map_elem, and callbacks (5.13)
	Loop         bool // bpf_loop (5.17)
	PerCPULookup bool // bpf_map_lookup_percpu_elem (5.19)
	TaskBTF      bool // bpf_get_current_task_btf, and plain loads through its result (5.11)
}

// A Request describes one program to compile.
type Request struct {
	Name      string // name of the probe, for messages
	Handler   *Func
	Filter    *Func      // nil if there is none
	PIDFilter *PIDFilter // the only process whose events the handler accepts; nil for all
	Event     *Event
	Features  Features
	// Namespace is the PID namespace of e.pid and e.tid; nil means the host's own.
	Namespace *PIDNamespace
	// Source returns the source line at pos, or "" if it is not known.
	Source func(pos syntax.Position) string
	// Types describes the kernel's C types. It is used only for handlers that follow pointers or
	// name types, because reading BTF takes milliseconds.
	Types Types
	// Kfunc returns the BTF ID of a kfunc, a kernel function that programs may call. It returns an
	// error if the kernel has no kfunc of that name.
	Kfunc func(name string) (int64, error)
	// CPUs returns the number of possible CPUs: a per-CPU element has one value for each.
	CPUs func() (int, error)
	// Host answers questions about the host. It may be nil if the handlers ask none.
	Host Host
	// Unsafe allows handlers to change what the kernel does.
	Unsafe bool
	// CountLookupMisses makes get and pop count the keys they do not find, at quiet sites.
	CountLookupMisses bool
	// ProbeID returns the number that represents a probe's name inside the kernel.
	ProbeID func(name string) uint64
	// Cells is the name of the map of error cells, Ring that of the ring buffer for prints, and
	// Control that of the map with the stop flag.
	Cells, Ring, Control string
	// Zeros is the name of an array with Program.Zeros zero bytes. It is unused if that is 0.
	Zeros string
	// Scratch is the name of the scratch map: an array of possible CPUs * ScratchSlots elements of
	// Program.ScratchSize bytes each. It is unused if Program.ScratchSize is 0.
	Scratch string
	// PrintBase is added to the index of each print site, so that sites of different programs have
	// different numbers.
	PrintBase int
	// Compat locates the flag that marks system calls of 32-bit programs. It is nil if the host has
	// no such calls.
	Compat *Compat
	// Canonical is the name of an array with the canonical numbers of the system calls of other
	// ABIs (sysname.CanonicalTable).
	Canonical string
	// PrintProbe appends the name of the probe that fired to the arguments of print and printf.
	PrintProbe bool
	// Canceled, if not nil, reports whether the result is no longer needed. Compile then returns
	// ErrCanceled soon.
	Canceled func() bool
	// Variant selects the form in which loops are presented to the verifier.
	Variant Variant
	// Pass, if not nil, is called with the IR after each pass. The first is "lower".
	Pass func(name string, f *ir.Func)
}

// A PIDFilter names the one process whose events a handler accepts.
type PIDFilter struct {
	PID int
	// Dev and Ino identify the PID namespace that PID belongs to, as the kernel compares
	// namespaces. If they are 0, PID is the kernel's own number of the process.
	Dev, Ino uint64
}

// A PIDNamespace identifies a PID namespace by the numbers that the kernel compares.
type PIDNamespace struct{ Dev, Ino uint64 }

// A Site is a place in a handler where something can fail at run time. Its index in Program.Sites
// is its number in the error cells.
type Site struct {
	Pos        syntax.Position
	Helper     string // "map_update_elem"; "" for errors of the handler itself
	Op         string // what the handler did: "add", "t[k]", "//", "str", ...
	Map        *Map
	Stream     *Stream
	Ends       bool // the error ends the handler
	Quiet      bool // shown with --warnings=all only
	KeyCounter KeyCounter
}

// A KeyCounter marks a site that counts keys instead of errors. The count is at errno 0.
type KeyCounter uint8

// The counters are for tables from which the kernel itself evicts keys: the number of evicted keys
// is computed from them.
const (
	NoKeyCounter KeyCounter = iota
	KeysInserted            // new keys
	KeysDeleted             // keys that pop and clear removed
)

// A PrintSite is one print, printf or emit call of a handler. It describes the words of the record.
type PrintSite struct {
	Pos    syntax.Position
	Kind   string // "print", "printf" or "emit"
	Format string
	Names  []string // argument names of emit
	Args   []*types.Type
}

// A Program is the result of Compile.
type Program struct {
	Instructions asm.Instructions
	Facts
	Needs
}

// SitesPerProgram is the maximum number of error sites of a program. Each has CellsPerSite cells.
const SitesPerProgram = 4096

// CellsPerSite is the number of error cells of a site. A cell is indexed by the site and the low
// six bits of the errno.
const CellsPerSite = 64

// ErrCanceled is returned by a compilation that Request.Canceled ended.
var ErrCanceled = errors.New("the compilation was canceled")

func (r *Request) canceled() bool { return r.Canceled != nil && r.Canceled() }

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
