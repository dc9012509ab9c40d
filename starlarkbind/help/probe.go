package help

import (
	"fmt"
	"sort"
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf/kinds"
)

// onKind describes a kind of probe.
func onKind(p *kinds.Provider) string {
	text := p.Syntax + "\n" + prose(p.Doc)
	if p.Alias != "" {
		text += indented("short: " + p.Alias)
	}
	return text + "\n" + indented(example(p.Example, "e.comm"))
}

// example returns a script that counts the events of a spec by an expression.
func example(spec, by string) string {
	return fmt.Sprintf("hits = count()\nprobe(%q, lambda e: hits.add(by=%s))", spec, by)
}

// onProbe describes the arguments of the probe that spec names, or lists the probes if it matches
// several.
func (h *Help) onProbe(spec string) (string, error) {
	ts, err := kinds.List(spec)
	if err != nil {
		return "", err
	}
	if len(ts) == 0 {
		parsed, err := kinds.Resolve(spec) // a spec that is not listed: a timer, an address
		if err != nil {
			return "", err
		}
		ts = parsed
	}
	if len(ts) > 1 {
		var names []string
		for _, t := range ts {
			names = append(names, t.Name)
		}
		sort.Strings(names)
		const most = 20
		more := ""
		if len(names) > most {
			more = fmt.Sprintf("... and %d more: bpfrepl -l %q\n", len(names)-most, spec)
			names = names[:most]
		}
		return fmt.Sprintf("%d probes match:\n", len(ts)) + indented(strings.Join(names, "\n")) + more, nil
	}
	t := ts[0]
	args, err := h.Types.Listed(t)
	if err != nil {
		return "", err
	}
	text := t.Name + "\n"
	for _, p := range kinds.Providers() {
		if p.Kind == t.Kind {
			text += prose(p.Doc)
		}
	}
	by := "e.comm"
	if len(args) > 0 {
		text += "\n" + indented("in a handler, e.args has:\n    "+strings.Join(args, "\n    "))
		if name := argumentName(args); name != "" {
			by = "e.args." + name
		}
	}
	return text + "\n" + indented(example(t.Name, by)), nil
}

// argumentName returns the name of the first argument that can be the key of a map as it is, or "".
func argumentName(args []string) string {
	for _, a := range args {
		i := strings.LastIndexAny(a, " *")
		name := a[i+1:]
		if i >= 0 && !strings.Contains(a, "[]") && !strings.Contains(a, ":") && !strings.ContainsAny(a, "*.") && !strings.HasPrefix(a, "struct") && !strings.HasPrefix(name, "__") {
			name, _, _ = strings.Cut(name, "[")
			return name
		}
	}
	return ""
}
