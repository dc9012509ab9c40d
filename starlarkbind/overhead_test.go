package starlarkbind

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// Of two probes, the one that takes too much CPU time is detached, with an error as a value, and in
// JSON; the other stays attached.
func TestMaxOverhead(t *testing.T) {
	bpftest.Need(t, "bpf_loop")
	for _, json := range []bool{false, true} {
		l := newLive(t, func(o *Options) { o.MaxOverhead, o.JSON, o.NoSummary = 1, json, true })
		if err := l.script(fmt.Sprintf(`
t, c = table(), count()
def slow(e):
    n = 0
    for i in range(20000):
        n += i * e.args.offset
    t[1] = n
dear = probe(%s, slow, filter=lambda e: e.comm == "load", name="dear")
cheap = probe("tracepoint:syscalls:sys_enter_getppid", lambda e: c.add(), filter=lambda e: e.comm == "load")
cmd = spawn(["%s", "cycle", "1000000000", "10"])
def look():
    if not dear.attached:
        stop()
every(0.05, look)
run(cmd)
make("getppid", 10)
print(to_json([dear.attached, cheap.attached, c.value]))
for e in errors():
    print(to_json([e.helper, e.code, e.errno, e.hint, e.probe, e.pos, e.source, e.map, e.count, e.first == e.last and e.first > 0, e == dear.errors()[0]]))
    print(to_json(e.message))
clear_errors()
print(to_json([errors(), cheap.errors()]))
`, lseek, loadBinary)); err != nil {
			t.Fatal(l.FormatError(err))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		// Mask what differs each time.
		plain := func(b *buffer) string {
			s := regexp.MustCompile(`took [0-9.]+%`).ReplaceAllString(b.String(), "took N%")
			return regexp.MustCompile(`"(first|last)":[0-9]+`).ReplaceAllString(s, `"$1":0`)
		}
		const hint = "filter earlier, attach to fewer events, or allow more"
		const message = "dear took N% of all CPU time and was detached: --max-overhead=1"
		want := `[false,true,10]
["max_overhead",-122,"EDQUOT","` + hint + `","dear","test.star:3:1","def slow(e):",null,1,true,true]
"` + message + `"
[[],[]]
`
		warning := "WARNING: test.star:3:1: " + message + " (max_overhead: EDQUOT)\n    def slow(e):\n    ^\n    hint: " + hint + "\n"
		if json {
			warning = `{"type":"helper_error","helper":"max_overhead","code":-122,"errno":"EDQUOT","message":"` + message + `","hint":"` + hint +
				`","probe":"dear","pos":"test.star:3:1","source":"def slow(e):","map":null,"count":1,"first":0,"last":0,"total":false}` + "\n"
			if got := plain(l.out); strings.Count(got, warning) != 1 {
				t.Errorf("printed\n%s\nwant among it\n%s", got, warning)
			}
			continue
		}
		if got := plain(l.out); got != want {
			t.Errorf("printed\n%s\nwant\n%s", got, want)
		}
		if got := plain(l.err); got != warning {
			t.Errorf("warned\n%s\nwant\n%s", got, warning)
		}
	}
}
