package starlarkbind

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/testprog"
)

// build returns the path of a test program.
func build(t *testing.T, name string) string {
	t.Helper()
	bin, err := testprog.Build(name)
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// expectOf is like expect, for a script in which PROG stands for a program.
func expectOf(t *testing.T, prog, src string, lines ...string) {
	t.Helper()
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], "PROG", prog)
	}
	expect(t, strings.ReplaceAll(src, "PROG", prog), lines...)
}

// Calls and returns of C functions, with arguments and results.
func TestUprobe(t *testing.T) {
	prog := build(t, "calls")
	second := map[string]int{"amd64": 5, "arm64": 4}[runtime.GOARCH] // the second instruction of steps
	expectOf(t, prog, fmt.Sprintf(`
first, second, strings, results, inside, odd = sum(), count(), count(), sum(), count(), count()
probe("uprobe:PROG:six", lambda e: first.add(e.args[0]))
probe("u:PROG:six", lambda e: second.add(by=(e.args[1] & 0xffffffff, e.args[2], e.args[3], e.args[4])))
probe("uprobe:PROG:six", lambda e: strings.add(by=(str(e.args[5], 16), e.probe, e.func)))
probe("uretprobe:PROG:six", lambda e: results.add(e.ret))
probe("uretprobe:PROG:call_b", lambda e: odd.add(by=(e.ret %% 4, e.probe, e.func)))
many = sum()
probe("uprobe:PROG:eight", lambda e: many.add(e.args[7], by=(e.args[6], e.args[8], e.args[9])))
probe("uprobe:PROG:steps+%d", lambda e: inside.add(by=(e.probe, e.func)))
p = spawn(["PROG", "1000"])
run(p)
print(first.value, second.snapshot(), strings.snapshot(), results.value, odd.snapshot(), inside.snapshot(), many.snapshot())
print(attempt(lambda: probe("uprobe:PROG:six", lambda e: many.add(e.args[14]))).error.message)
print(attempt(lambda: probe("uretprobe:PROG:six", lambda e: many.add(e.args[0]))).error.message)
`, second), fmt.Sprintf(`499500 {(4294967295, 3, 4, 5): 1000} {("hello", "uprobe:PROG:six", "six"): 1000} 614500 {(2, "uretprobe:PROG:call_b", "call_b"): 500} {("uprobe:PROG:steps+%d", "steps"): 1000} {(7, 9, 10): 499500}`, second),
		fmt.Sprintf(`index out of range: uprobe:PROG:six has %d arguments`, map[string]int{"amd64": 12, "arm64": 14}[runtime.GOARCH]),
		`uretprobe:PROG:six: the arguments are gone when a function returns; save them in a table by e.tid in a uprobe`)
}

// A wildcard takes one link and one program. An address has one name, so each call counts once.
func TestUprobeWildcard(t *testing.T) {
	prog := build(t, "calls")
	expectOf(t, prog, `
by = count()
p = probe(["uprobe:PROG:call_[ab]", "uprobe:PROG:?all_[ab]", "uprobe:PROG:*r_name"], lambda e: by.add(by=e.func))
q = probe("uretprobe:PROG:call_[ab]", lambda e: by.add(by=e.probe))
run(spawn(["PROG", "1000"]))
show = lambda: print(", ".join(["%s %d" % kv for kv in sorted(by.items()) if not kv[0].startswith("_")]))
show()
p.detach()
run(spawn(["PROG", "10"]))
show()
`, `call_a 1000, call_b 500, other_name 1000, uretprobe:PROG:call_a 1000, uretprobe:PROG:call_b 500`,
		`call_a 1000, call_b 500, other_name 1000, uretprobe:PROG:call_a 1010, uretprobe:PROG:call_b 505`)
}

// A Go program: its stacks move and grow while its functions are traced. Each call and return
// counts once.
func TestUprobeGo(t *testing.T) {
	for _, name := range []string{"goprog", "gostripped"} {
		prog := build(t, name)
		expectOf(t, prog, `
calls, returns, scale, area = count(), count(), count(), count()
probe("uprobe:PROG:main.deep", lambda e: calls.add())
probe("uretprobe:PROG:main.deep", lambda e: returns.add(by=e.ret))
probe("uprobe:PROG:main.(*shape).area", lambda e: scale.add(by=(e.func, e.args[1], str(e.args[2], 8).startswith("name"), e.args[3])))
probe("uretprobe:PROG:main.(*shape).area", lambda e: area.add(e.ret))
p = spawn(["PROG", "5"])
run(p)
print(p.exit_code, calls.value, returns.snapshot(), scale.snapshot(), area.value)
`, fmt.Sprintf(`0 %d {7: %d} {("main.(*shape).area", 3, True, 4): 100} 1600`, 20*5*201, 20*5*201))
	}
}

// C++ functions are named as in the source, with or without parameters.
func TestUprobeCXX(t *testing.T) {
	prog := build(t, "widget")
	expectOf(t, prog, `
by, one, wild, op = count(), count(), count(), count()
p = probe("uprobe:PROG:ns::Widget::draw", lambda e: by.add(by=e.func))
probe("uprobe:PROG:ns::Widget::draw(char const*, int)", lambda e: one.add(by=e.func))
probe("uprobe:PROG:ns::*::draw*", lambda e: wild.add())
probe("uprobe:PROG:ns::Widget::operator[](int)", lambda e: op.add(by=e.args[1] % 2))
run(spawn(["PROG"]))
print(sorted(by.items()), one.snapshot(), wild.value, sorted(op.items()), len(p.targets))
print([x.name for x in probes("uprobe:PROG:ns::*")])
`, `[("ns::Widget::draw(char const*, int)", 100), ("ns::Widget::draw(int)", 300)] {"ns::Widget::draw(char const*, int)": 100} 400 [(0, 150), (1, 150)] 2`,
		`["uprobe:PROG:ns::Widget::draw(char const*, int)", "uprobe:PROG:ns::Widget::draw(int)", "uprobe:PROG:ns::Widget::operator[](int)"]`)
}

// Returns are traced while exceptions, Rust panics, longjmp and stack switches pass through the
// functions. The program behaves as it does untraced, and checks that itself. The kernel's own
// return probes would end it.
func TestReturnsUnharmed(t *testing.T) {
	for _, c := range []struct{ prog, functions, want string }{
		{"unwind", `["leaf(int)", "middle(int)", "outer(int)", "choose(int)"]`,
			"0\nchoose(int) 200, leaf(int) 725, middle(int) 400, outer(int) 300\nchoose(int) 200, leaf(int) 625, middle(int) 300, outer(int) 300"},
		{"panics", `["leaf", "middle", "outer"]`, "0\nleaf 300, middle 300, outer 300\nleaf 200, middle 200, outer 300"},
		{"jumps", `["leave", "across", "yield", "step"]`,
			"0\nacross 300, leave 300, step 600, yield 1200\nacross 150, leave 150, step 600, yield 1200"},
	} {
		expectOf(t, build(t, c.prog), `
calls, returns = count(), count()
names = `+c.functions+`
probe(["uprobe:PROG:" + f for f in names], lambda e: calls.add(by=e.func))
probe(["uretprobe:PROG:" + f for f in names], lambda e: returns.add(by=e.func))
p = spawn(["PROG", "300"])
run(p)
print(p.exit_code)
for m in (calls, returns):
    print(", ".join(["%s %d" % kv for kv in sorted(m.items())]))
`, c.want)
	}
}

// With --unsafe the kernel's return probes are used for a function that ends in a jump to another.
// Otherwise a pattern skips the function.
func TestTailCalls(t *testing.T) {
	prog := build(t, "unwind")
	for _, c := range []struct {
		change         func(*Options)
		want, warnings string
	}{
		{nil, "[\"uretprobe:PROG:leaf(int)\"]\nleaf(int) 625\n",
			"WARNING: 1 of 2 targets are left out: attach to uretprobe:PROG:tail(int): tail(int) ends in a jump to leaf(int), which returns in its place (a tail call); " +
				"write uretprobe:PROG:leaf(int), which sees its other callers too; --unsafe uses the kernel's return probes, which crash a program that throws an exception through the function or switches stacks in it\n"},
		{allowUnsafe, "[\"uretprobe:PROG:leaf(int)\", \"uretprobe:PROG:tail(int)\"]\nleaf(int) 625, tail(int) 200\n", ""},
	} {
		l := newLive(t, c.change)
		if err := l.script(strings.ReplaceAll(`
n = count()
p = probe("uretprobe:PROG:_Z4*i", lambda e: n.add(by=e.func))
print([x for x in p.targets])
run(spawn(["PROG", "300"]))
print(", ".join(["%s %d" % kv for kv in sorted(n.items())]))
`, "PROG", prog)); err != nil {
			t.Fatal(l.FormatError(err))
		}
		if got, want := l.out.String(), strings.ReplaceAll(c.want, "PROG", prog); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if got, want := l.err.String(), strings.ReplaceAll(c.warnings, "PROG", prog); got != want {
			t.Errorf("warnings\n%s\nwant\n%s", got, want)
		}
	}
}

// A goroutine keeps its number while it moves between threads: each return finds what its call has
// stored under it. The number is also known in stripped programs.
func TestGoroutine(t *testing.T) {
	for _, name := range []string{"goprog", "gostripped"} {
		expectOf(t, build(t, name), `
calls, open, wrong = count(), table(), count()
def enter(e):
    calls.add(by=e.goid)
    open[e.goid] = e.args[0]
def leave(e):
    if open.pop(e.goid, 99) != e.ret:
        wrong.add()
probe("uprobe:PROG:main.across", enter)
probe("uretprobe:PROG:main.across", leave)
p = spawn(["PROG", "50"])
run(p)
print(p.exit_code, len(calls), sorted({n: None for n in calls.values()}), wrong.value, len(open), min(calls.keys()) > 0)
`, `0 20 [50] 0 0 True`)
	}
	expectOf(t, build(t, "calls"), `
print(attempt(lambda: probe("uprobe:PROG:six", lambda e: print(e.goid))).error.message)
`, "uprobe:PROG:six is not at a function of a Go program: e.goid exists only in those")
}
