package starlarkbind

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// build compiles a program for a test with gcc, g++ or go, by the end of its name, and gives its path.
func build(t *testing.T, name, src string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "prog")
	argv := map[string][]string{".c": {"gcc"}, ".cc": {"g++"}, ".go": {"go", "build"}}[filepath.Ext(name)]
	argv = append(append(argv, flags...), "-o", bin, file)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
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

const callsC = `
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define KEEP __attribute__((noinline))
KEEP long six(long a, int b, long c, long d, long e, const char *f) { __asm__ volatile(""); return a + b + c + d + e + f[0]; }
static char hello[] = "hello";
KEEP int call_a(int a) { __asm__ volatile(""); return -a; }
KEEP int call_b(int a) { __asm__ volatile(""); return a * 2; }
KEEP long eight(long a, long b, long c, long d, long e, long f, long g, long h, long i, long j) { __asm__ volatile(""); return a + h + j; }
KEEP static int unused_alias(int a) { __asm__ volatile(""); return a; }
int other_name(int a) __attribute__((alias("unused_alias")));
#ifdef __x86_64__ // mov is 5 bytes, add 3
__asm__(".globl steps\n.type steps,@function\nsteps: mov $1,%eax\nadd $2,%eax\nret\n.size steps,.-steps\n");
#else
__asm__(".globl steps\n.type steps,%function\nsteps: mov w0,#1\nadd w0,w0,#2\nret\n.size steps,.-steps\n");
#endif
int steps(void);
int main(int argc, char **argv) {
	int n = atoi(argv[1]);
	volatile long s = 0;
	hello[0] = 'h'; // its page is in memory from here on
	for (int i = 0; i < n; i++) {
		s += six(i, -1, 3, 4, 5, hello);
		s += call_a(i);
		if (i % 2) s += call_b(i);
		s += unused_alias(i) + steps() + eight(1, 2, 3, 4, 5, 6, 7, i, 9, 10);
	}
	return 0;
}
`

// Calls and returns of C functions, with what they are given and what they give.
func TestUprobe(t *testing.T) {
	prog := build(t, "calls.c", callsC, "-O1")
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
	prog := build(t, "calls.c", callsC, "-O1")
	expectOf(t, prog, `
by = count()
p = probe(["uprobe:PROG:call_*", "uprobe:PROG:*_[an]*"], lambda e: by.add(by=e.func))
q = probe("uretprobe:PROG:call_*", lambda e: by.add(by=e.probe))
run(spawn(["PROG", "1000"]))
show = lambda: print(", ".join(["%s %d" % kv for kv in sorted(by.items()) if not kv[0].startswith("_")]))
show()
p.detach()
run(spawn(["PROG", "10"]))
show()
`, `call_a 1000, call_b 500, other_name 1000, uretprobe:PROG:call_a 1000, uretprobe:PROG:call_b 500`,
		`call_a 1000, call_b 500, other_name 1000, uretprobe:PROG:call_a 1010, uretprobe:PROG:call_b 505`)
}

const goProgram = `
package main

import (
	"os"
	"runtime"
	"strconv"
	"sync"
)

//go:noinline
func deep(n int, pad [64]byte) int {
	if n == 0 {
		return 7
	}
	pad[n%64]++
	return deep(n-1, pad) + int(pad[n%64]) - int(pad[n%64])
}

type shape struct{ w, h int }

//go:noinline
func (s *shape) area(scale int, name string) int {
	if s.w < 0 {
		return -1
	}
	return s.w * s.h * scale + len(name)
}

func main() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	for g := 0; g < 20; g++ {
		wg.Go(func() {
			for i := 0; i < n; i++ {
				if deep(200, [64]byte{}) != 7 { // on a small new stack at first, which grows again and again
					panic("deep")
				}
				if (&shape{i, 2}).area(3, "name") != i*6+4 {
					panic("area")
				}
			}
			runtime.GC()
		})
	}
	wg.Wait()
}
`

// A Go program: its stacks move and grow while its functions are traced, and each call and return counts once.
func TestUprobeGo(t *testing.T) {
	for _, flags := range [][]string{nil, {"-ldflags=-s -w"}} {
		prog := build(t, "prog.go", goProgram, flags...)
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

const callsCC = `
namespace ns {
struct Widget {
	__attribute__((noinline)) int draw(int a) { __asm__ volatile(""); return a; }
	__attribute__((noinline)) int draw(const char *s, int n) { __asm__ volatile(""); return n + s[0]; }
	__attribute__((noinline)) int operator[](int a) { __asm__ volatile(""); return a + 1; }
};
}
int main() {
	ns::Widget w;
	volatile int s = 0;
	for (int i = 0; i < 300; i++) { s += w.draw(i); if (i % 3 == 0) s += w.draw("x", i); s += w[i]; }
	return 0;
}
`

// C++: functions are named as in the source, with or without parameters.
func TestUprobeCXX(t *testing.T) {
	prog := build(t, "prog.cc", callsCC, "-O1")
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
