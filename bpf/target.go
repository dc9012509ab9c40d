package bpf

import (
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/cilium/ebpf"
)

// Target is one place to which a program can be attached. Package kinds makes targets from specs.
type Target struct {
	Name  string   // canonical and full: "tracepoint:sched:sched_switch"
	Kind  string   // "tracepoint"
	Parts []string // the rest of the name: "sched", "sched_switch"
	// Driver is that of the kind.
	Driver *Driver

	// Period is the sampling period of timers and counters: nanoseconds for clocks, a number of
	// events otherwise. It is 0 for other kinds.
	Period uint64

	// FromPattern reports that the target comes from a pattern. If the kernel refuses it for a
	// reason of its own (AttachError.TargetOnly), the other targets are attached without it.
	FromPattern bool
	// Refusal is the known reason why a target of a pattern cannot be attached to, or nil.
	Refusal *AttachError
	// FallbackReason explains why the target does not have the cheaper of the kinds that its spec
	// can stand for. It is empty if there is nothing to explain.
	FallbackReason string

	// Func is the function name that e.func returns, or "" if the kind has none.
	Func string

	// Payload is what the driver needs to attach to the target, of a type of its own.
	Payload any
}

// A Driver loads and attaches the programs for targets of one kind.
type Driver struct {
	// Context describes what programs can do with their context.
	Context abi.Context
	// TracepointTypes reports that the kernel's types (BTF) describe the arguments of the tracepoint
	// that the first part of the name names. Target.Event does not have them.
	TracepointTypes bool
	// TrustedPointers reports that the verifier knows the types of pointer arguments, so that
	// programs can load through them without a helper.
	TrustedPointers bool
	// NamespacePIDs explains why a program cannot filter by the PIDs of a PID namespace. It is ""
	// for kinds whose programs can.
	NamespacePIDs string
	// PIDFilter returns what limits probes to one process. If it is nil, the program does.
	PIDFilter func(*sys.Kernel) PIDFilter

	// Event returns the typed arguments of a target's event. If it is nil, there are none.
	Event func(Target) (*abi.Event, error)
	// ProgramTypes returns the types of program that can handle a target; see Target.ProgramTypes.
	ProgramTypes func(t Target, readsContext bool) []ebpf.ProgramType

	// Prepare sets the fields of a program's spec that determine how it will be attached to its
	// targets. It is nil if the kind needs none.
	Prepare func(*ProgramSpec) error
	// ProgramPerTarget reports that a program belongs to a single target. LoadForTargets loads the
	// program once per target.
	ProgramPerTarget bool
	// ExplainLoadError returns the reason why a program could not be loaded for a target. It may be
	// nil.
	ExplainLoadError func(Target, error) error

	// Attach attaches a program to a target. An error that is not an *AttachError becomes one.
	Attach func(Target, *Program, AttachOptions) (*Attachment, error)
	// AttachMulti attaches a program for which ProgramSpec.Multi is set. It is nil for kinds that
	// have no such programs.
	AttachMulti func(ts []Target, cookies []uint64, p *Program, o AttachOptions) (*Attachment, error)
	// FallbackToSingle reports that a program rejected for a multi link can be loaded again without
	// Prepare and attached to each target separately.
	FallbackToSingle bool
	// Missed explains why the link of a target missed events, and names what it missed. If it is
	// nil, these are calls.
	Missed func(Target) (event, reason string)
}

func (t Target) String() string { return t.Name }

// ResolvedName returns the name of what a program is attached to. It differs from Name for kinds
// that choose the cheapest of several other kinds.
func (t Target) ResolvedName() string {
	if kind, rest, ok := strings.Cut(t.Name, ":"); ok && kind != t.Kind {
		return t.Kind + ":" + rest
	}
	return t.Name
}

// Event returns the typed arguments of the target's event. For a tracepoint it reads the event's
// format file. A raw tracepoint has the untyped words arg0, arg1 and so on. Timers, counters, begin
// and end have no arguments.
func (t Target) Event() (*abi.Event, error) {
	if t.Driver.Event != nil {
		return t.Driver.Event(t)
	}
	return &abi.Event{}, nil
}

// ProgramTypes returns the types of program that can handle the target, the cheapest first. A
// handler that reads no field of the event can use more types than one that does. If Attach returns
// ErrNoRawTracepoint, load the program with the next type and attach that.
func (t Target) ProgramTypes(readsContext bool) []ebpf.ProgramType {
	return t.Driver.ProgramTypes(t, readsContext)
}

// PIDFilter returns what limits a probe of the target to one process.
func (t Target) PIDFilter(k *sys.Kernel) PIDFilter {
	if t.Driver.PIDFilter != nil {
		return t.Driver.PIDFilter(k)
	}
	return FilterInProgram
}

// MissedReason names what the link of a target misses and explains why.
func (t Target) MissedReason() (event, reason string) {
	if t.Driver.Missed != nil {
		return t.Driver.Missed(t)
	}
	return "call", "another probe was running on that CPU"
}

// PIDFilter identifies what limits a kind of probe to one process.
type PIDFilter uint8

const (
	// FilterInProgram means that the kernel cannot filter reliably: the program compares the PID
	// itself.
	FilterInProgram PIDFilter = iota
	// FilterInKernel means that the kernel filters by AttachOptions.PID.
	FilterInKernel
	// FilterUnsupported means that the events belong to bpfrepl itself, not to any traced process.
	FilterUnsupported
)
