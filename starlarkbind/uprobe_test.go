package starlarkbind

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testprog"
)

// build gives the path of a test program.
func build(t *testing.T, name string) string {
	t.Helper()
	bin, err := testprog.Build(name)
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// expectOf is expect for a script that says PROG where it means a program.
func expectOf(t *testing.T, prog, src string, lines ...string) {
	t.Helper()
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], "PROG", prog)
	}
	expect(t, strings.ReplaceAll(src, "PROG", prog), lines...)
}

// Calls and returns of C functions, with what they are given and what they give.
func TestUprobe(t *testing.T) {
	prog := build(t, "calls")
	second := map[string]int{"amd64": 5, "arm64": 4}[runtime.GOARCH] // steps's second instruction
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
		`uretprobe:PROG:six: the arguments are gone when a function returns; keep them in a table by e.tid in a uprobe`)
}

// A wildcard takes one link and one program; an address has one name, so that each call counts once.
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

// A Go program: its stacks move and grow while its functions are traced, and each call and return counts once.
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

// C++: functions are named as in the source, with or without parameters.
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
