package starlarkbind

import (
	"strings"
	"testing"
)

// first= and missing= skip targets that cannot be traced, like those that do not exist.
func TestFirstAndMissing(t *testing.T) {
	prog := build(t, "unwind") // tail(int) ends in a jump, so its returns cannot be traced
	const tail = `probe "uretprobe:PROG:tail": tail(int) ends in a jump to leaf(int), which returns in its place (a tail call) ` +
		`(write uretprobe:PROG:leaf(int), which sees its other callers too; --unsafe uses the kernel's return probes, which crash a program that throws an exception through the function or switches stacks in it)`
	for _, c := range []struct{ call, want, warnings string }{
		{`["uretprobe:PROG:tail", "tracepoint:sched:no_such", "begin"], h, first=True`, `["begin"]`, ""},
		{`["uretprobe:PROG:tail", "uprobe:PROG:leaf(int)"], h, missing="ignore"`, `["uprobe:PROG:leaf(int)"]`, ""},
		{`["uretprobe:PROG:tail", "uprobe:PROG:leaf(int)"], h, missing="warn"`, `["uprobe:PROG:leaf(int)"]`, "WARNING: " + tail + "\n"},
		{`["uretprobe:PROG:tail", "uprobe:PROG:leaf"], h`, "error: " + tail, ""},
		{`["uretprobe:PROG:tail", "begin:x"], h, first=True`, `error: probe "begin:x" has 2 parts (write begin)`, ""},
		{`["uretprobe:PROG:tail", "tracepoint:sched:no_such"], h, first=True`,
			`error: no probe "uretprobe:PROG:tail, tracepoint:sched:no_such": this kernel has none of these that can be traced: ` + tail + " (name another)", ""},
		{`["tracepoint:sched:no_such", "kprobe:no_such"], h, first=True`,
			`error: no probe "tracepoint:sched:no_such, kprobe:no_such": this kernel has none of these (bpfrepl -l lists them)`, ""},
		{`"uretprobe:PROG:_Z4*i", h, missing="ignore"`, `["uretprobe:PROG:leaf(int)"]`, ""},
		{`"uretprobe:PROG:tai*", h, missing="ignore"`, "[]",
			`NOTE: probe("uretprobe:PROG:tai*") matched nothing (missing="ignore"): its handler never runs`},
		{`["uretprobe:PROG:tai*", "begin"], h, first=True`, `["begin"]`, ""},
	} {
		l := newLive(t, func(o *Options) { o.NoSummary = true })
		if err := l.script(strings.ReplaceAll(`
n = count()
def h(e):
    n.add()

r = attempt(lambda: probe(`+c.call+`))
print(r.value.targets if r.ok else "error: " + r.error.message)
r.value and r.value.detach()
`, "PROG", prog)); err != nil {
			t.Fatal(l.FormatError(err))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		shown := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, prog, "PROG")) }
		if got := shown(l.out.String()); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.call, got, c.want)
		}
		if got := shown(l.err.String()); got != strings.TrimSpace(c.warnings) {
			t.Errorf("%s: warnings:\ngot  %s\nwant %s", c.call, got, c.warnings)
		}
	}
}
