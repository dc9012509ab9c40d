// The specs of uprobes are tested here, next to the reader of files, because the tests need no
// kernel, but a compiler and libraries.
package exe_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/exe"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/expect"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
	"github.com/bpfrepl/bpfrepl/internal/testkit/testprog"
)

func TestMain(m *testing.M) {
	os.Exit(leakcheck.Main(m, buildbin.Clean))
}

// probed builds the program in a directory of its own, where the test runs.
func probed(t *testing.T) {
	t.Helper()
	bin, err := testprog.Build("probed")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("prog", text, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestUprobeSpecErrors checks the errors for common mistakes in probes on functions of programs.
func TestUprobeSpecErrors(t *testing.T) {
	probed(t)
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
		{"uprobe:./prog:[x", `probe "uprobe:./prog:[x": bad pattern "[x" (a [ has no matching ])`},
		{"uprobe:./prog:strtol", `no probe "uprobe:./prog:strtol": ./prog calls "strtol", but it is in a library (did you mean "uprobe:` + libc[0] + `:strtol"?)`},
		{"uprobe:./stripped:compute_sum", `no probe "uprobe:./stripped:compute_sum": ./stripped is stripped: only functions that other files call keep their names, and "compute_sum" is not one of them (install its debug symbols, or give an address: uprobe:./stripped:0xADDRESS)`},
		{"uprobe:./prog:chosen", `probe "uprobe:./prog:chosen": chosen is chosen among several functions when a program starts (an IFUNC): a probe there would see the choice, not the calls (trace all candidates: uprobe:./prog:__chosen_*)`},
		{"uprobe:./prog:compute_sum+1000", `probe "uprobe:./prog:compute_sum+1000": compute_sum has only 4 bytes`},
		{"uprobe:./prog:steps+6", `probe "uprobe:./prog:steps+6": no instruction begins at steps+6: the nearest are at +5 and +8`},
		{"uprobe:./prog:vector", `probe "uprobe:./prog:vector": the kernel cannot put a probe on the instruction at vector+0 (c5 f9 6e c7), which it neither steps over nor emulates (write uprobe:./prog:vector+4, the next instruction)`},
		{"uprobe:./prog:locked", `probe "uprobe:./prog:locked": the kernel cannot put a probe on the instruction at locked+0 (f0 ff 07), which it neither steps over nor emulates (probe another address in the function)`},
		{"uretprobe:./prog:tail", `probe "uretprobe:./prog:tail": tail ends in a jump to compute_sum, which returns in its place (a tail call) (write uretprobe:./prog:compute_sum, which sees its other callers too; --unsafe uses the kernel's return probes, which crash a program that throws an exception through the function or switches stacks in it)`},
		{"uretprobe:./prog:pointed", `probe "uretprobe:./prog:pointed": pointed ends in a jump to a function that is not known before it runs, at +0, which returns in its place (a tail call) (--unsafe uses the kernel's return probes, which crash a program that throws an exception through the function or switches stacks in it)`},
		{"uretprobe:./prog:endless", `probe "uretprobe:./prog:endless": endless never returns: it has no return instruction`},
		{"uretprobe:./prog:tai*", `probe "uretprobe:./prog:tai*": tail ends in a jump to compute_sum, which returns in its place (a tail call) (write uretprobe:./prog:compute_sum, which sees its other callers too; --unsafe uses the kernel's return probes, which crash a program that throws an exception through the function or switches stacks in it)`},
		{"uprobe:./prog:0x10", `probe "uprobe:./prog:0x10": address 0x10 is not in the code of ./prog`},
		{"uretprobe:./prog:compute_sum+3", `probe "uretprobe:./prog:compute_sum+3": a return probe is on a whole function, not at an offset (write uretprobe:PATH:FUNCTION)`},
		{"uprobe:./prog", `probe "uprobe:./prog" has 2 parts (write uprobe:PATH:FUNCTION, uprobe:PATH:FUNCTION+OFFSET or uprobe:PATH:0xADDRESS)`},
		{"uprobe:./prog:", `probe "uprobe:./prog:" has an empty part (write uprobe:PATH:FUNCTION, uprobe:PATH:FUNCTION+OFFSET or uprobe:PATH:0xADDRESS)`},
		{"uprobe:./missing:main", `no probe "uprobe:./missing:main": no file ./missing (is the path right?)`},
		{"uprobe:./missing*:main", `no probe "uprobe:./missing*:main": no file matches "./missing*" (is the path right?)`},
		{"uprobe:no-such-program:main", `no probe "uprobe:no-such-program:main": no program "no-such-program" in $PATH, and no library of that name (give the path of its file)`},
		{"uprobe:./script:main", `probe "uprobe:./script:main": ./script: it is a script (trace its interpreter: python3)`},
		{"uprobe:./text:main", `probe "uprobe:./text:main": ./text: it is neither a program nor a library (not an ELF file)`},
		{"uprobe:/etc:main", `probe "uprobe:/etc:main": /etc: it is not a file but a directory`},
		{"uprobe:/dev/null:main", `probe "uprobe:/dev/null:main": /dev/null: it is not a file but a device`},
		{"uprobe:./bits32:main", `probe "uprobe:./bits32:main": ./bits32: it is a 32-bit program (bpfrepl traces functions of 64-bit programs only)`},
		{"uprobe:./mips:main", `probe "uprobe:./mips:main": ./mips: it is for another architecture (MIPS)`},
	} {
		_, err := kinds.Resolve(c.spec)
		if err == nil {
			t.Errorf("%q: no error", c.spec)
			continue
		}
		expect.Text(t, c.spec, err.Error(), c.want)
	}
	if _, err := kinds.Resolve("uprobe:./damaged:main"); err == nil || !strings.HasPrefix(err.Error(), `probe "uprobe:./damaged:main": ./damaged: its ELF headers are damaged: `) {
		t.Errorf("damaged: %v", err)
	}
}

// TestUprobeAddress checks that an address in a stripped program is verified with the unwind
// tables, and that an address inside an instruction is refused.
func TestUprobeAddress(t *testing.T) {
	probed(t)
	x, err := exe.Open("prog")
	if err != nil {
		t.Fatal(err)
	}
	funcs, _, err := x.Functions()
	if err := errors.Join(err, x.Close()); err != nil {
		t.Fatal(err)
	}
	addr := funcs[slices.IndexFunc(funcs, func(f exe.Symbol) bool { return f.Name == "compute_sum" })].Addr
	if out, err := exec.Command("strip", "prog").CombinedOutput(); err != nil {
		t.Fatalf("strip: %v\n%s", err, out)
	}
	hex := func(n uint64) string { return fmt.Sprintf("uprobe:./prog:%#x", n) }
	if ts, err := kinds.Resolve(hex(addr)); err != nil || len(ts) != 1 {
		t.Errorf("%v, %v", ts, err)
	}
	_, err = kinds.Resolve(hex(addr + 1))
	want := fmt.Sprintf("probe %q: no instruction begins at %#x: the nearest are at %#x and %#x", hex(addr+1), addr+1, addr, addr+3)
	if err == nil {
		t.Fatal("no error")
	}
	expect.Text(t, "inside an instruction", err.Error(), want)
}

// TestNoDescriptors checks that the error names the lack of descriptors, not the name, if no file
// can be opened.
func TestNoDescriptors(t *testing.T) {
	var limit, low unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low = limit
	low.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	_, err := kinds.Resolve("uprobe:libc:malloc")
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Fatal("no error")
	}
	expect.Text(t, "no descriptors", err.Error(), `probe "uprobe:libc:malloc": no file descriptors are left to look for "libc" (raise the limit (ulimit -n), or match fewer events)`)
}
