package starlarkbind

import (
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/starlarkbind/kernelinfo"
)

// USDT probes with arguments in registers, in memory and in the code; with a semaphore; at several
// places.
func TestUSDT(t *testing.T) {
	for _, name := range []string{"sdt", "sdt0"} {
		prog := build(t, name)
		expectOf(t, prog, `
regs, mem, twice, none, gate, real, x86 = sum(), count(), sum(), count(), max(), sum(), count()
more, ends = sum(), count()
probe("usdt:PROG:regs", lambda e: regs.add(e.args[0]))
probe("usdt:PROG:test:regs", lambda e: more.add(e.args[1]))
probe("U:PROG:test:regs", lambda e: ends.add(by=(str(e.args[2], 8), e.args[3])))
probe("usdt:PROG:mem", lambda e: mem.add(by=(e.args[0] // 2 + e.args[1], e.args[2])))
p = probe("usdt:PROG:twice", lambda e: twice.add(e.args[0], by=e.probe))
probe("usdt:PROG:n*e", lambda e: none.add(by=e.probe))
probe("usdt:PROG:real", lambda e: real.add(e.args[1]))
g = probe("usdt:PROG:gate", lambda e: gate.add(e.args[0]))
if kernel().arch == "amd64":
    probe("usdt:PROG:x86", lambda e: x86.add(by=(e.args[0] & 7, e.args[1], e.args[2], e.args[3], e.args[4])))
c = spawn(["PROG", "100"])
run(c)
print(c.exit_code, regs.value, more.value, ends.snapshot(), mem.snapshot(), twice.snapshot(), none.snapshot(), real.value, gate.value)
print("", sorted(x86.items()))
print(p.targets)
g.detach()
c = spawn(["PROG", "100"])
run(c)
print(c.exit_code, gate.value, twice["usdt:PROG:test:twice"], errors())
`, `100 4950 104950 {("text", -5): 100} {(0, 65535): 100} {"usdt:PROG:test:twice": 14850} {"usdt:PROG:test:none": 100} 4950 100`,
			` [((0, 100, -2, 18, 7), 25), ((2, 100, -2, 18, 7), 25), ((4, 100, -2, 18, 7), 25), ((6, 100, -2, 18, 7), 25)]`,
			`["usdt:PROG:test:twice"]`,
			`0 100 29700 []`)
	}
}

// The arguments of a USDT probe that a handler cannot read, and the listing of such a probe.
func TestUSDTArguments(t *testing.T) {
	prog := build(t, "sdt")
	text, err := kernelinfo.List("usdt:"+prog+":*:r*", true)
	if err != nil {
		t.Fatal(err)
	}
	want := "usdt:PROG:test:real\n    a floating-point number args[0]\n    s32 args[1]\nusdt:PROG:test:regs\n    s32 args[0]\n    u64 args[1]\n    u64 args[2]\n    s32 args[3]\n"
	if got := strings.ReplaceAll(text, prog, "PROG"); got != want {
		t.Errorf("listed\n%s\nwant\n%s", got, want)
	}
	for src, want := range map[string]string{
		`probe("usdt:PROG:real", lambda e: c.add(e.args[0]))`: "argument 0 of usdt:PROG:test:real cannot be read: it is a floating-point number",
		`probe("usdt:PROG:regs", lambda e: c.add(e.args[4]))`: "index out of range: usdt:PROG:test:regs has 4 arguments",
		`probe("usdt:PROG:none", lambda e: c.add(e.args[0]))`: "usdt:PROG:test:none has no arguments",
		`probe("usdt:PROG:reg", lambda e: None)`:              `no probe "usdt:PROG:reg": PROG has no static probe "reg" (did you mean "usdt:PROG:test:regs" or "usdt:PROG:test:real"?)`,
		`probe("usdt:PROG:tst:regs", lambda e: None)`:         `no probe "usdt:PROG:tst:regs": PROG has no static probe "regs" of the provider "tst" (did you mean "usdt:PROG:test:regs" or "usdt:PROG:test:real"?)`,
		`probe("usdt:PROG:nix*", lambda e: None)`:             `no probe "usdt:PROG:nix*": PROG has no static probe that matches (bpfrepl -l lists them)`,
		`probe("usdt:CALLS:x", lambda e: None)`:               `no probe "usdt:CALLS:x": CALLS has no static probes (USDT) (static probes have to be compiled into a program; probe its functions: uprobe:PATH:FUNCTION)`,
		`probe("usdt:PROG:regs", lambda e: c.add(by=e.func))`: `usdt:PROG:test:regs is not at a function: e.func exists in function probes only`,
		`probe("usdt:PROG:regs", lambda e: c.add(e.ret))`:     `usdt:PROG:test:regs has no return value: e.ret exists in return probes only`,
	} {
		l := newLive(t, nil)
		calls := build(t, "calls")
		err := l.script(strings.ReplaceAll(strings.ReplaceAll("c = sum()\nr = attempt(lambda: "+src+")\nprint(r.error.message)", "PROG", prog), "CALLS", calls))
		if err != nil {
			t.Fatal(l.FormatError(err))
		}
		if got := strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(l.out.String(), prog, "PROG"), calls, "CALLS")); got != want {
			t.Errorf("%s:\n got %s\nwant %s", src, got, want)
		}
	}
}
