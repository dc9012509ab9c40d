// Package compiler turns a handler, a Starlark function as a syntax tree, into eBPF instructions. It is pure: it
// makes no system calls, knows no Starlark values and no kernel objects, and can be tested without root. What a
// name in the handler stands for, which fields an event has, and what the kernel can do come in with the Request; the
// instructions, the maps they need and the table of their error sites go out with the Program.
//
//	syntax tree -> check (check*.go: a typed tree, all errors at once) -> lower (lower*.go: package ir)
//	  -> ir.Optimise -> package codegen -> asm.Instructions
//
// The builtins and methods that a handler can call are tables: builtin.go, method.go.
package compiler

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/codegen"
	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Features is what the running kernel offers to programs.
type Features struct {
	FetchAtomics bool // fetching atomics and compare-exchange (5.12)
	Cookie       bool // bpf_get_attach_cookie for this kind of program
	ForEachElem  bool // bpf_for_each_map_elem, and callbacks (5.13)
	Loop         bool // bpf_loop (5.17)
	PerCPULookup bool // bpf_map_lookup_percpu_elem (5.19)
	TaskBTF      bool // bpf_get_current_task_btf, and loads through what it gives (5.11)
}

// A Request asks for one program.
type Request struct {
	Name      string // of the probe, for messages
	Handler   *Func
	Filter    *Func      // may be nil
	PIDFilter *PIDFilter // whose events alone the handler takes; nil: all
	Event     *Event
	Features  Features
	// Namespace is the namespace of process ids that e.pid and e.tid are of; nil: the machine's own.
	Namespace *PIDNamespace
	// Source gives the text of a line, or "".
	Source func(pos syntax.Position) string
	// Types is asked only by handlers that follow pointers or name types: reading BTF takes milliseconds.
	Types Types
	// Kfunc gives the BTF id of a function that the kernel lets programs call; an error where it has none of that name.
	Kfunc func(name string) (int64, error)
	// CPUs is the number of CPUs that could ever be there: a per-CPU element has a value for each.
	CPUs func() (int, error)
	// Host tells of the machine; nil where handlers ask nothing of it.
	Host Host
	// Unsafe lets handlers change what the kernel does.
	Unsafe bool
	// CountLookupMisses has the keys that get and pop do not find counted, at quiet sites.
	CountLookupMisses bool
	// ProbeID gives the number that stands for a probe's name inside the kernel.
	ProbeID func(name string) uint64
	// Cells names the map of error cells, Ring the ring buffer of prints, Control the map of the stop flag.
	Cells, Ring, Control string
	// Zeros names an array of zero bytes: of Program.Zeros, if that is not 0.
	Zeros string
	// Heap names an array of possible CPUs * HeapSlots elements of Program.Heap bytes, if that is not 0.
	Heap string
	// PrintBase is added to the index of a print site, so that the sites of all programs are told apart.
	PrintBase int
	// Compat tells system calls of 32-bit programs; nil where the machine has none.
	Compat *Compat
	// Canonical names an array of the numbers that stand for system calls of other ABIs (sysname.CanonicalTable).
	Canonical string
	// PrintProbe adds the name of the probe that fired to what print and printf send, as their last argument.
	PrintProbe bool
	// Canceled, if not nil, reports whether the result is no longer wanted; Compile then returns ErrCanceled soon.
	Canceled func() bool
	// Variant is how loops are put for the verifier.
	Variant Variant
	// Pass, if not nil, is called with the IR after each pass ("lower" first).
	Pass func(name string, f *ir.Func)
}

// A PIDFilter is one whose events a handler takes, and no others'.
type PIDFilter struct {
	PID int
	// Dev and Ino are of the namespace of process ids in which PID counts, as the kernel compares them; 0: PID is the kernel's own.
	Dev, Ino uint64
}

// A PIDNamespace is a namespace of process ids, as the kernel compares them.
type PIDNamespace struct{ Dev, Ino uint64 }

// A Site is a place in a handler where something can fail at run time. Its index is its number in the error cells.
type Site struct {
	Pos        syntax.Position
	Helper     string // "map_update_elem"; "" for faults of the handler itself
	Op         string // what the handler did: "add", "t[k]", "//", "str", ...
	Map        *Map
	Stream     *Stream
	Ends       bool // the handler ends here when it happens
	Quiet      bool // shown with --warnings=all only
	KeyCounter KeyCounter
}

// A KeyCounter says that a site counts no error, at errno 0, but what a handler did.
type KeyCounter uint8

// What is tallied: keys of tables from which the kernel removes others by itself, so that their number can be told.
const (
	NoKeyCounter KeyCounter = iota
	KeysInserted            // new keys
	KeysDeleted             // keys that pop and clear removed
)

// A PrintSite is one print, printf or emit of a handler: what the record's words mean.
type PrintSite struct {
	Pos    syntax.Position
	Kind   string // "print", "printf" or "emit"
	Format string
	Names  []string // of the arguments of emit
	Args   []*types.Type
}

// A MapUse is a map that the program refers to (Map.Ref), and the types of key and value that it has by now.
type MapUse struct {
	Map   *Map
	Types MapTypes
}

// A Captured is a name from outside of the handler that became a constant.
type Captured struct{ Name, Value string }

// A Program is the result.
type Program struct {
	Instructions asm.Instructions
	Sites        []Site
	Prints       []PrintSite
	Maps         []MapUse
	Streams      []*Stream
	Captured     []Captured
	Warnings     diag.List
	ReadsContext bool // it reads fields of the event, so it must run where they are
	ReadsFields  bool // it reads such that other probes of the kind may not have, or have elsewhere
	UsesRing     bool
	UsesControl  bool
	UsesCookie   bool
	UsesGate     bool     // the array Event.Gate
	UsesSyscalls bool     // the array Event.Syscalls.Map
	UsesNumbers  bool     // the array Request.Canonical
	Fields       []string // the arguments that it reads by name, where ReadsFields
	Zeros        int      // bytes that the map Request.Zeros must have
	Stacks       []int    // it keeps stacks of so many frames, each in the map StackMap(n)
	TypedArgs    bool     // it reads arguments that Event.Typed gave: it fits this event alone
	FollowsArgs  bool     // it follows pointers among them
	Direct       bool     // it loads through pointers whose types the verifier has to know (Features.TaskBTF, Event.BTFArgs)
	Heap         int      // bytes that each element of the map Request.Heap must have
}

// SitesPerProgram bounds the error sites of a program: 64 cells each.
const SitesPerProgram = 4096

// CellsPerSite is the number of error cells of a site: a cell is found by the site and the low six bits of the errno.
const CellsPerSite = 64

// ErrCanceled is the error of a compilation that Request.Canceled ended.
var ErrCanceled = errors.New("the compilation was canceled")

func (r *Request) canceled() bool { return r.Canceled != nil && r.Canceled() }

// Compile compiles a handler. The error is a diag.List that holds every fault, or, for what the checker cannot
// foresee (too much stack, too large a program), a list with the one fault found.
func Compile(req *Request) (*Program, error) {
	c := newChecker(req)
	tree := c.program()
	if len(c.diags) > 0 {
		return nil, c.diags.Sort()
	}
	var err error
	live := false
	for _, room := range stackBudgets {
		if live && !room.lowPressure {
			continue // where values lie changes nothing
		}
		var p *Program
		if p, err = generate(req, c, tree, room); err == nil {
			p.Maps = c.mapUses()
			p.Captured, p.Warnings = c.captured, c.warnings.Sort()
			p.ReadsContext, p.ReadsFields = c.readsContext, c.readsFields
			p.Fields = slices.Sorted(maps.Keys(c.fields))
			p.TypedArgs, p.FollowsArgs, p.Direct = c.typedArgs, c.followsArgs, c.direct
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

// A stackBudget is how sparingly the stack is used.
type stackBudget struct {
	limit       int  // bytes that a value may have to lie on the stack: less, and more values lie in the heap
	lowPressure bool // values are loaded again rather than kept
}

// stackBudgets is what is tried, one after the other, where the stack is too small.
var stackBudgets = []stackBudget{{256, false}, {64, false}, {16, false}, {16, true}}

// generate makes the program of a checked handler.
func generate(req *Request, c *checker, tree *treeProgram, room stackBudget) (*Program, error) {
	lw := newLowerer(req, c)
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
	if lw.prog.Heap > maxHeap {
		return nil, &heapError{lw.prog.Heap}
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
	if err := tooManyMaps(funcs, c.mapUses(), lw.prog.Streams); err != nil {
		return nil, err
	}
	insns, err := codegen.Generate(funcs, codegen.Options{Source: req.Source, Canceled: req.canceled})
	if errors.Is(err, codegen.ErrTooLarge) {
		err = sized(funcs, err)
	}
	lw.prog.Instructions = insns
	return lw.prog, err
}

// Listing is the program as text, one instruction a line, with the source lines between.
func (p *Program) Listing() string {
	return strings.TrimRight(fmt.Sprintf("%v", p.Instructions), "\n") + "\n"
}
