package bpf

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// A Provider is a kind of probe: one row of the table that Providers gives.
type Provider struct {
	Kind    string // "tracepoint"
	Alias   string // "t", or "" where there is none
	Syntax  string // "tracepoint:SUBSYSTEM:EVENT"
	Doc     string // a sentence for the help
	Example string // a spec that works
	// List gives the targets whose whole names match the pattern, which may have *, ? and [...]; a * crosses colons.
	List func(pattern string) ([]Target, error)
	// Resolve gives the targets that a spec of this kind means, its wildcards expanded: at least one, or an error: a
	// *NotFoundError, or a *SpecError for a bad number.
	Resolve func(Spec) ([]Target, error)

	minArgs, maxArgs int
	functions        func() ([]string, error) // of the kernel, which a spec of this kind can name; for completion
	eventSchema      func(Target) (*Event, error)
	programTypes     func(t Target, readsContext bool) []ebpf.ProgramType
	attach           func(Target, *Program, AttachOptions) (*Attachment, error)
	// For kinds with multi links: see multi.go.
	attachMulti func(ts []Target, cookies []uint64, p *Program, o AttachOptions) (*Attachment, error)
	// prepare completes the spec of a program for its targets: how it is going to be attached. nil: nothing to say.
	prepare func(*ProgramSpec) error
	// fallbackToSingle tells that a program which a multi link does not take can be attached to each target by itself, loaded again
	// without prepare.
	fallbackToSingle bool
	// programPerTarget tells that a program belongs to one target: LoadForTargets loads it once for each.
	programPerTarget bool
	// explainLoadError finds the reason of a load that failed for a target.
	explainLoadError func(Target, error) error
	// splitArgs takes apart what is behind the kind, where that is not parts between colons without blanks.
	splitArgs func(rest string) []string
	// literal: names have blanks and brackets of their own, as in C++.
	literal bool
	// usable returns a *NotFoundError that says why nothing of the kind can be attached to on this machine; nil: there is no
	// such case.
	usable func(kind string) error
	// pidFilter tells who limits probes of the kind to a process; nil: the handler.
	pidFilter func(*sys.Kernel) PIDFilter
}

// Target is one place where a program can be attached.
type Target struct {
	Name  string   // canonical and full: "tracepoint:sched:sched_switch"
	Kind  string   // "tracepoint"
	Parts []string // the rest of the name: "sched", "sched_switch"

	// Timers and counters: one event for each Period (nanoseconds of a clock, or events). 0 where it means nothing.
	Period uint64

	// FromPattern tells that a pattern gave it: where the kernel refuses it for a reason of its own (AttachError.Own), the others
	// do without it.
	FromPattern bool
	// refusal says why nothing can be attached to this target of a pattern; nil if nothing is known against it.
	refusal *AttachError
	// FallbackReason says why the target is not of a cheaper kind, where there is one.
	FallbackReason string

	config uint64 // of perf_event_open, for counters
	offset uint64 // in a function

	// Func is the function that e.func names; "" where the kind has none.
	Func string
	// file and sites are where a probe in user space is: one target can have several places.
	file  string
	sites []probeSite
	// goFunc: the function is Go's. plain: the places are instructions, also of a return probe.
	// entry: the place is the first instruction of a function.
	goFunc, plain, entry bool
	shared               string         // the raw tracepoint that the target shares with other system calls: see syscalls.go
	args                 []Field        // of a static probe
	module               string         // that has the function
	program              ebpf.ProgramID // likewise, of fentry and fexit
	watch                unix.PerfEventAttr
}

func (t Target) String() string { return t.Name }

// ResolvedName is what a program is attached to: the name, but for kinds that stand for the cheapest of others.
func (t Target) ResolvedName() string {
	if kind, rest, ok := strings.Cut(t.Name, ":"); ok && kind != t.Kind {
		return t.Kind + ":" + rest
	}
	return t.Name
}

// Providers gives the table of all kinds, in the order of the help.
func Providers() []*Provider { return providers() }

// table is filled by init, since the providers' functions use it too.
var table []*Provider

func init() {
	table = []*Provider{
		&tracepointProvider, &rawTracepointProvider,
		&kprobeProvider, &kretprobeProvider, &fentryProvider, &fexitProvider, &functionProvider, &returnProvider,
		&uprobeProvider, &uretprobeProvider, &usdtProvider, &iterProvider,
		&profileProvider, &intervalProvider, &softwareProvider, &hardwareProvider, &watchpointProvider,
		&beginProvider, &endProvider, &signalProvider,
	}
}

func providers() []*Provider { return table }

// kinds gives the names of all kinds.
func kinds() []string {
	var out []string
	for _, p := range providers() {
		out = append(out, p.Kind)
	}
	return out
}

func findProvider(kind string) *Provider {
	for _, p := range providers() {
		if p.Kind == kind || p.Alias != "" && p.Alias == kind {
			return p
		}
	}
	return nil
}

// NotFoundError says that no probe of that name is there.
type NotFoundError struct {
	Spec        string   // as written
	Reason      string   // `no event "sched_swich" in the subsystem "sched"`
	Suggestions []string // full names that may have been meant, the likeliest first
	Hint        string   // what to do where no name is near; "" for the usual
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

// Resolve gives the targets that a probe spec means: at least one, in the order of their names, or an error: a
// *SpecError, a *NotFoundError, a *PrivilegeError or a *MountError.
func Resolve(spec string) ([]Target, error) { return resolve(spec, false) }

// ResolveUnsafe is Resolve for those who accept that a probe may end the programs that it traces.
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

// List gives the available probes whose whole names match the pattern, sorted by name, of all kinds. A pattern without
// a colon matches every name that contains it. Kinds without an end of names (profile) give the usual ones. Kinds that this
// machine does not have are left out, unless the pattern names the kind.
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
		return nil, &SpecError{Text: pattern, Reason: fmt.Sprintf("bad pattern %q", pattern), Hint: "a [ needs its ]"}
	}
	if err := sys.CheckMounts(); err != nil {
		return nil, err
	}
	var all []Target
	for _, p := range providers() {
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

// Event gives the typed arguments of the target's event. For a tracepoint it reads the event's format file; a raw
// tracepoint has the untyped words arg0, arg1...; timers, counters, begin and end have none.
func (t Target) Event() (*Event, error) {
	if p := findProvider(t.Kind); p != nil && p.eventSchema != nil {
		return p.eventSchema(t)
	}
	return &Event{}, nil
}

// ProgramTypes gives the types of program that can handle the target, the cheapest first. A handler that reads no field
// of the event can be of more types than one that does: attach it with the next type when Attach gives
// ErrNoRawTracepoint.
func (t Target) ProgramTypes(readsContext bool) []ebpf.ProgramType {
	if p := findProvider(t.Kind); p != nil {
		return p.programTypes(t, readsContext)
	}
	return nil
}

func only(t ebpf.ProgramType) func(Target, bool) []ebpf.ProgramType {
	return func(Target, bool) []ebpf.ProgramType { return []ebpf.ProgramType{t} }
}

// filterTargets gives those whose whole names match.
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
