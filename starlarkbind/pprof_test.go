package starlarkbind

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tool returns what pprof's own tool reads from a profile.
func tool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"tool", "pprof"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("go tool pprof %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func wantMatches(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)" + p).MatchString(text) {
			t.Errorf("no %s in\n%s", p, text)
		}
	}
}

// A profile of a known load has as many samples as there were calls, and stacks with the functions
// of the process and the kernel.
func TestPprof(t *testing.T) {
	dir := t.TempDir()
	l := newLive(t, func(o *Options) { o.AllowWrite = []string{dir} })
	load := exec.Command(loadBinary, "-wait", "getppid", "50")
	in, err := load.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := load.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it is ready
		t.Error(err)
	}
	l.symbols.UserSymbols().Lookup(load.Process.Pid, 0) // while it still has mappings to read
	err = l.script(`
calls = count()
probe("rawtracepoint:sys_enter", lambda e: calls.add(by=(e.comm, e.ustack, e.kstack)), filter=lambda e: e.comm == "load" and e.args[1] == 110)
`)
	if _, werr := in.Write([]byte{1}); err == nil {
		err = werr
	}
	if werr := load.Wait(); err == nil {
		err = werr
	}
	file := filepath.Join(dir, "p.pb.gz")
	if err == nil {
		err = l.item(fmt.Sprintf("pprof(calls, %q, labels=[\"comm\"])", file))
	}
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	wantMatches(t, tool(t, "-top", file), `^Type: calls$`, `^Time: `, `^Duration: `, `accounting for 50, 100% of 50 total$`, ` 50   100%  main\.main$`, ` 50   100%  main\.run$`)
	wantMatches(t, tool(t, "-raw", file), `^Samples:\ncalls/count$`, `^ +50: 1 2 `, `comm:\[`+loadName+`\]`, fmt.Sprintf(`pid:\[%d\]`, load.Process.Pid), `\[kernel\.kallsyms\] [0-9a-f]+ \[FN\]$`, `/loadgen [0-9a-f]* ?\[FN\]$`)
	wantMatches(t, tool(t, "-top", "-tagfocus=comm="+loadName, file), `accounting for 50, 100%`)
}

// Statistics have two values each. Elements of a tuple other than stacks become labels, named by
// position if they have no name.
func TestPprofValues(t *testing.T) {
	dir := t.TempDir()
	l := newLive(t, func(o *Options) { o.AllowWrite = []string{dir} })
	file := filepath.Join(dir, "p.pb.gz")
	if err := l.script(`
f = lambda e: kstack()
a, b = f(event(kstack=[kaddr("vfs_read") + 8, kaddr("ksys_read") + 8])), f(event(kstack=[]))
pprof({(7, a): struct(count=2, sum=300), (8, b): struct(count=1, sum=-40)}, "` + file + `", unit="bytes")
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	wantMatches(t, tool(t, "-raw", file), `^Samples:\ncount/count samples/bytes$`, `^ +2 +300: 1 2 \n +key1:\[7\]`, `^ +1 +-40: 3 \n +key1:\[8\]`, ` vfs_read `, ` ksys_read `, `\[no stack\]`)
	wantMatches(t, tool(t, "-top", file), `300B.* vfs_read$`)
	if text := tool(t, "-top", file); strings.Contains(text, "Duration") {
		t.Errorf("of a dict it is not known how long it took:\n%s", text)
	}
	for src, want := range map[string]string{
		`pprof([1], "x")`:                        "pprof: want an aggregation whose keys are stacks, or a dict of them, got list",
		`pprof({"a": 1}, "x")`:                   `pprof: the key "a" has no stack: count by=kstack(), or by=(e.comm, ustack())`,
		`pprof({a: "b"}, "x")`:                   "pprof: the values must be numbers, got string",
		`pprof({a: 1 << 63}, "x")`:               "pprof: 9223372036854775808 is too large: a profile holds signed 64-bit values",
		`pprof({a: 1, b: hist().value}, "x")`:    "pprof: the values must be of one kind",
		`pprof({(a, 1): 1}, "x", labels=[])`:     "pprof: labels has the wrong number of names: got 0, want 1 (one for each part of a key that is not a stack)",
		`pprof({(a, 1): 1}, "x", labels=[1])`:    "pprof: labels: want strings, got int",
		`pprof({a: 1}, "/x")`:                    "pprof: /x is not below " + dir + ", where --allow-write lets scripts write",
		`pprof({a: 1}, "` + dir + `/none/p.gz")`: "pprof: cannot write " + dir + "/none/p.gz: no such file or directory",
	} {
		if err := l.item(src); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", src, err, want)
		}
	}
}
