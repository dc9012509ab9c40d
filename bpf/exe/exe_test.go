package exe

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/testprog"
)

func open(t *testing.T, path string) *File {
	t.Helper()
	x, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

var disassembled = regexp.MustCompile(`^ +([0-9a-f]+):\t([0-9a-f ]+)\t(\S+)?(.*)$`)

// TestLengths compares instruction lengths with those of objdump, in a large library with much
// hand-written and vector code.
func TestLengths(t *testing.T) {
	libs := []string{library("libc.so.6"), library("libm.so.6"), library("libstdc++"), "/proc/self/exe"}
	total := 0
	for _, lib := range libs {
		if lib == "" {
			continue
		}
		cmd := exec.Command("objdump", "-d", "-w", "-z", lib)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		x := open(t, lib)
		wrong := 0
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			m := disassembled.FindStringSubmatch(lines.Text())
			// 9b is fwait, an instruction of its own.
			if m == nil || strings.Contains(m[3]+m[4], "(bad)") || strings.HasPrefix(m[3], ".") || strings.HasPrefix(m[2], "9b d") {
				continue
			}
			var code []byte
			for _, h := range strings.Fields(m[2]) {
				b, err := strconv.ParseUint(h, 16, 8)
				if err != nil {
					t.Fatal(err)
				}
				code = append(code, byte(b))
			}
			total++
			got := insnLen(x.Arch(), append(code[:len(code):len(code)], make([]byte, 16)...))
			if got != len(code) {
				if wrong++; wrong < 10 {
					t.Errorf("%s: %s: length %d", lib, lines.Text(), got)
				}
			}
			if ret := strings.Contains(" "+m[3]+m[4]+" ", " ret "); got > 0 && ret != returns(x.Arch(), code[:min(got, len(code))]) {
				t.Errorf("%s: %s: return %v", lib, lines.Text(), !ret)
			}
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if total < 100_000 {
		t.Errorf("only %d instructions were compared", total)
	}
}

func returns(arch string, insn []byte) bool {
	k, _ := branch(arch, insn, 0)
	return k == isReturn
}

// TestFind checks that short names are found as the shell and the loader find them.
func TestFind(t *testing.T) {
	ls, err := exec.LookPath("ls")
	if err != nil {
		t.Fatal(err)
	}
	libc, err := filepath.Glob("/lib/*/libc.so.6")
	if err != nil || len(libc) != 1 {
		t.Fatal(libc, err)
	}
	for name, want := range map[string]string{"ls": ls, "libc.so.6": libc[0], "libc": libc[0], "c": libc[0], "./x": "./x", "no-such-thing": "", "libnosuch.so.1": ""} {
		if got := strings.Join(Find(name), " "); got != want {
			t.Errorf("%s: found %q, want %q", name, got, want)
		}
	}
	if got := Find("/lib/*/libc.so.[0-9]"); !slices.Contains(got, libc[0]) {
		t.Errorf("wildcard: %v", got)
	}
}

// TestCache checks that the loader's cache is read as ldconfig prints it.
func TestCache(t *testing.T) {
	out, err := exec.Command("ldconfig", "-p").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := cached()
	n := 0
	for line := range strings.Lines(string(out)) {
		if _, path, ok := strings.Cut(strings.TrimSpace(line), " => "); ok {
			n++
			if !slices.Contains(got, path) {
				t.Errorf("%s is not in the cache", path)
			}
		}
	}
	if n == 0 || len(got) > n {
		t.Errorf("%d paths, ldconfig has %d", len(got), n)
	}
	whole, err := os.ReadFile(ldCache)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut < len(whole); cut += 997 {
		parseCache(whole[:cut]) // must not panic
	}
}

// TestGoFunctions checks that Go's function table provides the functions of a stripped program, and
// that Go functions are marked.
func TestGoFunctions(t *testing.T) {
	x := open(t, "/proc/self/exe")
	funcs, _, err := x.Functions()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(funcs, func(f Symbol) bool { return strings.HasSuffix(f.Name, "exe.TestGoFunctions") })
	if i < 0 || !funcs[i].Go || x.GoVersion == "" {
		t.Fatalf("function %d of %d, Go %q", i, len(funcs), x.GoVersion)
	}
	if e := x.GoEntry(funcs[i]); e <= funcs[i].Addr || e > funcs[i].Addr+40 {
		t.Errorf("entry %#x of a function at %#x", e, funcs[i].Addr)
	}
	if out := x.Exits(funcs[i]); out.Unread || len(out.Returns) == 0 {
		t.Errorf("exits %+v", out)
	}
	for _, f := range goFunctions(x.elf) {
		g, ok := x.At(f.Addr)
		if !ok || g.Addr != f.Addr {
			t.Fatalf("%s at %#x: the tables have %v", f.Name, f.Addr, g)
		}
	}
}

// TestGoImage checks that addresses in a stripped Go program have the names that they have in the
// whole program.
func TestGoImage(t *testing.T) {
	var names [2]string
	for i, prog := range []string{"goprog", "gostripped"} {
		path, err := testprog.Build(prog)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ReadImage(path)
		if err != nil {
			t.Fatal(err)
		}
		addr, ok := m.Addr("runtime.main")
		off, in := m.Offset(addr + 5)
		name, dist := m.At(off)
		if names[i] = name; !ok || !in || dist != 5 {
			t.Errorf("%s: %#x is %s+%d", prog, addr, name, dist)
		}
	}
	if names != [2]string{"runtime.main", "runtime.main"} {
		t.Errorf("got %q", names)
	}
}

// TestBoundaries checks that every function of the C library begins at an instruction, and at an
// address that the unwind tables list.
func TestBoundaries(t *testing.T) {
	x := open(t, library("libc.so.6"))
	starts := x.unwindStarts()
	if len(starts) < 1000 {
		t.Fatalf("%d functions by .eh_frame_hdr", len(starts))
	}
	funcs, _, err := x.Functions()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range funcs {
		if _, ok := slices.BinarySearch(starts, f.Addr); ok {
			found++
		}
		if f.Size == 0 {
			continue
		}
		if ok, known, _, _ := x.Boundary(f.Addr); !ok || !known {
			t.Errorf("%s does not begin at an instruction", f.Name)
		}
	}
	if found*10 < len(funcs)*8 {
		t.Errorf("%d of %d functions are among those of .eh_frame_hdr", found, len(funcs))
	}
}

// TestOperandsAMD64 checks operands as compilers write them (SystemTap's sdt.h, gcc and clang;
// tests of bcc's parser).
func TestOperandsAMD64(t *testing.T) {
	x := open(t, "/proc/self/exe")
	for text, want := range map[string]Operand{
		"-4@$5":               {Size: 4, Signed: true, Kind: Constant, Value: 5},
		"8@$-9":               {Size: 8, Kind: Constant, Value: -9},
		"8@$0xffffffffffffff": {Size: 8, Kind: Constant, Value: 0xffffffffffffff},
		"8@%rdi":              {Size: 8, Kind: Register, Register: "rdi"},
		"-4@%eax":             {Size: 4, Signed: true, Kind: Register, Register: "rax"},
		"2@%si":               {Size: 2, Kind: Register, Register: "rsi"},
		"1@%bl":               {Size: 1, Kind: Register, Register: "rbx"},
		"1@%ch":               {Size: 1, Kind: Register, Register: "rcx", High: true},
		"1@%sil":              {Size: 1, Kind: Register, Register: "rsi"},
		"4@%r8d":              {Size: 4, Kind: Register, Register: "r8"},
		"1@%r15b":             {Size: 1, Kind: Register, Register: "r15"},
		"8@%r12":              {Size: 8, Kind: Register, Register: "r12"},
		"8@(%rsp)":            {Size: 8, Kind: Memory, Base: "rsp", Scale: 1},
		"-8@-128(%rbp)":       {Size: 8, Signed: true, Kind: Memory, Base: "rbp", Scale: 1, Value: -128},
		"4@8(%rax,%rbx,4)":    {Size: 4, Kind: Memory, Base: "rax", Index: "rbx", Scale: 4, Value: 8},
		"4@(%r8,%r9)":         {Size: 4, Kind: Memory, Base: "r8", Index: "r9", Scale: 1},
		"4@16(,%rcx,8)":       {Size: 4, Kind: Memory, Index: "rcx", Scale: 8, Value: 16},
		"4@4+8(%rdx)":         {Size: 4, Kind: Memory, Base: "rdx", Scale: 1, Value: 12},
		"8f@%xmm0":            {Size: 8, Why: "a floating-point number"},
		"8@%xmm1":             {Size: 8, Why: "in a vector register, which the kernel does not save"},
		"8@%fs:16":            {Size: 8, Why: "in thread-local memory (%fs), whose address is unknown"},
		"8@%zax":              {Size: 8, Why: `its location has an unknown format: "8@%zax"`},
		"8@nosuch(%rip)":      {Size: 8, Why: `its location has an unknown format: "8@nosuch(%rip)"`},
	} {
		got := x.Operands(StaticProbe{Args: text})
		want.Text = text
		if want.Kind == Unreadable && len(got) == 1 {
			got[0].Scale, got[0].Base = 0, ""
		}
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s:\n got %+v\nwant %+v", text, got, want)
		}
	}
	if got := x.Operands(StaticProbe{Args: "8@%rax -4@-4(%rbp) 4@8(%rax, %rbx, 4) 1@$1"}); len(got) != 4 || got[2].Index != "rbx" || got[3].Value != 1 {
		t.Errorf("four: %+v", got)
	}
	if got := x.Operands(StaticProbe{Args: "%rax $3"}); len(got) != 2 || got[0].Register != "rax" || got[0].Size != 8 || got[1].Value != 3 {
		t.Errorf("without sizes: %+v", got)
	}
}

func TestOperandsARM64(t *testing.T) {
	for text, want := range map[string]Operand{
		"x0":        {Kind: Register, Register: "x0"},
		"w19":       {Kind: Register, Register: "x19"},
		"sp":        {Kind: Register, Register: "sp"},
		"5":         {Kind: Constant, Value: 5},
		"-1":        {Kind: Constant, Value: -1},
		"[sp]":      {Kind: Memory, Base: "sp", Scale: 1},
		"[sp, 60]":  {Kind: Memory, Base: "sp", Scale: 1, Value: 60},
		"[x29,-16]": {Kind: Memory, Base: "x29", Scale: 1, Value: -16},
		"[x0, x1]":  {Kind: Memory, Base: "x0", Index: "x1", Scale: 1},
	} {
		var got Operand
		if ok := got.arm64(text); !ok || got != want {
			t.Errorf("%s: %v\n got %+v\nwant %+v", text, ok, got, want)
		}
	}
	for _, text := range []string{"x31", "[x0", "d0", "w", "[w0, 4]", ""} {
		var got Operand
		if got.arm64(text) {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// TestPrelink checks that addresses in notes are corrected by the distance that prelink moved the
// file, which the base section shows.
func TestPrelink(t *testing.T) {
	path := library("libstdc++")
	x := open(t, path)
	before, err := x.StaticProbes()
	if err != nil || len(before) == 0 {
		t.Fatal(before, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sec := x.elf.Section(".note.stapsdt")
	notes := b[sec.Offset : sec.Offset+sec.Size]
	eachNote(notes, x.elf.ByteOrder, func(_ string, _ uint32, desc []byte) {
		for i := 0; i < 16; i += 8 {
			x.elf.ByteOrder.PutUint64(desc[i:], x.elf.ByteOrder.Uint64(desc[i:])-0x1000)
		}
	})
	moved := filepath.Join(t.TempDir(), "moved.so")
	if err := os.WriteFile(moved, b, 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := open(t, moved).StaticProbes()
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("before %+v\nafter %+v, %v", before, after, err)
	}
}

// TestGoroutineOffset compares the known offsets of the goroutine number in the runtime with the
// debug information.
func TestGoroutineOffset(t *testing.T) {
	bin, err := testprog.Build("goprog")
	if err != nil {
		t.Fatal(err)
	}
	x := open(t, bin)
	want, ok := x.goidFromDWARF()
	minor, err := strconv.Atoi(strings.Split(x.GoVersion, ".")[1])
	if !ok || err != nil {
		t.Fatalf("%d, %v, %v", want, ok, err)
	}
	if got := goidOffsets[minor]; got != want {
		t.Errorf("%s keeps it at %d, the table says %d", x.GoVersion, want, got)
	}
	x.GoVersion = "go1.99.1"
	if got, err := x.GoroutineOffset(); got != want || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	stripped, err := testprog.Build("gostripped")
	if err != nil {
		t.Fatal(err)
	}
	y := open(t, stripped)
	if got, err := y.GoroutineOffset(); got != want || err != nil {
		t.Errorf("stripped: %d, %v", got, err)
	}
	y.GoVersion = "go1.99.1"
	_, err = y.GoroutineOffset()
	wanted := stripped + ": its debug information is stripped, and where go1.99.1 keeps the goroutine id is unknown (build it without -ldflags=-w; the address of the goroutine, reg(\"r14\") on amd64 and reg(\"x28\") on arm64, tells goroutines apart while they live)"
	if err == nil || err.Error() != wanted {
		t.Errorf("got %v\nwant %s", err, wanted)
	}
}
