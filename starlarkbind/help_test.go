package starlarkbind

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/internal/cellwidth"
	"github.com/bpfrepl/bpfrepl/starlarkbind/help"
)

// Everything has help with its signature and an example, and is mentioned in the tour.
func TestHelpOnAll(t *testing.T) {
	l := newLive(t, nil)
	tour, err := l.help.On(starlark.None)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics() {
		text, err := l.help.OnName(topic.Name)
		if err != nil {
			t.Errorf("%s: %v", topic.Name, err)
			continue
		}
		if !flows(text, topic.Sig) || topic.Example == "" || !strings.Contains(text, topic.Example) || !flows(text, topic.Doc) {
			t.Errorf("help(%q) is without its signature, its doc or its example:\n%s", topic.Name, text)
		}
		if topic.Of == "" && !strings.Contains(tour, topic.Name) {
			t.Errorf("the tour is without %s", topic.Name)
		}
	}
	for _, p := range kinds.Providers() {
		text, err := l.help.OnName(p.Kind)
		if err != nil || !flows(text, p.Doc) || !strings.Contains(text, p.Example) || !strings.Contains(tour, p.Kind) {
			t.Errorf("help(%q): %v\n%s", p.Kind, err, text)
		}
	}
}

// The topics of a module are its members, and their examples run.
func TestHelpOnModules(t *testing.T) {
	l := newLive(t, func(o *Options) { o.Assertions = true })
	for _, m := range help.Modules {
		module := l.Value(m.Name).(*starlarkstruct.Module)
		var names []string
		for _, topic := range topics() {
			if topic.Of != m.Name {
				continue
			}
			names = append(names, topic.Name)
			if m.Name == "assert" {
				continue // the examples are parts of tests
			}
			if _, err := l.ExecItem(t.Context(), topic.Example); err != nil {
				t.Errorf("%s: %v", topic.Example, err)
			}
		}
		slices.Sort(names)
		if want := module.AttrNames(); !slices.Equal(names, want) {
			t.Errorf("%s has topics for %q, and the members %q", m.Name, names, want)
		}
		text, err := l.help.On(module)
		if err != nil || !flows(text, m.Doc) || !strings.Contains(text, m.Name+"."+names[0]) {
			t.Errorf("help(%s): %v\n%s", m.Name, err, text)
		}
	}
	for _, src := range []string{`help("json.decode")`, "help(json.decode)", "json.decode?"} {
		l.out.b.Reset()
		if _, err := l.ExecItem(t.Context(), src); err != nil || !strings.HasPrefix(l.out.String(), "json.decode(x, default=None)\n") {
			t.Errorf("%s: %v\n%s", src, err, l.out.String())
		}
	}
	if got := l.Signature("math.floor("); !strings.HasPrefix(got, "math.floor(x)") {
		t.Errorf("the signature of math.floor is %q", got)
	}
}

// flows reports whether text contains part, ignoring line breaks.
func flows(text, part string) bool {
	return strings.Contains(strings.Join(strings.Fields(text), " "), strings.Join(strings.Fields(part), " "))
}

// Help fits a terminal of 80 columns, except for examples.
func TestHelpFits(t *testing.T) {
	l := newLive(t, nil)
	for _, src := range []string{"calls, seen, opens = count(), table(), stream()", `p = probe("begin", lambda e: calls.add())`} {
		if _, err := l.ExecItem(t.Context(), src); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"calls", "seen", "opens", "p"}
	examples := map[string]bool{}
	for _, topic := range topics() {
		names = append(names, topic.Name)
		examples[topic.Example] = true
	}
	for _, p := range kinds.Providers() {
		names = append(names, p.Kind)
		examples[fmt.Sprintf("probe(%q, lambda e: hits.add(by=e.comm))", p.Example)] = true
	}
	text, err := l.help.On(starlark.None)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		one, err := l.help.OnName(name)
		if err != nil {
			t.Fatal(err)
		}
		text += one
	}
	for line := range strings.SplitSeq(text, "\n") {
		if cellwidth.Width(line) > 80 && !examples[strings.TrimSpace(line)] {
			t.Errorf("too wide: %s", line)
		}
	}
}

// The examples of the methods of script values run.
func TestMethodExamples(t *testing.T) {
	l := newLive(t, func(o *Options) { o.Interactive = true })
	run := func(src string) {
		t.Helper()
		if _, err := l.ExecItem(t.Context(), src); err != nil {
			t.Errorf("%s: %s", src, l.FormatError(err))
		}
	}
	run("calls, seen, opens = count(), table(), stream()")
	run("def h(e):\n    calls.add(by=e.comm)\n    seen.add(by=7)\n    opens.emit(pid=e.pid)\n")
	run(`p = probe(` + lseek + `, h)`)
	run(`make("newkeys", 20, 1)`)
	for _, topic := range topics() {
		switch topic.Of {
		case "aggregation", "table", "stream", "probe":
			if topic.Name == "pop" || topic.Name == "get" {
				run("seen[7] = 1")
			}
			run(topic.Example)
		}
	}
}

// The forms of the question, with the exact text.
func TestHelp(t *testing.T) {
	l := newLive(t, nil)
	for _, c := range []struct{ src, want string }{
		{`help("software")`, "software:EVENT or software:EVENT:N\n    A kernel counter, on every CPU: the handler runs at every Nth event\n    (nanoseconds for the clocks).\n    short: s\n\n" +
			"    hits = count()\n    probe(\"software:page-faults:100\", lambda e: hits.add(by=e.comm))\n"},
		{`help("tracepoint:syscalls:sys_enter_lseek")`, "tracepoint:syscalls:sys_enter_lseek\n    A static kernel event with typed arguments.\n\n    in a handler, e.args has:\n" +
			"        int __syscall_nr\n        unsigned int fd\n        off_t offset\n        unsigned int whence\n\n    hits = count()\n    probe(\"tracepoint:syscalls:sys_enter_lseek\", lambda e: hits.add(by=e.args.fd))\n"},
		{"calls = count()", ""},
		{"def f(e):\n    \"counts\"\n    calls.add()\n", ""},
		{"f?", "f, a script function, at In[4]:1:1\n    counts\n    pass it to probe() as a handler, or call it with event(...) to run it here\n"},
		{"calls.top?", "aggregation.top(n=10)\n    list of the n largest (key, value), the largest first\n\n    for k, v in calls.top(5): print(k, v)\n"},
		{"help(calls.top)", "aggregation.top(n=10)\n    list of the n largest (key, value), the largest first\n\n    for k, v in calls.top(5): print(k, v)\n"},
		{"stop?", "stop()\n    end run()\n\n    stop()\n\nstop() (in a handler)\n    end run()\n\n    stop()\n"},
		{`help("std")`, "std/\n    the standard library, modules for load(): std/block.star, std/calls.star,\n    std/clock.star, std/dicts.star, std/file.star, std/filter.star,\n    std/fsops.star, std/interval.star, std/names.star, std/net.star,\n    std/pagecache.star, std/pair.star, std/process.star, std/rates.star,\n    std/sched.star, std/specs.star, std/tools.star, std/units.star\n\n    help(\"std/names.star\")\n"},
		{"e.pid?", "e.pid\n    process id (the kernel's tgid) of the running process\n\n    hits.add(by=e.pid)\n"},
	} {
		before := l.out.String()
		if _, err := l.ExecItem(t.Context(), c.src); err != nil {
			t.Errorf("%s: %s", c.src, l.FormatError(err))
			continue
		}
		if got := strings.TrimPrefix(l.out.String(), before); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
	if _, err := l.ExecItem(t.Context(), `help("cuont")`); err == nil || err.Error() != `no help for "cuont"; did you mean help("count")?` {
		t.Errorf("got %v", err)
	}
}
