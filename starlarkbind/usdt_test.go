package starlarkbind

import (
	"strings"
	"testing"
)

// sdtC writes the notes of static probes as sys/sdt.h does, which need not be installed.
const sdtC = `
#include <stdlib.h>
#define NOTE(name, semaphore, spec, ...) __asm__ volatile( \
	"990: nop\n" \
	".pushsection .note.stapsdt,\"\",\"note\"\n.balign 4\n" \
	".4byte 992f-991f, 994f-993f, 3\n" \
	"991: .asciz \"stapsdt\"\n992: .balign 4\n" \
	"993: .8byte 990b\n.8byte _.stapsdt.base\n.8byte " semaphore "\n" \
	".asciz \"test\"\n.asciz \"" name "\"\n.asciz \"" spec "\"\n994: .balign 4\n.popsection\n" \
	".ifndef _.stapsdt.base\n.pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
	".weak _.stapsdt.base\n.hidden _.stapsdt.base\n_.stapsdt.base: .space 1\n.size _.stapsdt.base,1\n.popsection\n.endif\n" \
	:: __VA_ARGS__)
__attribute__((section(".probes"), used)) volatile unsigned short gate_semaphore;
int counter = 100;
signed char small[4] = {-1, -2, 3, 4};
char text[] = "text";
int prepared;

__attribute__((noinline)) void step(int i, long l, char *s) {
	struct { int x; signed char c; unsigned short u; } local = {i * 2, (signed char)-i, 65535};
	int four[4] = {i, i + 1, i + 2, i + 3};
	long index = i & 3;
	__asm__ volatile("" :: "m"(local), "m"(four));
	NOTE("regs", "0", "-4@%0 8@%1 8@%2 -4@%3", "r"(i), "r"(l), "r"(s), "i"(-5));
	NOTE("mem", "0", "-4@%0 -1@%1 2@%2", "m"(local.x), "m"(local.c), "m"(local.u));
#ifdef __x86_64__
	register long base __asm__("rbx") = (long)four;
	register long at __asm__("rcx") = index;
	NOTE("x86", "0", "-4@(%%rbx,%%rcx,4) -4@counter(%%rip) -1@small+1(%%rip) 1@%%ah 4@$7", "r"(base), "r"(at), "a"(0x1200L));
#endif
	NOTE("twice", "0", "-4@%0", "r"(i));
	NOTE("twice", "0", "-4@%0", "m"(local.x));
	NOTE("none", "0", "");
	NOTE("real", "0", "8f@%0 -4@%1", "r"(l), "r"(i));
	if (gate_semaphore) {
		prepared++; // what a program works out only for who looks
		NOTE("gate", "gate_semaphore", "-4@%0", "r"(prepared));
	}
}

int main(int argc, char **argv) {
	text[0] = 't'; // its page is in memory from here on
	for (int i = 0; i < atoi(argv[1]); i++) step(i, 1000 + i, text);
	return prepared & 127;
}
`

// Static probes with arguments in registers, in memory and in the code; with a semaphore; at several places.
func TestUSDT(t *testing.T) {
	for _, flags := range [][]string{{"-O1"}, {"-O0", "-no-pie"}} {
		prog := build(t, "prog.c", sdtC, flags...)
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

// What a handler cannot read of a static probe, and what is listed of it.
func TestUSDTArguments(t *testing.T) {
	prog := build(t, "prog.c", sdtC, "-O1")
	text, err := List("usdt:"+prog+":*:r*", true)
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
		`probe("usdt:/bin/true:x", lambda e: None)`:           `no probe "usdt:/bin/true:x": /bin/true has no static probes (USDT) (a program has them where it was built with them; probe its functions: uprobe:PATH:FUNCTION)`,
		`probe("usdt:PROG:regs", lambda e: c.add(by=e.func))`: `usdt:PROG:test:regs is not at a function: e.func is there in probes of functions`,
		`probe("usdt:PROG:regs", lambda e: c.add(e.ret))`:     `usdt:PROG:test:regs has no result: e.ret is there in probes of returns`,
	} {
		l := newLive(t, nil)
		err := l.script(strings.ReplaceAll("c = sum()\nr = attempt(lambda: "+src+")\nprint(r.error.message)", "PROG", prog))
		if err != nil {
			t.Fatal(l.FormatError(err))
		}
		if got := strings.TrimSpace(strings.ReplaceAll(l.out.String(), prog, "PROG")); got != want {
			t.Errorf("%s:\n got %s\nwant %s", src, got, want)
		}
	}
}
