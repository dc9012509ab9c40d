package tree

import (
	"errors"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

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
	// Scratch is the name of the scratch map: an array of possible CPUs * abi.ScratchSlots elements
	// of Program.ScratchSize bytes each. It is unused if Program.ScratchSize is 0.
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

// Features describes what the running kernel offers to BPF programs.
type Features struct {
	FetchAtomics bool // atomic operations that return the old value, and compare-exchange (5.12)
	Cookie       bool // bpf_get_attach_cookie for this kind of program
	ForEachElem  bool // bpf_for_each_map_elem, and callbacks (5.13)
	Loop         bool // bpf_loop (5.17)
	PerCPULookup bool // bpf_map_lookup_percpu_elem (5.19)
	TaskBTF      bool // bpf_get_current_task_btf, and plain loads through its result (5.11)
}

// Types describes the types of the running kernel. It is not called for a handler that follows no
// pointers.
type Types interface {
	// Lookup returns the type with a name as in C: "struct sock", "enum hrtimer_mode", "pid_t". It
	// returns nil if there is none of that name, and an error if the kernel does not describe its
	// types at all.
	Lookup(name string) (*ctype.Type, error)
	// Names lists the names for Lookup that have the same keyword as name.
	Names(name string) ([]string, error)
}

// Compat locates the bit of the running task that is set during a system call of a 32-bit program:
// TS_COMPAT on amd64, TIF_32BIT on arm64.
type Compat struct{ Offset, Bit int }

// ErrCanceled is returned by a compilation that Request.Canceled ended.
var ErrCanceled = errors.New("the compilation was canceled")

// IsCanceled reports whether the result is no longer needed.
func (r *Request) IsCanceled() bool { return r.Canceled != nil && r.Canceled() }
