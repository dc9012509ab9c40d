package bpf

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/cilium/ebpf"
)

// A Provider implements one kind of probe: one row of the table that Providers returns.
type Provider struct {
	Kind    string // "tracepoint"
	Alias   string // "t", or "" if the kind has no alias
	Syntax  string // "tracepoint:SUBSYSTEM:EVENT"
	Doc     string // one sentence for the help
	Example string // a spec that works
	// List returns the targets whose full names match the pattern, which may contain *, ? and
	// [...]. A * matches colons too.
	List func(pattern string) ([]Target, error)
	// Resolve returns the targets of a spec of this kind, with its wildcards expanded. It returns
	// at least one target or an error: a *NotFoundError, or a *SpecError for an invalid number.
	Resolve func(Spec) ([]Target, error)
	// Context describes what programs of the kind can do with their context.
	Context abi.Context
	// TracepointTypes reports that the kernel's types (BTF) describe the arguments of the tracepoint
	// that the first part of the spec names. Target.Event does not have them.
	TracepointTypes bool
	// TrustedPointers reports that the verifier knows the types of pointer arguments, so that
	// programs can load through them without a helper.
	TrustedPointers bool
	// PathArg reports that the first part of a spec names a file, which completion looks up.
	PathArg bool
	// NamespacePIDs explains why a program cannot filter by the PIDs of a PID namespace. It is ""
	// for kinds whose programs can.
	NamespacePIDs string

	minArgs, maxArgs int
	// functions returns the kernel functions that a spec of this kind can name, for completion.
	functions    func() ([]string, error)
	eventSchema  func(Target) (*abi.Event, error)
	programTypes func(t Target, readsContext bool) []ebpf.ProgramType
	attach       func(Target, *Program, AttachOptions) (*Attachment, error)
	// attachMulti is set for kinds that support multi links; see attachall.go.
	attachMulti func(ts []Target, cookies []uint64, p *Program, o AttachOptions) (*Attachment, error)
	// prepare sets the fields of a program's spec that determine how it will be attached to its
	// targets. It is nil if the kind needs none.
	prepare func(*ProgramSpec) error
	// fallbackToSingle reports that a program rejected for a multi link can be loaded again without
	// prepare and attached to each target separately.
	fallbackToSingle bool
	// programPerTarget reports that a program belongs to a single target. LoadForTargets loads the
	// program once per target.
	programPerTarget bool
	// explainLoadError returns the reason why a program could not be loaded for a target.
	explainLoadError func(Target, error) error
	// splitArgs splits the text after the kind. It is set for kinds whose arguments are not simply
	// separated by colons, or may contain blanks.
	splitArgs func(rest string) []string
	// literal reports that names may contain blanks and brackets of their own, as in C++.
	literal bool
	// usable returns a *NotFoundError that explains why this host supports no probe of the kind. It
	// is nil for kinds that every host supports.
	usable func(kind string) error
	// missed explains why the link of a target missed events, and names what it missed. If it is
	// nil, these are calls.
	missed func(Target) (event, reason string)
	// pidFilter returns what limits probes of the kind to one process. If it is nil, the program
	// does.
	pidFilter func(*sys.Kernel) PIDFilter
}

// Target is one place to which a program can be attached.
type Target struct {
	Name  string   // canonical and full: "tracepoint:sched:sched_switch"
	Kind  string   // "tracepoint"
	Parts []string // the rest of the name: "sched", "sched_switch"

	// Period is the sampling period of timers and counters: nanoseconds for clocks, a number of
	// events otherwise. It is 0 for other kinds.
	Period uint64

	// FromPattern reports that the target comes from a pattern. If the kernel refuses it for a
	// reason of its own (AttachError.TargetOnly), the other targets are attached without it.
	FromPattern bool
	// refusal is the known reason why a target of a pattern cannot be attached to, or nil.
	refusal *AttachError
	// FallbackReason explains why the target does not have the cheaper of the kinds that its spec
	// can stand for. It is empty if there is nothing to explain.
	FallbackReason string

	// Func is the function name that e.func returns, or "" if the kind has none.
	Func string

	// data is what the provider needs to attach to the target, of a type of its own; see payload.
	data any
}

// payload returns the data that the provider has put into a target, or a zero T.
func payload[T any](t Target) T {
	d, _ := t.data.(T)
	return d
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

// providers is filled by init because the providers' functions refer to it.
var providers []*Provider

func init() {
	providers = []*Provider{
		&tracepointProvider, &rawTracepointProvider,
		&kprobeProvider, &kretprobeProvider, &fentryProvider, &fexitProvider, &functionProvider, &returnProvider, &lsmProvider,
		&uprobeProvider, &uretprobeProvider, &usdtProvider, &iterProvider,
		&profileProvider, &intervalProvider, &softwareProvider, &hardwareProvider, &watchpointProvider,
		&beginProvider, &endProvider, &signalProvider,
	}
}

// Providers returns the table of all kinds, in the order of the help.
func Providers() []*Provider { return providers }

// Provider returns the row of the target's kind.
func (t Target) Provider() *Provider { return findProvider(t.Kind) }

// kinds returns the names of all kinds.
func kinds() []string {
	var out []string
	for _, p := range providers {
		out = append(out, p.Kind)
	}
	return out
}

func findProvider(kind string) *Provider {
	for _, p := range providers {
		if p.Kind == kind || p.Alias != "" && p.Alias == kind {
			return p
		}
	}
	return nil
}

// NotFoundError reports that no probe of that name exists.
type NotFoundError struct {
	Spec        string   // as written
	Reason      string   // `no event "sched_swich" in the subsystem "sched"`
	Suggestions []string // full names that may be meant, the most likely first
	Hint        string   // what to do if there are no suggestions; "" for the default
}

func (e *NotFoundError) Error() string {
	switch len(e.Suggestions) {
	case 0:
		return fmt.Sprintf("no probe %q: %s (%s)", e.Spec, e.Reason, cmp.Or(e.Hint, "bpfrepl -l lists them"))
	case 1:
		return fmt.Sprintf("no probe %q: %s (did you mean %q?)", e.Spec, e.Reason, e.Suggestions[0])
	}
	quoted := make([]string, len(e.Suggestions))
	for i, n := range e.Suggestions {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	last := len(quoted) - 1
	return fmt.Sprintf("no probe %q: %s (did you mean %s or %s?)", e.Spec, e.Reason, strings.Join(quoted[:last], ", "), quoted[last])
}

// Resolve returns the targets of a probe spec, sorted by name. It returns at least one target or an
// error: a *SpecError, a *NotFoundError, a *PrivilegeError or a *MountError.
func Resolve(spec string) ([]Target, error) { return resolve(spec, false) }

// ResolveUnsafe is like Resolve, but also accepts probes that may crash the programs they trace.
func ResolveUnsafe(spec string) ([]Target, error) { return resolve(spec, true) }

func resolve(spec string, unsafe bool) ([]Target, error) {
	s, err := ParseSpec(spec)
	if err != nil {
		return nil, err
	}
	s.Unsafe = unsafe
	ts, err := findProvider(s.Kind).Resolve(s)
	if slices.ContainsFunc(s.Args, isPattern) {
		for i := range ts {
			ts[i].FromPattern = true
		}
	}
	return ts, err
}

// List returns the available probes of all kinds whose full names match the pattern, sorted by
// name. A pattern without a colon matches every name that contains it. Kinds with unlimited names
// (profile) list the usual ones. Kinds that this host does not support are left out unless the
// pattern names the kind.
func List(pattern string) ([]Target, error) {
	if kind, rest, ok := strings.Cut(pattern, ":"); !ok {
		if !isPattern(pattern) || strings.Trim(pattern, "*") != pattern {
			pattern = "*" + strings.Trim(pattern, "*") + "*"
		} else {
			pattern = "*" + pattern + "*"
		}
	} else if p := findProvider(kind); p != nil {
		pattern = p.Kind + ":" + rest
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, &SpecError{Text: pattern, Reason: fmt.Sprintf("bad pattern %q", pattern), Hint: "a [ has no matching ]"}
	}
	if err := sys.CheckMounts(); err != nil {
		return nil, err
	}
	var all []Target
	for _, p := range providers {
		if kind, _, ok := strings.Cut(pattern, ":"); ok && !match(kind, p.Kind) && !strings.Contains(kind, "*") {
			continue
		}
		ts, err := p.List(pattern)
		if err == nil && len(ts) > 0 && p.usable != nil && !strings.HasPrefix(pattern, p.Kind+":") {
			var none *NotFoundError
			if err = p.usable(p.Kind); errors.As(err, &none) {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		all = append(all, ts...)
	}
	slices.SortFunc(all, func(a, b Target) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Event returns the typed arguments of the target's event. For a tracepoint it reads the event's
// format file. A raw tracepoint has the untyped words arg0, arg1 and so on. Timers, counters, begin
// and end have no arguments.
func (t Target) Event() (*abi.Event, error) {
	if p := findProvider(t.Kind); p != nil && p.eventSchema != nil {
		return p.eventSchema(t)
	}
	return &abi.Event{}, nil
}

// ProgramTypes returns the types of program that can handle the target, the cheapest first. A
// handler that reads no field of the event can use more types than one that does. If Attach returns
// ErrNoRawTracepoint, load the program with the next type and attach that.
func (t Target) ProgramTypes(readsContext bool) []ebpf.ProgramType {
	if p := findProvider(t.Kind); p != nil {
		return p.programTypes(t, readsContext)
	}
	return nil
}

func only(t ebpf.ProgramType) func(Target, bool) []ebpf.ProgramType {
	return func(Target, bool) []ebpf.ProgramType { return []ebpf.ProgramType{t} }
}

// filterTargets returns the targets whose full names match the pattern.
func filterTargets(pattern string, ts ...Target) []Target {
	var out []Target
	for _, t := range ts {
		if match(pattern, t.Name) {
			out = append(out, t)
		}
	}
	return out
}

func newTarget(kind string, parts ...string) Target {
	return Target{Name: strings.Join(append([]string{kind}, parts...), ":"), Kind: kind, Parts: parts}
}
