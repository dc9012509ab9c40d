// Package help writes the texts of help() and of x? at the prompt. It reads the tables in which
// names are looked up and from which docs/language.md is generated, so everything in them has help,
// and nothing else does. help.go finds what a question is about; a row of a table is a Topic
// (topic.go), also for the members of Starlark's own modules (module.go); probe.go describes probes
// and their kinds; loaded.go describes files that scripts load by their docstrings; layout.go wraps
// text to the width of a terminal.
package help

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
	"github.com/bpfrepl/bpfrepl/starlarkbind/ktypes"
)

// A Help answers the questions of one session.
type Help struct {
	Topics  Topics
	Types   *ktypes.Types
	Session Session
}

// A Session has the names and values of a script.
type Session interface {
	// Global returns the value of a global of the script, or nil.
	Global(name string) starlark.Value
	// Value returns the value of a name, which can also be predeclared, or nil.
	Value(name string) starlark.Value
	// IsModule reports whether a file is a module.
	IsModule(file string) bool
	// Module returns the tree of the file that load(name, ...) would load.
	Module(name string) (*syntax.File, error)
	// Subject describes a value whose methods are topics. It returns false for any other value.
	Subject(v starlark.Value) (Subject, bool)
}

// A Subject is a map, a stream or a probe of the script.
type Subject struct {
	Of   string // Topic.Of of its methods
	Name string
	Type string // "count", "table", "probe"
	Spec string // of a probe with one spec
}

// On returns the help text for a value, a name or a probe spec; for None, a tour.
func (h *Help) On(x starlark.Value) (string, error) {
	switch v := x.(type) {
	case starlark.NoneType:
		return h.tour(), nil
	case starlark.String:
		return h.OnName(string(v))
	case *starlarkstruct.Module:
		return h.onTopics(v.Name)
	case *starlark.Builtin:
		if of, name, ok := strings.Cut(v.Name(), "."); ok { // json.encode
			return h.named(name, func(t Topic) bool { return t.Of == of })
		}
		return h.named(v.Name(), func(Topic) bool { return true })
	case *starlark.Function:
		if h.Session.IsModule(v.Position().Filename()) {
			return onLoaded(v), nil
		}
		text := fmt.Sprintf("%s, a script function, at %s\n", v.Name(), v.Position())
		if d := v.Doc(); d != "" {
			text += prose(d)
		}
		return text + indented("pass it to probe() as a handler, or call it with event(...) to run it here"), nil
	}
	if sub, ok := h.Session.Subject(x); ok {
		text := h.methods(sub)
		if sub.Spec == "" {
			return text, nil
		}
		more, err := h.OnName(sub.Spec)
		return text + "\n" + more, err
	}
	return fmt.Sprintf("a Starlark %s; its methods:\n%s", x.Type(), prose(strings.Join(attributeNames(x), " "))), nil
}

func attributeNames(v starlark.Value) []string {
	if a, ok := v.(starlark.HasAttrs); ok {
		return a.AttrNames()
	}
	return []string{"none"}
}

// OnName returns the help text for the argument of help("...").
func (h *Help) OnName(name string) (string, error) {
	kind, rest, isSpec := strings.Cut(name, ":")
	for _, p := range kinds.Providers() {
		if (kind == p.Kind || kind == p.Alias && p.Alias != "") && rest == "" {
			return onKind(p), nil
		}
	}
	if isSpec {
		return h.onProbe(name)
	}
	if strings.HasSuffix(name, ".star") || strings.HasPrefix(name, "std/") {
		f, err := h.Session.Module(name)
		if err != nil {
			return "", err
		}
		return onFile(name, f), nil
	}
	name = strings.TrimSuffix(name, "()")
	if of, attr, ok := strings.Cut(name, "."); ok { // e.pid, table.pop, calls.top
		if v := h.Session.Value(of); v != nil {
			if of = v.Type(); ModuleName(v) != "" {
				of = ModuleName(v)
			}
			if sub, ok := h.Session.Subject(v); ok {
				of = sub.Of
			}
		}
		known := of == "e" || slices.ContainsFunc(h.Topics, func(t Topic) bool { return t.Of == of })
		return h.named(attr, func(t Topic) bool {
			return t.Of == of || t.Of == "handler "+of || t.Of == "event" && of == "e" || t.Of != "" && !known
		})
	}
	if v := h.Session.Global(name); v != nil {
		return h.On(v)
	}
	return h.onTopics(name)
}

// onTopics returns the help texts of the module and of all topics with this name.
func (h *Help) onTopics(name string) (string, error) {
	text := h.onModule(name)
	more, err := h.named(name, func(Topic) bool { return true })
	switch {
	case text == "":
		return more, err
	case err != nil:
		return text, nil
	}
	return text + "\n" + more, nil
}

// named returns the help texts of all topics with this name that want accepts. The error suggests a
// similar name.
func (h *Help) named(name string, want func(Topic) bool) (string, error) {
	var text []string
	var names []string
	for _, t := range h.Topics {
		names = append(names, t.Name)
		if t.Name == name && want(t) {
			text = append(text, t.text())
		}
	}
	if text == nil {
		for _, p := range kinds.Providers() {
			names = append(names, p.Kind)
		}
		hint := "help() lists what is available"
		if near := suggest.Nearest(name, slices.Compact(names), 1); len(near) > 0 && near[0] != name {
			hint = fmt.Sprintf("did you mean help(%q)?", near[0])
		}
		return "", fmt.Errorf("no help for %q; %s", name, hint)
	}
	return strings.Join(text, "\n"), nil
}

// methods describes a value and its methods.
func (h *Help) methods(sub Subject) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is a %s\n\n", sub.Name, sub.Type)
	for _, t := range h.Topics {
		if t.Of == sub.Of {
			b.WriteString(indented(signature(sub.Name+"."+t.Sig) + prose(t.Doc)))
		}
	}
	return b.String()
}

// tour returns the text of help().
func (h *Help) tour() string {
	var b strings.Builder
	b.WriteString(`A script is Starlark, which looks like Python. A function passed to probe() is
compiled and runs in the kernel at every event; maps are shared by both. At the
prompt, probes keep running without run(): look at calls at any time.

    calls = count()
    probe("tracepoint:raw_syscalls:sys_enter", lambda e: calls.add(by=e.comm))
    run(1)
    for comm, n in calls.top(5):
        printf("%-16s %d\n", comm, n)

`)
	groups := []struct {
		name string
		of   string
	}{{"functions", ""}, {"in a handler", "handler"}, {"fields of the event", "event"}}
	for _, g := range groups {
		var names []string
		for _, t := range h.Topics {
			if t.Of == g.of {
				names = append(names, map[bool]string{true: "e." + t.Name, false: t.Name}[g.of == "event"])
			}
		}
		fmt.Fprintf(&b, "%s:\n%s", g.name, indented(wrapWords(names, page-4)))
	}
	var names []string
	for _, m := range Modules {
		names = append(names, m.Name)
	}
	fmt.Fprintf(&b, "modules:\n%s", indented(wrapWords(names, page-4)))
	names = nil
	for _, p := range kinds.Providers() {
		names = append(names, p.Kind)
	}
	fmt.Fprintf(&b, "kinds of probes:\n%s", indented(wrapWords(names, page-4)))
	b.WriteString(`
help("count"), help(calls), help("e.args"), help("uprobe") and
help("tracepoint:sched:sched_switch") say more; each has an example.
probes("tracepoint:*open*") lists probes. errors() lists what went wrong in the
kernel. At the prompt, Tab completes, and pressed again shows how a call is
written; Ctrl-R searches earlier items; %help lists the % commands.
`)
	return b.String()
}
