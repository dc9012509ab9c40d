package starlarkbind

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
	"github.com/bpfrepl/bpfrepl/starlarkbind/methods"
)

// help() reads the same tables that docs/language.md is generated from and that names are looked up
// in. So everything in them has help, and nothing else does.

// A Topic is one entry that help can show.
type Topic struct {
	// Of is the type of a method ("aggregation", or "handler aggregation" in handlers), "handler",
	// "event", or "" for a function of scripts.
	Of      string
	Name    string
	Sig     string // the signature
	Doc     string
	Example string
}

// table is Builtins, without the initialization cycle: Builtins refers to help.
var table []Builtin

func init() { table = Builtins }

// Topics returns all topics of help except the kinds of probes.
func Topics() []Topic {
	var out []Topic
	for _, b := range table {
		out = append(out, Topic{"", b.Name, b.Sig, b.Doc, b.Example})
	}
	out = append(out, methodTopics("aggregation", maps.AggregationMethods)...)
	out = append(out, methodTopics("table", maps.TableMethods)...)
	out = append(out, methodTopics("stream", streamMethods)...)
	out = append(out, methodTopics("probe", probeMethods)...)
	for _, d := range compiler.Builtins() {
		out = append(out, Topic{"handler", d.Name, d.Sig, d.Text, d.Example})
	}
	for _, d := range compiler.Methods() {
		of, name, ok := strings.Cut(d.Name, ".")
		if !ok {
			of, name = "", d.Name
		}
		out = append(out, Topic{strings.TrimSpace("handler " + of), name, d.Sig, d.Text, d.Example})
	}
	for _, f := range compiler.EventFields() {
		out = append(out, Topic{"event", f[0], "e." + f[0], f[1], fieldExample(f[0])})
	}
	return out
}

// fieldExample returns an example that uses a field of the event.
func fieldExample(name string) string {
	switch name {
	case "args":
		return `probe("tracepoint:syscalls:sys_enter_openat", lambda e: opened.add(by=str(e.args.filename)))`
	case "ret":
		return `probe("tracepoint:syscalls:sys_exit_read", lambda e: sizes.add(e.ret))`
	case "task":
		return "parents.add(by=e.task.real_parent.comm)"
	}
	return fmt.Sprintf("hits.add(by=e.%s)", name)
}

func methodTopics[T any](of string, ms []methods.Row[T]) (out []Topic) {
	for _, m := range ms {
		out = append(out, Topic{of, m.Name, m.Sig, m.Doc, m.Example})
	}
	return out
}

// builtinHelp implements help(x=None).
func (s *Session) builtinHelp(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value = starlark.None
	if err := starlark.UnpackArgs("help", args, kw, "x?", &x); err != nil {
		return nil, err
	}
	text, err := s.help(x)
	if err != nil {
		return nil, err
	}
	s.out.Text(text)
	return starlark.None, s.out.Failed()
}

// help returns the help text for a value, a name or a probe spec.
func (s *Session) help(x starlark.Value) (string, error) {
	switch v := x.(type) {
	case starlark.NoneType:
		return tour(), nil
	case starlark.String:
		return s.helpOn(string(v))
	case *starlark.Builtin:
		return helpName(v.Name(), func(Topic) bool { return true })
	case *starlark.Function:
		text := fmt.Sprintf("%s, a script function, at %s\n", v.Name(), v.Position())
		if d := v.Doc(); d != "" {
			text += prose(d)
		}
		return text + indented("pass it to probe() as a handler, or call it with event(...) to run it here"), nil
	case *maps.Aggregation:
		return helpValue(v.Name(), v.Type(), "aggregation")
	case *maps.Table:
		return helpValue(v.Name(), v.Type(), "table")
	case *Stream:
		return helpValue(v.Name(), v.Type(), "stream")
	case *Probe:
		text, err := helpValue(v.name, "probe", "probe")
		if len(v.spec) == 1 && err == nil {
			more, err := s.helpOn(v.spec[0])
			return text + "\n" + more, err
		}
		return text, err
	}
	return fmt.Sprintf("a Starlark %s; its methods:\n%s", x.Type(), prose(strings.Join(attributeNames(x), " "))), nil
}

func attributeNames(v starlark.Value) []string {
	if a, ok := v.(starlark.HasAttrs); ok {
		return a.AttrNames()
	}
	return []string{"none"}
}

// helpOn returns the help text for the argument of help("...").
func (s *Session) helpOn(name string) (string, error) {
	kind, rest, isSpec := strings.Cut(name, ":")
	for _, p := range bpf.Providers() {
		if (kind == p.Kind || kind == p.Alias && p.Alias != "") && rest == "" {
			return helpKind(p), nil
		}
	}
	if isSpec {
		return s.helpProbe(name)
	}
	name = strings.TrimSuffix(name, "()")
	if of, attr, ok := strings.Cut(name, "."); ok { // e.pid, table.pop, calls.top
		switch v := s.Value(of).(type) {
		case *maps.Aggregation:
			of = "aggregation"
		case starlark.Value:
			of = v.Type()
		}
		known := of == "e" || slices.ContainsFunc(Topics(), func(t Topic) bool { return t.Of == of })
		return helpName(attr, func(t Topic) bool {
			return t.Of == of || t.Of == "handler "+of || t.Of == "event" && of == "e" || t.Of != "" && !known
		})
	}
	if v := s.names.globals[name]; v != nil {
		return s.help(v)
	}
	return helpName(name, func(Topic) bool { return true })
}

// helpName returns the help texts of all topics with this name that want accepts. The error
// suggests a similar name.
func helpName(name string, want func(Topic) bool) (string, error) {
	var text []string
	var names []string
	for _, t := range Topics() {
		names = append(names, t.Name)
		if t.Name == name && want(t) {
			text = append(text, t.text())
		}
	}
	if text == nil {
		for _, p := range bpf.Providers() {
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

// text returns the topic as help prints it.
func (t Topic) text() string {
	sig := t.Sig
	where := ""
	switch of := strings.TrimPrefix(t.Of, "handler "); {
	case t.Of == "handler":
		where = " (in a handler)"
	case t.Of == "event":
	case of != t.Of:
		sig, where = method(of, sig), " (in a handler)"
	case of != "":
		sig = method(of, sig)
	}
	text := signature(sig+where) + prose(t.Doc)
	if t.Example != "" {
		text += "\n" + indented(t.Example)
	}
	return text
}

// method returns the signature of a method, with its type in front unless it is an operator.
func method(of, sig string) string {
	if strings.ContainsAny(sig, "[ ") && !strings.Contains(sig, "(") {
		return sig // t[key], key in t
	}
	return of + "." + sig
}

// page is the number of columns that help uses: terminals have at least 80. Examples are not
// wrapped, so that they can be copied.
const page = 78

// prose returns text wrapped to the page and indented.
func prose(text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		lines = append(lines, wrapWords(strings.Fields(line), page-4))
	}
	return indented(strings.Join(lines, "\n"))
}

// signature returns a signature wrapped to the page, with a deeper indent from the second line on.
func signature(sig string) string {
	first, more, _ := strings.Cut(wrapWords(strings.Fields(sig), page-8), "\n")
	if more == "" {
		return first + "\n"
	}
	return first + "\n" + indented(indented(more))
}

func indented(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}

// helpValue describes a map, a stream or a probe of the script and its methods.
func helpValue(name, kind, of string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is a %s\n\n", name, kind)
	for _, t := range Topics() {
		if t.Of == of {
			b.WriteString(indented(signature(name+"."+t.Sig) + prose(t.Doc)))
		}
	}
	return b.String(), nil
}

// helpKind describes a kind of probe.
func helpKind(p *bpf.Provider) string {
	text := p.Syntax + "\n" + prose(p.Doc)
	if p.Alias != "" {
		text += indented("short: " + p.Alias)
	}
	return text + "\n" + indented(example(p.Example))
}

func example(spec string) string {
	return fmt.Sprintf("hits = count()\nprobe(%q, lambda e: hits.add(by=e.comm))", spec)
}

// helpProbe describes the arguments of the probe that spec names, or lists the probes if it matches
// several.
func (s *Session) helpProbe(spec string) (string, error) {
	ts, err := bpf.List(spec)
	if err != nil {
		return "", scriptError(err)
	}
	if len(ts) == 0 {
		parsed, err := bpf.Resolve(spec) // a spec that is not listed: a timer, an address
		if err != nil {
			return "", scriptError(err)
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
	args, err := s.ktypes.Listed(t)
	if err != nil {
		return "", scriptError(err)
	}
	text := t.Name + "\n"
	for _, p := range bpf.Providers() {
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
	return text + "\n" + indented(fmt.Sprintf("hits = count()\nprobe(%q, lambda e: hits.add(by=%s))", t.Name, by)), nil
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

// tour returns the text of help().
func tour() string {
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
		for _, t := range Topics() {
			if t.Of == g.of {
				names = append(names, map[bool]string{true: "e." + t.Name, false: t.Name}[g.of == "event"])
			}
		}
		fmt.Fprintf(&b, "%s:\n%s", g.name, indented(wrapWords(names, page-4)))
	}
	var kinds []string
	for _, p := range bpf.Providers() {
		kinds = append(kinds, p.Kind)
	}
	fmt.Fprintf(&b, "kinds of probes:\n%s", indented(wrapWords(kinds, page-4)))
	b.WriteString(`
help("count"), help(calls), help("e.args"), help("uprobe") and
help("tracepoint:sched:sched_switch") say more; each has an example.
probes("tracepoint:*open*") lists probes. errors() lists what went wrong in the
kernel. At the prompt, Tab completes, and pressed again shows how a call is
written; Ctrl-R searches earlier items; %help lists the % commands.
`)
	return b.String()
}

// wrapWords breaks words into lines of at most width columns.
func wrapWords(words []string, width int) string {
	var b strings.Builder
	col := 0
	for i, w := range words {
		if i > 0 && col+1+len(w) > width {
			b.WriteByte('\n')
			col = 0
		} else if i > 0 {
			b.WriteByte(' ')
			col++
		}
		b.WriteString(w)
		col += len(w)
	}
	return b.String()
}
