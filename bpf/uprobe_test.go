package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// compileC builds a program for a test, in a folder that it runs in.
func compileC(t *testing.T, src string, flags ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("prog.c", []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", append(flags, "-o", "prog", "prog.c")...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
}

const probedC = `
#include <stdlib.h>
__attribute__((noinline)) int compute_sum(int a, int b) { __asm__ volatile(""); return a + b; }
__attribute__((noinline)) int compute_max(int a, int b) { __asm__ volatile(""); return a > b ? a : b; }
static int one(void) { return 1; }
static int two(void) { return 2; }
static int (*choose(void))(void) { return getenv("TWO") ? two : one; }
int chosen(void) __attribute__((ifunc("choose")));
int __chosen_fast(void) { return 3; }
#ifdef __x86_64__
__asm__(".globl steps\n.type steps,@function\nsteps: mov $1,%eax\nadd $2,%eax\nret\n.size steps,.-steps\n");
#endif
int main(int argc, char **argv) { return compute_sum(argc, 1) + compute_max(argc, 2) + chosen() + strtol(argv[0], 0, 10); }
`

// What users get wrong in a probe on a function of a program, and what they read then.
func TestUprobeSpecErrors(t *testing.T) {
	compileC(t, probedC, "-O1", "-no-pie")
	if out, err := exec.Command("strip", "-o", "stripped", "prog").CombinedOutput(); err != nil {
		t.Fatalf("strip: %v\n%s", err, out)
	}
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	elf, err := os.ReadFile("prog")
	if err != nil {
		t.Fatal(err)
	}
	write("script", []byte("#!/usr/bin/env python3\nprint(1)\n"))
	write("text", []byte("hello, this is no program\n"))
	bits32 := append([]byte{}, elf...)
	bits32[4] = 1
	write("bits32", bits32)
	mips := append([]byte{}, elf...)
	binary.LittleEndian.PutUint16(mips[18:], 8)
	write("mips", mips)
	write("damaged", elf[:40])
	libc, err := filepath.Glob("/lib/*/libc.so.6")
	if err != nil || len(libc) != 1 {
		t.Fatal(libc, err)
	}
	for _, c := range []struct{ spec, want string }{
		{"uprobe:./prog:compute_sun", `no probe "uprobe:./prog:compute_sun": ./prog has no function "compute_sun" (did you mean "uprobe:./prog:compute_sum" or "uprobe:./prog:compute_max"?)`},
		{"uprobe:./prog:nothing_like_it", `no probe "uprobe:./prog:nothing_like_it": ./prog has no function "nothing_like_it" (bpfrepl -l lists them)`},
		{"uretprobe:./prog:compute_sun", `no probe "uretprobe:./prog:compute_sun": ./prog has no function "compute_sun" (did you mean "uretprobe:./prog:compute_sum" or "uretprobe:./prog:compute_max"?)`},
		{"uprobe:./prog:nothing*", `no probe "uprobe:./prog:nothing*": no function of ./prog matches (bpfrepl -l lists them)`},
		{"uprobe:./prog:[x", `probe "uprobe:./prog:[x": bad pattern "[x" (a [ needs its ])`},
		{"uprobe:./prog:strtol", `no probe "uprobe:./prog:strtol": ./prog calls "strtol", but a library has it (did you mean "uprobe:` + libc[0] + `:strtol"?)`},
		{"uprobe:./stripped:compute_sum", `no probe "uprobe:./stripped:compute_sum": ./stripped is stripped: of its functions only those keep their names that other files call, and "compute_sum" is not among them (install its debug symbols, or give an address: uprobe:./stripped:0xADDRESS)`},
		{"uprobe:./prog:chosen", `probe "uprobe:./prog:chosen": chosen is chosen among several functions when a program starts (an IFUNC): a probe there would see the choice, not the calls (trace all that it may choose: uprobe:./prog:__chosen_*)`},
		{"uprobe:./prog:compute_sum+1000", `probe "uprobe:./prog:compute_sum+1000": compute_sum has 4 bytes only`},
		{"uprobe:./prog:steps+6", `probe "uprobe:./prog:steps+6": no instruction begins at steps+6: the nearest are at +5 and +8`},
		{"uprobe:./prog:0x10", `probe "uprobe:./prog:0x10": address 0x10 is not in the code of ./prog`},
		{"uretprobe:./prog:compute_sum+3", `probe "uretprobe:./prog:compute_sum+3": a return probe is on a whole function, not at an offset (write uretprobe:PATH:FUNCTION)`},
		{"uprobe:./prog", `probe "uprobe:./prog" has 2 parts (write uprobe:PATH:FUNCTION, uprobe:PATH:FUNCTION+OFFSET or uprobe:PATH:0xADDRESS)`},
		{"uprobe:./prog:", `probe "uprobe:./prog:" has an empty part (write uprobe:PATH:FUNCTION, uprobe:PATH:FUNCTION+OFFSET or uprobe:PATH:0xADDRESS)`},
		{"uprobe:./missing:main", `no probe "uprobe:./missing:main": there is no file ./missing (is the path right?)`},
		{"uprobe:./missing*:main", `no probe "uprobe:./missing*:main": no file matches "./missing*" (is the path right?)`},
		{"uprobe:no-such-program:main", `no probe "uprobe:no-such-program:main": no program "no-such-program" in $PATH, and no library of that name (give the path of its file)`},
		{"uprobe:./script:main", `probe "uprobe:./script:main": ./script: it is a script (trace its interpreter: python3)`},
		{"uprobe:./text:main", `probe "uprobe:./text:main": ./text: it is neither a program nor a library (not an ELF file)`},
		{"uprobe:/etc:main", `probe "uprobe:/etc:main": /etc: it is no file but a directory`},
		{"uprobe:/dev/null:main", `probe "uprobe:/dev/null:main": /dev/null: it is no file but a device`},
		{"uprobe:./bits32:main", `probe "uprobe:./bits32:main": ./bits32: it is a 32-bit program (bpfrepl traces functions of 64-bit programs only)`},
		{"uprobe:./mips:main", `probe "uprobe:./mips:main": ./mips: it is for another kind of machine (MIPS)`},
	} {
		_, err := Resolve(c.spec)
		if err == nil {
			t.Errorf("%q: no error", c.spec)
			continue
		}
		wantText(t, c.spec, err.Error(), c.want)
	}
	if _, err := Resolve("uprobe:./damaged:main"); err == nil || !strings.HasPrefix(err.Error(), `probe "uprobe:./damaged:main": ./damaged: its ELF headers are damaged: `) {
		t.Errorf("damaged: %v", err)
	}
}

// An address in a stripped program is checked by the tables for unwinding; one inside an instruction is refused.
func TestUprobeAddress(t *testing.T) {
	compileC(t, probedC, "-O1", "-no-pie")
	ts, err := Resolve("uprobe:./prog:compute_sum")
	if err != nil {
		t.Fatal(err)
	}
	off := ts[0].sites[0].offset
	addr := off + 0x400000 // where -no-pie programs lie
	if out, err := exec.Command("strip", "prog").CombinedOutput(); err != nil {
		t.Fatalf("strip: %v\n%s", err, out)
	}
	hex := func(n uint64) string { return fmt.Sprintf("uprobe:./prog:%#x", n) }
	ts, err = Resolve(hex(addr))
	if err != nil || len(ts) != 1 || ts[0].sites[0].offset != off {
		t.Errorf("%v, %v", ts, err)
	}
	_, err = Resolve(hex(addr + 1))
	want := fmt.Sprintf("probe %q: no instruction begins at %#x: the nearest are at %#x and %#x", hex(addr+1), addr+1, addr, addr+3)
	if err == nil {
		t.Fatal("no error")
	}
	wantText(t, "inside an instruction", err.Error(), want)
}

//go:noinline
func probedOne(n int) int {
	if n%2 == 0 {
		return n + 1
	}
	return n - 1
}

//go:noinline
func probedTwo(n int) int { return probedOne(n) * 2 }

// attachTo attaches to all targets, by a multi link or to each, as the program was loaded.
func attachTo(t *testing.T, c *counting, ts []Target, o AttachOptions) (detach func()) {
	t.Helper()
	var as []*Attachment
	add := func(a *Attachment, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		as = append(as, a)
	}
	if c.Multi() {
		add(AttachMulti(ts, nil, c.Program, o))
	} else {
		for _, x := range ts {
			add(Attach(x, c.Program, o))
		}
	}
	return func() {
		t.Helper()
		for _, a := range as {
			mustClose(t, a.Close)
		}
	}
}

// Functions of this very program: each call and each return counts once, by multi links where the kernel has them and by
// perf events; for all processes and for this one.
func TestUprobeCounts(t *testing.T) {
	k, err := Running()
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range []bool{false, true} {
		for _, pid := range []int{0, os.Getpid()} {
			for spec, want := range map[string]uint64{
				"uprobe:/proc/self/exe:*/bpf.probedOne":    2000,
				"uprobe:/proc/self/exe:*/bpf.probed*":      3000,
				"uretprobe:/proc/self/exe:*/bpf.probedOne": 2000,
				"uretprobe:/proc/self/exe:*/bpf.probed*":   3000,
			} {
				ts, err := Resolve(spec)
				if err != nil {
					t.Fatal(err)
				}
				c := countRunsOf(t, ProgramSpec{Type: ebpf.Kprobe, Targets: ts, PID: pid}, plain)
				if c.Multi() != (!plain && k.HaveUprobeMulti(pid != 0)) {
					t.Errorf("multi link: %v on %s", c.Multi(), k.Release)
				}
				detach := attachTo(t, c, ts, AttachOptions{PID: pid})
				sum := 0
				for i := range 1000 {
					sum += probedOne(i) + probedTwo(i)
				}
				detach()
				sum += probedTwo(sum)
				if n := c.runs(t); n != want || sum == 0 {
					t.Errorf("%s: %d runs, want %d (plain %v, process %d)", spec, n, want, plain, pid)
				}
			}
		}
	}
}

const gatedC = `
__attribute__((section(".probes"), used)) volatile unsigned short gate;
int main(void) {
	int n = 0;
	for (int i = 0; i < 100; i++)
		if (gate) {
			n++;
			__asm__ volatile("990: nop\n.pushsection .note.stapsdt,\"\",\"note\"\n.balign 4\n.4byte 992f-991f, 994f-993f, 3\n"
				"991: .asciz \"stapsdt\"\n992: .balign 4\n993: .8byte 990b\n.8byte 0\n.8byte gate\n"
				".asciz \"test\"\n.asciz \"gated\"\n.asciz \"\"\n994: .balign 4\n.popsection\n");
		}
	return n;
}
`

// The semaphore of a static probe is up while a program is attached, by both kinds of link.
func TestSemaphore(t *testing.T) {
	compileC(t, gatedC)
	run := func() int {
		cmd := exec.Command("./prog")
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode()
	}
	for _, plain := range []bool{false, true} {
		x := resolveOne(t, "usdt:./prog:gated")
		c := countRunsOf(t, ProgramSpec{Type: ebpf.Kprobe, Targets: []Target{x}}, plain)
		detach := attachTo(t, c, []Target{x}, AttachOptions{})
		if n := run(); n != 100 {
			t.Errorf("the program looked %d times, plain %v", n, plain)
		}
		detach()
		if n := run(); n != 0 || c.runs(t) != 100 {
			t.Errorf("the program looked %d times after the end; %d runs, plain %v", n, c.runs(t), plain)
		}
	}
}
