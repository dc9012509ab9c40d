package starlarkbind

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
	"github.com/bpfrepl/bpfrepl/bpf/feature"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// A direct runs a script's handler on request, on words that the test passes as e.args. It needs no
// event, and works on every kernel.
type direct struct {
	*kernelRun
	t    *testing.T
	prog *program
}

func newDirect(t *testing.T, script string) *direct {
	t.Helper()
	if err := sys.Prepare(); err != nil {
		t.Fatal(err)
	}
	k, err := newKernelRun()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	d := &direct{kernelRun: k, t: t}
	if err := d.ExecFile(context.Background(), "direct.star", []byte(script)); err != nil {
		t.Fatal(d.FormatError(err))
	}
	h, err := k.names.Function(k.names.Globals["handler"].(*starlark.Function))
	if err != nil {
		t.Fatal(err)
	}
	p := &Probe{s: k.Session, name: "direct"}
	l := &loader{s: k.Session, p: p, targetless: k.request("direct", h, &compiler.Event{Probe: "direct", Event: abi.Event{RawArgs: true}})}
	if err := l.loadOne(nil, nil, ebpf.RawTracepoint, nil); err != nil {
		var refusal *bpf.VerifierError
		if errors.As(err, &refusal) {
			t.Fatalf("%+v", refusal)
		}
		t.Fatal(errors.Join(err, l.rollback()))
	}
	l.commit()
	k.reg.probes = append(k.reg.probes, p)
	d.prog = p.programs[0]
	return d
}

// call calls a function of the script.
func (d *direct) call(name string) {
	d.t.Helper()
	if _, err := starlark.Call(&starlark.Thread{}, d.names.Globals[name], nil, nil); err != nil {
		d.t.Error(err)
	}
}

// run runs the handler once. Strings are passed as their addresses.
func (d *direct) run(args ...any) {
	d.t.Helper()
	words := make([]uint64, 12)
	var keep [][]byte
	for i, a := range args {
		switch a := a.(type) {
		case int:
			words[i] = uint64(a)
		case string:
			b := append([]byte(a), 0)
			keep = append(keep, b)
			words[i] = uint64(uintptr(unsafe.Pointer(&b[0])))
		}
	}
	if _, err := d.prog.prog.TestRun(words); err != nil {
		d.t.Fatal(err)
	}
	runtime.KeepAlive(keep)
}

// wantErrors compares the errors so far with want, one per line.
func (d *direct) wantErrors(want ...string) {
	d.t.Helper()
	es, err := d.allErrors(d.reg.allProbes())
	if err != nil {
		d.t.Fatal(err)
	}
	var got []string
	for _, e := range es {
		got = append(got, fmt.Sprintf("%s ×%d at %s: %s (%s)", e.Errno, e.Count, e.Pos, e.Message, e.Hint))
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		d.t.Errorf("got errors\n%s\nwant\n%s", g, w)
	}
}

// wantPrinted compares the handler's output with want.
func (d *direct) wantPrinted(want ...string) {
	d.t.Helper()
	d.records.Drain()
	if got := strings.TrimRight(d.out.String(), "\n"); got != strings.Join(want, "\n") {
		d.t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// Every operation on strings also works on long ones, with the same result as in Go.
func TestLongStrings(t *testing.T) {
	for _, size := range []int{600, 4096} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { longStrings(t, size) })
	}
}

func longStrings(t *testing.T, size int) {
	handler := func(lines string) *direct {
		return newDirect(t, fmt.Sprintf("values = table(max_keys=4)\ndef handler(e):\n    s, r = str(e.args[0], %d), str(e.args[1], %d)\n", size, size)+lines)
	}
	compares := [][]string{{"len(s)", "s == r", "s < r", "s <= r", "s.startswith(r)", "s.endswith(r)", "bool(s)"}}
	// For the verifiers of kernels without iterators, two comparisons of that length are enough.
	if iterators := hasFeature(t, "iter_num"); size > 1024 && !iterators {
		compares = [][]string{{"len(s)", "s == r"}, {"s < r", "s <= r"}, {"s.startswith(r)"}, {"s.endswith(r)", "bool(s)"}}
	}
	ds := []*direct{
		handler(`    print(s[-4:], s[2:5], s[-300:-290], s[500:507], s[:-590], s[-1] if s else "-")
`),
		handler(`    values[1] = s
    values[2] = s if s > r else r
    print("needle" in s, values[1] == s, values[1] != r, s.endswith(("dle", "ab")))
`),
	}
	others := len(ds)
	for _, exprs := range compares {
		ds = append(ds, handler("    print("+strings.Join(exprs, ", ")+")\n"))
	}
	base := strings.Repeat("abcdefghijk", 1+size/11)[:size-1]
	with := func(i int, what string) string { return base[:i] + what + base[i+len(what):] }
	pairs := [][2]string{{base, base}, {base, base[:size-2]}, {base[:size-2], base}, {base, with(size-2, "\xff")}, {with(300, "\x01"), base}, {"", base}, {base, ""}, {"", ""},
		{with(size-7, "needle"), base[size-20:]}, {with(333, "needle"), base[:size/2]}, {with(0, "needle"), with(1, "!")}, {base[:8], base[:7]}, {"needl", "l"}, {base[:295], base[:296]}}
	want := make([][]string, len(ds))
	py := func(b bool) string {
		if b {
			return "True"
		}
		return "False"
	}
	for _, p := range pairs {
		s, r := p[0], p[1]
		for _, d := range ds {
			d.run(s, r)
		}
		part := func(lo, hi int) string {
			if lo < 0 {
				lo = max(lo+len(s), 0)
			}
			if hi <= 0 {
				hi += len(s)
			}
			lo, hi = min(lo, len(s)), min(hi, len(s))
			return s[lo:max(lo, hi)]
		}
		last := "-"
		if s != "" {
			last = s[len(s)-1:]
		}
		is := map[string]any{"len(s)": len(s), "s == r": py(s == r), "s < r": py(s < r), "s <= r": py(s <= r), "s.startswith(r)": py(strings.HasPrefix(s, r)),
			"s.endswith(r)": py(strings.HasSuffix(s, r)), "bool(s)": py(s != "")}
		for i, exprs := range compares {
			var line []string
			for _, e := range exprs {
				line = append(line, fmt.Sprint(is[e]))
			}
			want[others+i] = append(want[others+i], strings.Join(line, " "))
		}
		want[0] = append(want[0], strings.Join([]string{part(-4, 0), part(2, 5), part(-300, -290), part(500, 507), part(0, -590), last}, " "))
		want[1] = append(want[1], fmt.Sprint(py(strings.Contains(s, "needle")), " True ", py(s != r), " ", py(strings.HasSuffix(s, "dle") || strings.HasSuffix(s, "ab"))))
	}
	for i, d := range ds {
		for j, w := range want[i] {
			want[i][j] = strings.ReplaceAll(strings.ReplaceAll(w, "\xff", `\xff`), "\x01", `\x01`)
		}
		d.wantPrinted(want[i]...)
		d.wantErrors()
	}
}

// hasFeature reports whether the kernel has a feature.
func hasFeature(t *testing.T, name string) bool {
	t.Helper()
	f, err := feature.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Probe()
	var missing *feature.NotSupportedError
	if err != nil && !errors.As(err, &missing) {
		t.Fatal(err)
	}
	return err == nil
}

// A string of 4096 bytes is read completely, also as a key, a value, an element of a tuple and in a
// print.
func TestLongKeys(t *testing.T) {
	bpftest.Need(t, "long_keys")
	d := newDirect(t, `
keys, values, pairs = count(max_keys=8), table(max_keys=8), count(max_keys=8)
def handler(e):
    s = str(e.args[0], 4097)
    keys.add(by=s)
    pairs.add(by=(len(s), s))
    values[len(s)] = s
    print(s)
long = "0123456789abcdef" * 256
def check():
    for s, n in ((long, 3), (long[:4095], 1), (long[:100], 1), ("", 1)):
        if keys[s] != n or pairs[(len(s), s)] != n or values[len(s)] != s:
            fail("wrong: %d bytes: %s %s" % (len(s), keys.get(s), pairs.get((len(s), s))))
    if len(keys) != 4 or len(pairs) != 4 or len(values) != 4:
        fail("wrong number of keys")
`)
	long := strings.Repeat("0123456789abcdef", 256)
	for _, s := range []string{long, long[:4095], long[:100], "", long, long + "more"} {
		d.run(s)
	}
	d.wantPrinted(long, long[:4095], long[:100], "", long, long)
	d.call("check")
	d.wantErrors()
}

// NUL bytes inside strings and bytes that are not UTF-8 stay unchanged in keys, values and prints.
// "a\0b", "a" and "" are different keys.
func TestOddStrings(t *testing.T) {
	d := newDirect(t, `
t, back, raw = table(max_keys=16), table(max_keys=16), table(max_keys=16)
bad = "\u00fc"[:1]
t["a\x00b"], t["a"], t[""], t[bad], t["\x00b"] = 1, 2, 3, 4, 5
def handler(e):
    s = str(e.args[0], 16)
    print(t.get("a\x00b", 0), t.get("a", 0), t.get("", 0), t.get(bad, 0), t.get("\x00b", 0), t.get(s, 0))
    back[1] = "a\x00b"
    back[2] = bad
    back[3] = "a\x00b" if s == "a" else s
    back[4] = s
    print(back[1], back[2], back[3], len(back[1]), back[1] == "a\x00b", back[1] == "a", back[1] < "a\x00c", "\x00b" in back[1], back[1][1:])
    print(bool(back[1][2:]), back[1].startswith("a"), back[1].endswith("\x00b"), "a" in back[1], back[3] == back[1], s in back[1])
    raw[b"a\x00"] = b"\xff\x00\x00"
    raw[buf(e.args[0], 2)] = buf(e.args[0] + 1, 3)
    for_b = raw[b"a\x00"]
    print(for_b, for_b[0], ord(for_b[-3]), 255 in for_b, 1 in for_b, b"\x00\x00" in for_b, for_b[1:], len(for_b), for_b > b"\xff\x00", for_b == b"\xff")
def check():
    want = {"a\x00b": 1, "a": 2, "": 3, bad: 4, "\x00b": 5}
    if dict(t.items()) != want:
        fail(str(dict(t.items())))
    if dict(back.items()) != {1: "a\x00b", 2: bad, 3: "a\x00b", 4: "a"}:
        fail(str(dict(back.items())))
    if dict(raw.items()) != {b"a\x00": b"\x00\x00\x00"}:
        fail(str(dict(raw.items())))
    if t["a\x00b"] != 1 or t.get(b"a") != None or raw[b"a\x00"][1:] != b"\x00\x00":
        fail("lookup")
def f0(): t["a\x00"] = 1
def f1(): raw[b"abc"] = b"abc"
def f2(): raw["ab"] = b"abc"
`)
	d.run("a")
	d.wantPrinted(
		"1 2 3 4 5 2",
		`a\x00b \xc3 a\x00b 3 True False True True \x00b`,
		"True True True True True True",
		`b"\x00\x00\x00" b"\x00" 0 False False True b"\x00\x00" 3 False False`)
	d.call("check")
	for f, want := range map[string]string{
		"f0": `table "t": key: a string shared with a handler cannot end in NUL: "a\x00" (use bytes)`,
		"f1": `table "raw": key: got 3 bytes, want 2`,
		"f2": `table "raw": key: got string, want bytes (2 long)`,
	} {
		if _, err := starlark.Call(&starlark.Thread{}, d.names.Globals[f], nil, nil); err == nil || err.Error() != want {
			t.Errorf("%s: got error %v\nwant %s", f, err, want)
		}
	}
	d.wantErrors()
}

// An index out of range, and a number that is not a byte, end the handler and are counted.
func TestStringFaults(t *testing.T) {
	d := newDirect(t, `def handler(e):
    s, b, i = str(e.args[0]), buf(e.args[0], 4), e.args[1] - 0
    print(s[i])
    print(i in b)
    print(b[i])
`)
	d.run("abc", 1)
	d.run("abc", -1)
	d.run("abc", 3)
	d.run("abc", -4)
	d.run("", 0)
	d.run("abcdef", 5)
	d.wantPrinted("b", "False", `b"b"`, "c", "f", "False")
	index := "index out of range: the handler ended here (compare len() first)"
	d.wantErrors("ERANGE ×1 at direct.star:4:11: a byte must be from 0 to 255: the handler ended here (compare the number first)",
		"ERANGE ×3 at direct.star:3:12: "+index, "ERANGE ×1 at direct.star:5:12: "+index)
}

// piece returns the memory of one run in a heap.
func (d *direct) piece(cpu, i int) []byte {
	d.t.Helper()
	k := make([]byte, 4)
	binary.NativeEndian.PutUint32(k, uint32(cpu*abi.ScratchSlots+i))
	v, err := d.prog.scratch.Lookup(k)
	if err != nil {
		d.t.Fatal(err)
	}
	return v
}

// take marks a piece as taken, and sets all its bytes.
func (d *direct) take(cpu, i int) {
	d.t.Helper()
	k := make([]byte, 4)
	binary.NativeEndian.PutUint32(k, uint32(cpu*abi.ScratchSlots+i))
	v := []byte(strings.Repeat("\xa5", d.prog.code.ScratchSize))
	if err := d.prog.scratch.Update(k, v, 0); err != nil {
		d.t.Fatal(err)
	}
}

// A run does not touch the memory that another run has taken, and releases its own memory on every
// path. If all memory is taken, the run is counted and ends.
func TestScratch(t *testing.T) {
	cpus, err := sys.PossibleCPUs()
	if err != nil {
		t.Fatal(err)
	}
	d := newDirect(t, `
calls = count()
def handler(e):
    s = str(e.args[0], 1000)
    if e.args[1] == 1:
        return
    print(s[int(e.args[1])])
    calls.add()
`)
	d.run("abcdefghi", 5)
	d.run("abcdefghi", 1)
	d.run("abcdefghi", 99)
	for cpu := range cpus {
		for i := range abi.ScratchSlots - 1 {
			d.take(cpu, i)
		}
	}
	for range 20 {
		d.run("abcdefghi", 6)
		d.run("abcdefghi", 1)
		d.run("abcdefghi", 99)
	}
	used := 0
	for cpu := range cpus {
		for i := range abi.ScratchSlots - 1 {
			if got := string(d.piece(cpu, i)); got != strings.Repeat("\xa5", d.prog.code.ScratchSize) {
				t.Errorf("piece %d of CPU %d was written by another run: %.40q", i, cpu, got)
			}
		}
		last := d.piece(cpu, abi.ScratchSlots-1)
		if binary.NativeEndian.Uint64(last) != 0 {
			t.Errorf("the run did not give its memory back on CPU %d", cpu)
		}
		if strings.Contains(string(last), "abcdefghi") {
			used++
		}
		d.take(cpu, abi.ScratchSlots-1)
	}
	if used == 0 {
		t.Error("no run used the last piece")
	}
	d.run("abcdefghi", 6)
	d.run("abcdefghi", 6)
	d.wantErrors("ERANGE ×21 at direct.star:7:12: index out of range: the handler ended here (compare len() first)",
		"EBUSY ×2 at direct.star:3:1: 8 nested runs of this probe on this CPU hold all the memory for long strings and stacks: the event is lost (use shorter ones, which do not need that memory: str(ptr, 64), ustack(5))")
	d.wantPrinted("f" + strings.Repeat("\ng", 20))
}

// If the kernel lets runs of one program interrupt each other (raw tracepoints before 6.2, uprobes
// under preemption), they do not see each other's strings, and no loss goes unreported.
func TestScratchNested(t *testing.T) {
	l := newLive(t, func(o *Options) { o.Warnings = warnings.None })
	err := l.script(`
total, wrong, done, nested = count(), count(), count(), count()
inside = table(max_keys=1024)
A, B = "a" * 1500, "b" * 1500
def handler(e):
    total.add()
    odd = inside.add(1, by=e.cpu)
    if odd > 1:
        nested.add()
    mine = A if odd % 2 == 1 else B
    copy = mine
    for i in range(20):
        if copy != mine or (copy == A) != (odd % 2 == 1):
            wrong.add()
        copy = mine
    inside.add(-1, by=e.cpu)
    done.add()
p = probe(["rawtracepoint:sys_enter", "rawtracepoint:hrtimer_expire_entry"], handler, filter=lambda e: True)
make("getppid", 30000)
p.detach()
lost = 0
for e in p.errors():
    lost += e.count
print(wrong.value, done.value >= 30000, total.value == done.value, lost)
print("nested:", nested.value)
`)
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	if !strings.HasPrefix(l.out.String(), "0 True True 0\n") {
		t.Errorf("got %s\nwant 0 wrong, and all done", l.out)
	}
	t.Log(l.out.String())
}

// A string in the tail of a tracepoint's record is read up to the length passed to str(), by
// default 255 bytes.
func TestLongRecordStrings(t *testing.T) {
	bpftest.Need(t, "long_keys")
	dir := t.TempDir()
	for range 4 {
		dir += "/" + strings.Repeat("d", 200)
	}
	prog := dir + "/" + strings.Repeat("p", 170)
	data, err := os.ReadFile(loadBinary)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(prog, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	expect(t, `
by, paths = count(), count()
def h(e):
    by.add(by=(len(str(e.args.filename, 4096)), len(e.args.filename), len(str(e.args.filename, 600))))
    paths.add(by=str(e.args.filename, 4096))
probe("tracepoint:sched:sched_process_exec", h, filter=lambda e: len(e.args.filename) == 255)
p = spawn(["`+prog+`", "getppid", "1"])
run(p)
print(by.keys(), paths.keys() == ["`+prog+`"])
`, fmt.Sprintf("[(%d, 255, 599)] True", len(prog)))
}
