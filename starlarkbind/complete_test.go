package starlarkbind

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// What Tab offers, at the end of a line.
func TestCompletions(t *testing.T) {
	l := newLive(t, nil)
	for _, item := range []string{"calls, seen = count(), table()", `p = probe("tracepoint:sched:sched_switch", lambda e: calls.add(by=e.args.next_comm))`} {
		if _, err := l.ExecItem(t.Context(), item); err != nil {
			t.Fatal(l.FormatError(err))
		}
	}
	for _, c := range []struct {
		line string
		want string // words that are among those offered
		not  string
	}{
		{"cal", "calls", "count"},
		{"calls.t", "top", "add"},
		{"x = seen.", "add clear get items keys pop snapshot values dropped name", "top"},
		{"calls.snapshot().", "", "keys"}, // nothing is called
		{"p.st", "stats", "name"},
		{"def h(e): return e.", "pid comm args ret task kstack", "real_parent"},
		{`probe("tracepoint:syscalls:sys_enter_openat", lambda e: calls.add(by=e.args.`, "filename flags mode dfd", "next_comm"},
		{`probe("tracepoint:syscalls:sys_enter_openat", lambda ev: calls.add(by=ev.args.f`, "filename flags", "mode"},
		{"    calls.add(by=e.args.next", "next_comm next_pid next_prio", "prev_comm"}, // of the probe that was made last
		{`probe("rawtracepoint:sched_switch", lambda e: calls.add(by=e.args.`, "preempt prev next", "filename"},
		{`probe("rawtracepoint:sched_switch", lambda e: calls.add(by=e.args.prev.real_`, "real_parent real_cred", "comm"},
		{"calls.add(by=e.task.real_parent.com", "comm", "pid"},
		{"calls.add(by=e.task.se.vrun", "vruntime", ""},
		{"calls.add(by=e.task.nothing.", "", "comm"},
		{`probe("tr`, "tracepoint:", "kprobe:"},
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
		for _, w := range words {
			if !strings.HasPrefix(w, c.line[from:]) {
				t.Errorf("%s: %s does not begin with %s", c.line, w, c.line[from:])
			}
		}
	}
}
