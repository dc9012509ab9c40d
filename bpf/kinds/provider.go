package kinds

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
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
	List func(pattern string) ([]bpf.Target, error)
	// Resolve returns the targets of a spec of this kind, with its wildcards expanded. It returns
	// at least one target or an error: a *NotFoundError, or a *SpecError for an invalid number.
	Resolve func(Spec) ([]bpf.Target, error)
	// PathArg reports that the first part of a spec names a file, which completion looks up.
	PathArg bool
	// Driver is that of the targets, unless they are of another kind.
	Driver bpf.Driver

	minArgs, maxArgs int
	// functions returns the kernel functions that a spec of this kind can name, for completion.
	functions func() ([]string, error)
	// splitArgs splits the text after the kind. It is set for kinds whose arguments are not simply
	// separated by colons, or may contain blanks.
	splitArgs func(rest string) []string
	// literal reports that names may contain blanks and brackets of their own, as in C++.
	literal bool
	// usable returns a *NotFoundError that explains why this host supports no probe of the kind. It
	// is nil for kinds that every host supports.
	usable func(kind string) error
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

func only(t ebpf.ProgramType) func(bpf.Target, bool) []ebpf.ProgramType {
	return func(bpf.Target, bool) []ebpf.ProgramType { return []ebpf.ProgramType{t} }
}

// filterTargets returns the targets whose full names match the pattern.
func filterTargets(pattern string, ts ...bpf.Target) []bpf.Target {
	var out []bpf.Target
	for _, t := range ts {
		if match(pattern, t.Name) {
			out = append(out, t)
		}
	}
	return out
}

// filterInKernel and filterUnsupported are PIDFilter functions of drivers.
func filterInKernel(*sys.Kernel) bpf.PIDFilter { return bpf.FilterInKernel }

func filterUnsupported(*sys.Kernel) bpf.PIDFilter { return bpf.FilterUnsupported }

// filterInKernelIf returns the PIDFilter function of a kind that the kernel filters if have returns
// true for it. Otherwise the program filters.
func filterInKernelIf(have func(*sys.Kernel) bool) func(*sys.Kernel) bpf.PIDFilter {
	return func(k *sys.Kernel) bpf.PIDFilter {
		if have(k) {
			return bpf.FilterInKernel
		}
		return bpf.FilterInProgram
	}
}

// payload returns the data that the provider has put into a target, or a zero T.
func payload[T any](t bpf.Target) T {
	d, _ := t.Payload.(T)
	return d
}

func newTarget(kind string, parts ...string) bpf.Target {
	return bpf.Target{Name: strings.Join(append([]string{kind}, parts...), ":"), Kind: kind, Parts: parts}
}

// providers is filled by init because the providers' functions refer to it.
var providers []*Provider

// kindNames returns the names of all kinds.
func kindNames() []string {
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

// Spec is a parsed probe spec. "tracepoint:sched:sched_switch" has the kind "tracepoint" and two
// arguments.
type Spec struct {
	Kind string // full name, even if the text uses an alias
	Args []string
	Text string // as the user wrote it
	// Unsafe accepts probes that may harm the traced programs.
	Unsafe bool
}

// SpecError reports what is wrong with the text of a probe spec.
type SpecError struct {
	Text   string // the spec
	Reason string
	Hint   string // what to write instead, or ""
	// Refused reports that the text is valid, but what it names cannot be traced.
	Refused bool
}

func (e *SpecError) Error() string {
	if e.Hint == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s (%s)", e.Reason, e.Hint)
}

// isPattern reports whether a part of a spec contains wildcards.
func isPattern(s string) bool { return strings.ContainsAny(s, "*?[") }

// match reports whether name matches a pattern that ParseSpec has accepted.
func match(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// ParseSpec parses a probe spec and checks its kind and the number of its parts. The error is a
// *SpecError.
func ParseSpec(text string) (Spec, error) {
	if text == "" {
		return Spec{}, &SpecError{Reason: "the probe spec is empty", Hint: `write for example "tracepoint:raw_syscalls:sys_enter"`}
	}
	kind, rest, hasArgs := strings.Cut(text, ":")
	p := findProvider(kind)
	if i := strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }); i >= 0 && (p == nil || !p.literal) {
		return Spec{}, &SpecError{Text: text, Reason: fmt.Sprintf("probe spec %q: spaces and control characters are not allowed", text)}
	}
	if p == nil {
		e := &SpecError{Text: text, Reason: fmt.Sprintf("no probe kind %q", kind)}
		if near := suggest.Nearest(kind, kindNames(), 1); near != nil {
			e.Hint = fmt.Sprintf("did you mean %q?", near[0])
		} else {
			e.Hint = "the kinds are " + strings.Join(kindNames(), ", ")
		}
		return Spec{}, e
	}
	s := Spec{Kind: p.Kind, Text: text}
	switch {
	case hasArgs && p.splitArgs != nil:
		s.Args = p.splitArgs(rest)
	case hasArgs:
		s.Args = strings.Split(rest, ":")
	}
	if len(s.Args) < p.minArgs || len(s.Args) > p.maxArgs {
		return Spec{}, &SpecError{Text: text, Reason: fmt.Sprintf("probe %q has %s", text, parts(len(s.Args)+1)), Hint: "write " + p.Syntax}
	}
	for _, a := range s.Args {
		if a == "" {
			return Spec{}, &SpecError{Text: text, Reason: fmt.Sprintf("probe %q has an empty part", text), Hint: "write " + p.Syntax}
		}
		if _, err := path.Match(a, ""); err != nil && !p.literal {
			return Spec{}, &SpecError{Text: text, Reason: fmt.Sprintf("probe %q: bad pattern %q", text, a), Hint: "a [ has no matching ]"}
		}
	}
	return s, nil
}

func parts(n int) string {
	if n == 1 {
		return "1 part"
	}
	return fmt.Sprintf("%d parts", n)
}
