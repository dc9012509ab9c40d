package starlarkbind

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The candidates of Tab at the end of a line.
func TestCompletions(t *testing.T) {
	l := newLive(t, nil)
	dir, goprog := t.TempDir(), build(t, "goprog")
	for _, name := range []string{"one.svg", "two", "other/in", "lib.star"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, item := range []string{"def twice(n, times=2):\n    \"doubled\"\n    return n * times\n", "calls, seen = count(), table()", `p = probe("tracepoint:sched:sched_switch", lambda e: calls.add(by=e.args.next_comm))`} {
		if _, err := l.ExecItem(t.Context(), item); err != nil {
			t.Fatal(l.FormatError(err))
		}
	}
	for _, c := range []struct {
		line string
		want string // words that must be among the candidates
		not  string
	}{
		{"cal", "calls", "count"},
		{"calls.t", "top", "add"},
		{"x = seen.", "add clear get items keys pop snapshot values dropped name", "top"},
		{"calls.snapshot().", "", "keys"}, // no method is called
		{"p.st", "stats", "name"},
		{"def h(e): return e.", "pid comm args ret task kstack", "real_parent"},
		{`probe("tracepoint:syscalls:sys_enter_openat", lambda e: calls.add(by=e.args.`, "filename flags mode dfd", "next_comm"},
		{`probe("tracepoint:syscalls:sys_enter_openat", lambda ev: calls.add(by=ev.args.f`, "filename flags", "mode"},
		{"    calls.add(by=e.args.next", "next_comm next_pid next_prio", "prev_comm"}, // of the latest probe
		{`probe("rawtracepoint:sched_switch", lambda e: calls.add(by=e.args.`, "preempt prev next", "filename"},
		{`probe("rawtracepoint:sched_switch", lambda e: calls.add(by=e.args.prev.real_`, "real_parent real_cred", "comm"},
		{"calls.add(by=e.task.real_parent.com", "comm", "pid"},
		{"calls.add(by=e.task.se.vrun", "vruntime", ""},
		{"def h(e):\n    t = e.task.real_parent\n    n = t.com", "comm", "pid"},
		{"def h(e):\n    t = e.task\n    p = t.real_parent\n    n = p.com", "comm", "pid"},
		{"def h(e):\n    t = e.task\n    t = cast(e.args.ptr, \"struct sock\")\n    n = t.sk_", "sk_protocol", "comm"},
		{"def h(e):\n    t = t.task\n    n = t.com", "", "comm"},
		{"calls.add(by=e.task.nothing.", "", "comm"},
		{"probe(", "spec= handler= filter= name= missing=", "probe"},
		{`probe("begin", h, fil`, "filter=", "handler="},
		{`probe("begin", h, filter=lambda e: na`, "", "name="}, // inside an argument
		{`probe("begin", h, name="x", `, "filter= attach=", "name="},
		{"calls.add(1, ", "by=", "value="},
		{"twice(", "n= times=", ""},
		{"(calls.to", "top", ""},
		{`load("st`, "std/names.star", ""},
		{`load("` + dir + `/l`, dir + "/lib.star", dir + "/one.svg"},
		{`load("` + dir + `/lib.star", "f`, "", ""}, // outside the folder
		{`load("std/names.star", "signal_`, "signal_name", ""},
		{`load("std/names.star", s="signal_`, "signal_name", ""},
		{`probe(["begin", "tracepoint:sc`, "tracepoint:sched:", ""},
		{`flamegraph(calls, "` + dir + `/o`, dir + "/one.svg " + dir + "/other/", dir + "/two"},
		{`flamegraph(calls, title="` + dir + `/o`, "", dir + "/one.svg"},
		{`flamegraph(path="` + dir + `/t`, dir + "/two", dir + "/one.svg"},
		{`spawn(["` + dir + `/t`, dir + "/two", dir + "/one.svg"},
		{`probe("tr`, "tracepoint:", "kprobe:"},
		{`probe("uprobe:` + goprog + `:main.(*sh`, "uprobe:" + goprog + ":main.(*shape).area", "uprobe:" + goprog + ":main.deep"},
		{`probe(["begin", 'uprobe:` + goprog + `:main.(*`, "uprobe:" + goprog + ":main.(*shape).area", "uprobe:" + goprog + ":main.deep"},
		{`probe("tracepoint:sc`, "tracepoint:sched:", "tracepoint:sched:sched_switch"},
		{`probe("tracepoint:sched:sched_sw`, "tracepoint:sched:sched_switch", "tracepoint:sched:sched_wakeup"},
	} {
		start := time.Now()
		words, from := l.Completions(c.line, len(c.line))
		t.Logf("%s: %d in %v", c.line, len(words), time.Since(start))
		for _, w := range strings.Fields(c.want) {
			if !slices.Contains(words, w) {
				t.Errorf("%s: %s is not among %q", c.line, w, words)
			}
		}
		if c.not != "" && slices.Contains(words, c.not) || c.want == "" && len(words) > 0 {
			t.Errorf("%s: %q", c.line, words)
		}
		if !slices.IsSorted(words) {
			t.Errorf("%s: %q is not sorted", c.line, words)
		}
		for _, w := range words {
			if !strings.HasPrefix(w, c.line[from:]) {
				t.Errorf("%s: %s does not begin with %s", c.line, w, c.line[from:])
			}
		}
	}
}

// The text that a second Tab shows at the end of a line.
func TestSignature(t *testing.T) {
	l := newLive(t, nil)
	for _, item := range []string{"calls = count()", "def twice(n, *rest, times=2, **more):\n    \"\"\"doubled\n\n    or more\"\"\"\n    return n\n"} {
		if _, err := l.ExecItem(t.Context(), item); err != nil {
			t.Fatal(l.FormatError(err))
		}
	}
	for line, want := range map[string]string{
		"run(":                        "run(seconds=None)\nwait until the time is up, Ctrl-C, stop(), or the end of a process from spawn()",
		`calls.top(len([1, 2]), "a (`: "calls.top(n=10)\nlist of the n largest (key, value), the largest first",
		"print(calls.top":             "calls.top(n=10)\nlist of the n largest (key, value), the largest first",
		"twice(1, ":                   "twice(n, *rest, times=2, **more)\ndoubled",
		"f = lambda e: macaddr(":      "macaddr(addr)\na hardware address as text, from the first 6 bytes of a bytes value or of the memory a pointer points to",
		"nosuch(":                     "",
		"1 + 1":                       "",
		"run() # (":                   "",
	} {
		if got := l.Signature(line); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
