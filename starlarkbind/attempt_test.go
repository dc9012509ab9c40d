package starlarkbind

import (
	"regexp"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
)

// attempt() returns each kind of failure as a value; check every field.
func TestAttempt(t *testing.T) {
	attachRefused, attachHint := "all watchpoints of the processor are in use", "detach another, or end the debugger that holds them"
	if kinds.Watchpoints() != nil {
		attachRefused, attachHint = "this machine accepts watchpoints, but they never fire, as in some virtual machines", "a uprobe or kprobe on the code that makes the access may be enough"
	}
	for _, c := range []struct{ name, src, want string }{
		{"compile", `
calls = count()
def handler(e):
    calls.add(by=e.coom)
    calls.add(by=e.pid / 2)
show(lambda: probe("begin", handler))
`, `kind: compile
message: an event has no field coom
hint: did you mean "comm"?
pos: test.star:4:20
source: calls.add(by=e.coom)
log: 0 lines
test.star:4:20: an event has no field coom [did you mean "comm"?] calls.add(by=e.coom)
test.star:5:24: a handler has no floats, so / is not supported [write // for the quotient without a fraction] calls.add(by=e.pid / 2)
`},
		{"verifier", `
show(wrong)
`, `kind: verifier
message: R3 !read_ok
hint: this is a bug in bpfrepl's compiler: please report it, with the output of --verbose
pos: x.star:2:5
source: bad()
log: some lines
`},
		{"probe", `
show(lambda: probe("tracepoint:sched:sched_swich", lambda e: None))
`, `kind: probe
message: no probe "tracepoint:sched:sched_swich": the subsystem "sched" has no event "sched_swich" (did you mean "tracepoint:sched:sched_switch"?)
hint: did you mean "tracepoint:sched:sched_switch"?
pos: test.star:2:19
source: show(lambda: probe("tracepoint:sched:sched_swich", lambda e: None))
log: 0 lines
`},
		{"attach", `
def many():
    for i in range(1, 10):
        probe("watchpoint:0x%d000:8:w" % i, lambda e: None)
show(many)
`, `kind: attach
message: attach to watchpoint:0xN000:8:w: ` + attachRefused + `
hint: ` + attachHint + `
pos: test.star:4:14
source: probe("watchpoint:0x%d000:8:w" % i, lambda e: None)
log: 0 lines
`},
		{"map", `
big = table(max_keys=1<<30)
def put():
    big["x" * 100] = "y" * 400
show(put)
`, `kind: map
message: create map "big": 1073741824 keys of 104 bytes with values of 408 bytes need 589824 MiB, and this machine can spare N MiB
hint: write max_keys=N
pos: test.star:4:8
source: big["x" * 100] = "y" * 400
log: 0 lines
`},
		{"error", `
show(lambda: {}["a"])
`, `kind: error
message: key "a" not in dict
hint: 
pos: test.star:2:16
source: show(lambda: {}["a"])
log: 0 lines
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLive(t, nil)
			l.names.Predeclared["wrong"] = starlark.NewBuiltin("wrong", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
				_, err := bpf.NewProgram(bpf.ProgramSpec{Name: "wrong", Type: ebpf.RawTracepoint, Instructions: asm.Instructions{
					asm.Mov.Imm(asm.R0, 0).WithSource(asm.Comment("x.star:1:1: def handler(e):")).WithSymbol("handler"),
					asm.LoadMem(asm.R2, asm.R3, 0, asm.DWord).WithSource(asm.Comment("x.star:2:5: bad()")), asm.Return()}})
				return nil, scriptError(err)
			})
			if err := l.script(strings.Replace(c.src, "\n", `def show(f): r = attempt(f); e = r.error; printf("ok: %s %s\nkind: %s\nmessage: %s\nhint: %s\npos: %s\nsource: %s\nlog: %s lines\n", r.ok, r.value, e.kind, e.message, e.hint, e.pos, e.source, "some" if e.log else "0"); [printf("%s: %s [%s] %s\n", d.pos, d.message, d.hint, d.source) for d in e.diagnostics]`+"\n", 1)); err != nil {
				t.Fatal(l.FormatError(err))
			}
			// The counts depend on memory, and other processes may hold some of the processor's
			// watchpoints.
			got := regexp.MustCompile(`0x[1-9]000:8`).ReplaceAllString(l.out.String(), "0xN000:8")
			got = regexp.MustCompile(`(spare |write max_keys=)[0-9]+`).ReplaceAllString(got, "${1}N")
			if want := "ok: False None\n" + c.want; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if c.name != "attach" && len(l.reg.probes) > 0 {
				t.Errorf("%d probes are there", len(l.reg.probes))
			}
		})
	}
}
