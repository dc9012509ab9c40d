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
)

// Each kind of probe counts a known number of events.
func TestProbeKinds(t *testing.T) {
	expect(t, `
a, b, c = count(), count(), count()
ours = lambda e: e.comm == "load"
probe("tracepoint:syscalls:sys_enter_getppid", lambda e: a.add(), filter=ours)
probe("rawtracepoint:sys_enter", lambda e: b.add(), filter=lambda e: e.comm == "load" and e.args[1] == 110) # getppid
probe("tracepoint:raw_syscalls:sys_enter", lambda e: c.add() if e.args.id == 110 else None, filter=ours)
make("getppid", 12345)
print(a.value, b.value, c.value)
`, "12345 12345 12345")
}

// begin runs once when attached, and end once when detached. A handler runs again when its probe is
// attached again.
func TestBeginEnd(t *testing.T) {
	expect(t, `
begins, ends = count(), count()
b = probe("begin", lambda e: begins.add())
e = probe("end", lambda e: ends.add())
print(begins.value, ends.value)
e.detach()
print(begins.value, ends.value, e.attached)
e.attach()
e.detach()
b.detach()
b.attach()
print(begins.value, ends.value)
`, "1 0", "1 1 False", "2 2")
}

// A name is one key, whatever memory follows its end in the kernel and in bpfrepl.
func TestCommIsOneKey(t *testing.T) {
	expect(t, `
c = count()
p = probe("tracepoint:raw_syscalls:sys_enter", lambda e: c.add(by=(e.comm, e.tid)), filter=lambda e: e.comm == "onekey")
make("-comm", "onekey", "getppid", 3000)
p.detach()
k = c.snapshot().keys()
print(len(c) == len(k), len(k), [n >= 3000 for n in c.values()])
`, "True 1 [True]")
}

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

// A list of specs and a wildcard share a program. The name of the probe that fired tells them
// apart.
func TestWildcardNames(t *testing.T) {
	expect(t, `
by = count()
p = probe(["tracepoint:syscalls:sys_enter_getppi*", "tracepoint:syscalls:sys_exit_getppid"], lambda e: by.add(by=e.probe), filter=lambda e: e.comm == "load")
make("getppid", 100)
print(by.top(5), len(p.targets))
`, `[("tracepoint:syscalls:sys_enter_getppid", 100), ("tracepoint:syscalls:sys_exit_getppid", 100)] 2`)
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

// The fields of an event that every probe has.
func TestEventFields(t *testing.T) {
	expect(t, `
seen = count()
probe("tracepoint:syscalls:sys_enter_getppid", lambda e: seen.add(by=(e.uid, e.gid, e.pid == e.tid, e.ppid == me, e.cpu < 1024, e.time > 0, e.probe)), filter=lambda e: e.comm == "load")
cg = count()
probe("tracepoint:syscalls:sys_exit_getppid", lambda e: cg.add(by=(e.cgroup > 0, e.ret == me)), filter=lambda e: e.comm == "load")
make("getppid", 10)
print(seen.keys(), cg.keys())
`, `[(0, 0, True, True, True, True, "tracepoint:syscalls:sys_enter_getppid")] [(True, True)]`)
}

// probes() lists probes with arguments, attached() lists attached ones; and the attributes of a
// probe.
func TestProbeValues(t *testing.T) {
	expect(t, `
print([p.name for p in probes("tracepoint:sched:sched_swit*")], probes("tracepoint:sched:sched_switch")[0].args[1])
limit, c = 3, count()
p = probe("tracepoint:syscalls:sys_enter_getppid", lambda e: c.add() if e.cpu < limit else None, name="mine", filter=lambda e: e.comm == "load")
print(p)
print(p.name, p.spec, p.targets, p.attached, attached() == [p], p.errors())
make("getppid", 7)
st = p.stats()
print(st.hits >= 7, st.missed, st.time_ns > 0, st.ns_per_hit > 0)
p.detach()
print(str(p).split(" ns a run (%d runs measured)" % p.stats().hits)[0].rsplit(", ", 1)[0], attached(), "Call" in p.asm())
make("getppid", 7)
print(c.value)
`, `["tracepoint:sched:sched_switch"] pid_t prev_pid`,
		`<probe tracepoint:syscalls:sys_enter_getppid, attached, captured: limit=3>`,
		`mine tracepoint:syscalls:sys_enter_getppid ["tracepoint:syscalls:sys_enter_getppid"] True True []`,
		`True 0 True True`,
		`<probe tracepoint:syscalls:sys_enter_getppid, detached, captured: limit=3 [] True`, `7`)
}

// The script adds to maps as handlers do, and concurrently with them.
func TestAddFromScript(t *testing.T) {
	expect(t, `
c, s, h, u, t = count(), sum(), hist(), stats(max_keys=2), table()
probe(`+lseek+`, lambda e: c.add(by=e.args.offset), filter=lambda e: e.comm == "load")
for i in range(10):
    s.add(i, by=("k", i % 2))
    h.add(i)
    t.add(2, by="x")
    u.add(-i, by=i)
    make("newkeys", 1, 7)
    c.add(by=7)
print(c[7], s[("k", 0)], s[("k", 1)], h.value.count, h.value.sum, t["x"], t.add(5, by="x"), t.add(by="new"))
print(len(u), u.dropped, errors()[0].errno, errors()[0].count, errors()[0].pos.split(":")[1])
print(attempt(lambda: t.add("x", by="y")).error.message)
print(attempt(lambda: t.add(1, by=3)).error.message)
print(attempt(lambda: c.add(by=("a" * 200))).error.message)
`, "20 20 25 10 45 20 25 1", "2 8 E2BIG 8 8",
		`table "t": the value to add: got string, want int`, `table "t": key: got int, want string`, `count "c": key: got string, want int`)
}

// If a handler uses a map in another way than the script, the error shows where the script adds to
// it.
func TestAddOfAnotherType(t *testing.T) {
	expect(t, `
c, t = count(), table()
c.add(by=5)
t.add(1, by="x")
print(attempt(lambda: probe(`+lseek+`, lambda e: c.add(by=e.comm))).error.message)
print(attempt(lambda: probe(`+lseek+`, lambda e: t.add(by=e.pid))).error.message)
print(c[5], t["x"])
`, `count "c" has keys of type int at test.star:3:6, and string here`, `table "t" has keys of type string at test.star:4:6, and int here`, "1 1")
}

// A probe without targets is not shown as attached.
func TestProbeOfNothing(t *testing.T) {
	expect(t, `
p = probe("tracepoint:syscalls:sys_enter_no_such*", lambda e: print(e.comm), missing="ignore")
print(p)
p.detach()
print(p)
`, "<probe tracepoint:syscalls:sys_enter_no_such*, attached to nothing>", "<probe tracepoint:syscalls:sys_enter_no_such*, detached>")
}

// Output that a script prints from handlers is complete and in order, with C's formats.
func TestHandlerPrints(t *testing.T) {
	expect(t, `
def h(e):
    printf("%-6s|%5d|%x|%s\n", e.comm, e.args.offset, 255, e.args.offset == 3)
    print(e.comm, e.args.offset, None, True, (1, "a"))
probe(`+lseek+`, h, filter=lambda e: e.comm == "load")
make("newkeys", 2, 3)
run(0)
`, "load  |    3|ff|True", `load 3 None True (1, "a")`, "load  |    4|ff|False", `load 4 None True (1, "a")`)
}

// stop() in a handler ends run(). A callback is called repeatedly, and can end run() too.
func TestRunEnds(t *testing.T) {
	expect(t, `
probe(`+lseek+`, lambda e: stop(), filter=lambda e: e.comm == "load")
make("newkeys", 1, 3)
run(30)
print("stopped")
n = [0]
def tick():
    n[0] += 1
    if n[0] == 3:
        stop()
every(0.01, tick)
run()
print(n)
print(attempt(lambda: every(0, tick)).error.message)
print(attempt(lambda: run(-1)).error.message)
print(attempt(lambda: run("x")).error.message)
`, "stopped", "[3]", "every: seconds must be at least 0.001, got 0", "run: seconds must be from 0 to 1e9, got -1", "run: seconds must be a number, got string")
}

// stop() ends run() even if the first probe that calls it was attached by a callback while run()
// was active.
func TestStopAttachedMeanwhile(t *testing.T) {
	expect(t, `
def late():
    if not attached():
        probe(`+lseek+`, lambda e: stop(), filter=lambda e: e.comm == "load")
        make("newkeys", 1, 3)
every(0.01, late)
start = now()
run(30)
print("stopped in time", now() - start < 20000000000)
`, "stopped in time True")
}

// Strings from the record and from user memory. A string that cannot be read is empty, counted, and
// reported.
func TestStrings(t *testing.T) {
	for _, warn := range []Warnings{WarnDefault, WarnAll, WarnNone} {
		l := newLive(t, nil)
		l.opt.Warnings = warn
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
		if shown := strings.Contains(l.err.String(), "could not be read"); shown != (warn != WarnNone) {
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

// clear() in a handler empties the table; values stored afterwards stay.
func TestClearInHandler(t *testing.T) {
	bpftest.Need(t, "for_each_map_elem")
	expect(t, `
t, other = table(), table()
for i in range(100):
    t[i] = i
other[1] = 1
def h(e):
    t.clear()
    t[e.args.offset] = 1
probe(`+lseek+`, h, filter=lambda e: e.comm == "load")
make("newkeys", 3, 7)
print(t.items(), len(other), errors())
`, `[(9, 1)] 1 []`)
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

// Loops over a table: in any order, with every kind of exit. Changes that the body makes are kept.
func TestTableLoops(t *testing.T) {
	bpftest.Need(t, "for_each_map_elem", "bpf_loop")
	expect(t, `
t = table()
names = table()
got = table()
for i in range(10):
    t[i] = i * i
names[1] = "one"
names[2] = "two"
def find(square):
    for k, v in t.items():
        for j in range(2):
            if v == square and j == 1:
                return "found %" if k == 0 else "yes"
    return "no"
def h(e):
    n = 0
    last = "none"
    for k in t:
        n += k
    for v in t.values():
        if v % 2:
            continue
        n += 1000
    got["sum"] = n
    for k, s in names.items():
        for i in range(k):
            n += 1
        last = s
        if s == "one":
            n += e.args.offset
    got["nested"] = n
    got["last"] = len(last)
    got["yes"] = len(find(49))
    got["no"] = len(find(50))
    for i in t:
        for k in names:
            n += i * k
    got["both"] = n
    for a in (n, e.args.offset, 3):
        got["tuple"] = a
        if a == 5:
            break
    while True:
        for k in names:
            if k == 2:
                return
    got["never"] = 1
def bad(e):
    for k in names:
        got["before"] = 1
        x = k // (k - k)
        got["never"] = 1
    got["never"] = 1
probe(`+lseek+`, h, filter=lambda e: e.comm == "load")
probe(`+lseek+`, bad, filter=lambda e: e.comm == "load")
make("newkeys", 1, 5)
for k in sorted(got.keys()):
    print(k, got[k])
print([(e.errno, e.count) for e in errors()])
`, `before 1
both 5188
last 3
nested 5053
no 2
sum 5045
tuple 5
yes 3
EDOM  1`)
}

// A function called from several places is compiled to one subprogram: with several returns, loops,
// the event, errors inside it, and calls from a loop over a table.
// loop over a table.
func TestSharedFunction(t *testing.T) {
	bpftest.Need(t, "for_each_map_elem", "bpf_loop")
	expect(t, `
t = table()
got = table()
t[1] = 10
t[2] = 20
def collatz(e, n, limit):
    steps = 0
    if n < 1:
        return (0, None)
    while n != 1:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        steps += 1
        if steps >= limit:
            return (steps, e.args.offset)
    return (steps, n)
def h(e):
    got[1], _ = collatz(e, 27 - e.args.offset * 0, 1000) # signed, as the others
    got[2], where = collatz(e, e.args.offset * 9, 5)
    got[3] = -1 if where == None else where
    n, where = collatz(e, 0, 5)
    got[4] = -1 if where == None else where
    for k, v in t.items():
        n, where = collatz(e, v, 1000)
        got[10 + k] = n
    got[5], _ = collatz(e, 100 // (e.args.offset - 4), 1000)
    got[6] = 1
p = probe(`+lseek+`, h, filter=lambda e: e.comm == "load")
make("newkeys", 1, 4)
print([(k, got[k]) for k in sorted(got.keys())] == [(1, 111), (2, 5), (3, 4), (4, -1), (11, 6), (12, 7)])
print([(e.errno, e.count) for e in errors()])
print(len([l for l in p.asm().splitlines() if "<collatz_1>" in l]))
`, `True
EDOM  1
3`)
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
