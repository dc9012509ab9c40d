package starlarkbind

import (
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// busy keeps every CPU busy until the test ends: an idle CPU takes no samples.
func busy(t *testing.T) {
	t.Helper()
	for cpu := 0; cpu < runtime.NumCPU(); cpu++ {
		cmd := exec.Command(loadBinary, "-cpu", fmt.Sprint(cpu), "spin", "60000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			cmd.Wait() // it was killed
		})
	}
}

// profile fires on every CPU at the given rate, interval on one CPU: within a fifth of it on a busy
// host.
func TestTimers(t *testing.T) {
	busy(t)
	expect(t, `
p, i, s = count(), count(), count()
probe("profile:hz:200", lambda e: p.add(by=e.cpu))
probe("interval:ms:10", lambda e: i.add())
probe("software:cpu-clock:5000000", lambda e: s.add(by=e.cpu))
t0 = now()
run(1)
for x in attached():
    x.detach()
dt = now() - t0
def near(n, hz):
    want = hz * dt // 1000000000
    return True if want * 8 <= n * 10 and n * 10 <= want * 12 else (n, want)
print([near(p[c], 200) for c in cpus()], near(i.value, 100), len(s) > 0)
`, "[True, True] True True")
}

// With missing= and first= a script runs on a kernel without one of its probes.
func TestMissing(t *testing.T) {
	l := newLive(t, nil)
	err := l.script(`
h = lambda e: None
print(probe(["tracepoint:no:such", "begin"], h, missing="ignore").targets)
print(probe(["tracepoint:no:such", "begin"], h, missing="warn").targets)
print(probe(["tracepoint:no:such", "begin", "end"], h, first=True).targets)
print(attempt(lambda: probe(["tracepoint:no:such", "tracepoint:nor:this"], h, first=True)).error.message)
print(attempt(lambda: probe(["tracepoint:no:such", "begin"], h)).error.kind, len(attached()))
print(attempt(lambda: probe("begin", h, missing="maybe")).error.message)
print(attempt(lambda: probe("begin", print)).error.message)
print(attempt(lambda: probe("begin", h, filter=3)).error.message)
`)
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := []string{`["begin"]`, `["begin"]`, `["begin"]`,
		`no probe "tracepoint:no:such, tracepoint:nor:this": this kernel has none of these (bpfrepl -l lists them)`,
		`probe 3`,
		`probe: missing must be "error", "warn" or "ignore", got "maybe"`,
		`probe: the handler must be a def or a lambda, got builtin_function_or_method`,
		`probe: filter must be a def or a lambda, got int`}
	if got := strings.TrimSpace(l.out.String()); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if w := l.err.String(); !strings.HasPrefix(w, `WARNING: no probe "tracepoint:no:such": no subsystem "no"`) {
		t.Errorf("warning: %s", w)
	}
}

// Strings from the record and from user memory. A string that cannot be read is empty, counted, and
// reported.
func TestStrings(t *testing.T) {
	for _, warn := range []warnings.Level{warnings.Default, warnings.All, warnings.None} {
		l := newLive(t, func(o *Options) { o.Warnings = warn })
		err := l.script(`
names, none = count(), count()
probe("tracepoint:syscalls:sys_enter_openat", lambda e: names.add(by=str(e.args.filename, 64)), filter=lambda e: e.comm == "load")
probe(` + lseek + `, lambda e: none.add(by=str(e.args.offset + 100000)), filter=lambda e: e.comm == "load")
make("opens", 3, "/tmp/no-such-")
make("newkeys", 2, 8)
print([k for k in sorted(names.keys()) if k.startswith("/tmp/no-such-")], none.snapshot())
e = [e for e in errors() if e.helper == "probe_read_user_str"][0]
print(e.errno, e.count, e.message)
`)
		if err != nil {
			t.Fatal(l.FormatError(err))
		}
		want := `["/tmp/no-such-0", "/tmp/no-such-1", "/tmp/no-such-2"] {"": 2}` + "\nEFAULT 2 memory could not be read: a bad address, or one that is not in memory now; it reads as empty\n"
		if got := l.out.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if shown := strings.Contains(l.err.String(), "could not be read"); shown != (warn != warnings.None) {
			t.Errorf("warnings %d: %s", warn, l.err.String())
		}
	}
}

// The values that errors() returns are sorted, comparable and convertible to JSON; clear_errors()
// removes them.
func TestErrorValues(t *testing.T) {
	expect(t, fmt.Sprintf(`
t = table()
t["x"] = 1
def h(e):
    n = 1 // (e.args.offset - 8)
    t["x"] = n
    t["missing"] += 1
probe(%s, h, filter=lambda e: e.comm == "load")
make("newkeys", 3, 7)
es = errors()
print("", [(e.helper, e.errno, e.count) for e in es])
print(sorted(es) == es, es[0] == es[0], es[0] != es[1], to_json(es[0]) != "")
clear_errors()
print(errors())
make("newkeys", 1, 8)
print("", [(e.helper, e.errno, e.count) for e in errors()])
`, lseek), `[("map_lookup_elem", "ENOENT", 2), ("", "EDOM", 1)]`, "True True True True", "[]", ` [("", "EDOM", 1)]`)
}

// Loops whose length is known only at run time, long loops, nested loops, and early exits.
func TestLoops(t *testing.T) {
	t.Run("iterators", func(t *testing.T) {
		bpftest.Need(t, "iter_num")
		testLoops(t, nil)
	})
	t.Run("callbacks", func(t *testing.T) {
		bpftest.Need(t, "bpf_loop")
		testLoops(t, older)
	})
}

func testLoops(t *testing.T, as *sys.Kernel) {
	l := newLive(t, nil)
	if as != nil {
		l.kernel = as
	}
	err := l.script(`
got = table()
def first(n):
    for i in range(n):
        for j in range(n):
            if i * j == 42:
                return i
    return -1
def h(e):
    n = e.args.offset
    total = 0
    for i in range(n):
        total += i
    got["sum"] = total
    total = 0
    for i in range(n, 0, -3):
        total += i
    got["down"] = total
    k = 0
    while k * k < n * 1000:
        k += 1
        if k == 7:
            continue
    got["root"] = k
    while True:
        k -= 1
        if k < 20:
            x = k
            break
    got["x"] = x
    got["first"] = first(n)
    count = 0
    for i in range(1000):
        for j in range(1000):
            count += 1
    got["million"] = count
    for i in range(n * 0):
        got["never"] = 1
    while True:
        k += 1
probe(` + lseek + `, h, filter=lambda e: e.comm == "load")
make("newkeys", 1, 30)
print(got)
print([(e.errno, e.count, e.message) for e in errors()])
`)
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := `got:
first          2
x             19
down         165
root         174
sum          435
million  1000000
E2BIG  1  the loops of one run took more than eight million steps: the handler ended here`
	if got := strings.TrimSpace(l.out.String()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A loop over an aggregation sees the sums over all CPUs.
func TestAggregationLoops(t *testing.T) {
	for name, as := range map[string]*sys.Kernel{"iterators": nil, "callbacks": {Release: "5.19", Major: 5, Minor: 19, Arch: runtime.GOARCH}} {
		t.Run(name, func(t *testing.T) {
			bpftest.Need(t, "lookup_percpu_elem")
			l := newLive(t, nil)
			if as != nil {
				l.kernel = as
			}
			err := l.script(`
n, total, mean, least, most = count(), sum(), avg(), min(), max()
got = table()
def add(e):
    k = e.args.offset % 3
    n.add(by=k)
    total.add(-1 - e.args.offset, by=k)
    mean.add(-1 - e.args.offset, by=k)
    least.add(5 - e.args.offset, by=k)
    most.add(5 - e.args.offset, by=k)
def read(e):
    for k, v in n.items():
        got[k] = v
    for k in total.keys():
        got[10 + k] = k
    for k, v in total.items():
        got[20 + k] = v
    for k, v in mean.items():
        got[30 + k] = v
    for k, v in least.items():
        got[40 + k] = v
    s = 0
    for v in most.values():
        s += v
    got[50] = s
ours = lambda e: e.comm == "load"
probe(` + lseek + `, add, filter=ours)
probe("tracepoint:syscalls:sys_enter_getppid", read, filter=ours)
make("newkeys", 200, 3)
make("getppid", 1)
print([got[k] for k in sorted(got.keys())] == [n[k] for k in sorted(n.keys())] + [0, 1, 2] + [total[k] for k in sorted(total.keys())] + [mean[k] for k in sorted(mean.keys())] + [least[k] for k in sorted(least.keys())] + [most[0] + most[1] + most[2]])
print(n[0] + n[1] + n[2], total[1] < -1000, mean[1] < -10)
`)
			if err != nil {
				t.Fatal(l.FormatError(err))
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if got, want := l.out.String(), "True\n200 True True\n"; got != want {
				t.Errorf("got\n%s\nwant\n%s%s", got, want, l.err.String())
			}
		})
	}
}

// A probe shows what its handler captured and, after stats() was called, its run statistics.
func TestProbeShown(t *testing.T) {
	prog := build(t, "calls")
	l := newLive(t, nil)
	if err := l.script(strings.ReplaceAll(`
c, limit = count(), 3
p = probe("uprobe:PROG:six", lambda e: c.add() if e.pid > limit else None)
print(p)
p.stats()
run(spawn(["PROG", "10"]))
p.detach()
print(p)
`, "PROG", prog)); err != nil {
		t.Fatal(l.FormatError(err))
	}
	name := regexp.QuoteMeta("uprobe:" + prog + ":six")
	if got, want := l.out.String(), `^<probe `+name+`, attached, captured: limit=3>\n<probe `+name+`, detached, captured: limit=3, \d+ ns a run \(10 runs measured\)>\n$`; !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
