package kinds

import (
	"fmt"
	"path"
	"strings"

	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

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
