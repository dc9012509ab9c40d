package starlarkbind

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// Errors that a few lines force, on the running kernel: name, count, message and hint.
// TestErrorRows says which rows of helpererr.Rows no test forces.
func TestForcedErrors(t *testing.T) {
	for _, c := range []struct {
		name, src, want string
	}{
		{"E2BIG of an aggregation", `
m = count(max_keys=4)
def h(e):
    m.add(by=e.args.offset)
`, `map_update_elem -7 E2BIG m 96 test.star:4:10 m is full: its 4 keys are taken, so a new one was dropped | make it larger: max_keys=8`},
		{"E2BIG of a table", `
m = table(max_keys=4)
def h(e):
    m[e.args.offset] = 1
`, `map_update_elem -7 E2BIG m 96 test.star:4:6 m is full: its 4 keys are taken, so a new one was dropped | make it larger: max_keys=8`},
		{"E2BIG of an atomic add", `
m = table(max_keys=4)
def h(e):
    m.add(by=e.args.offset)
`, `map_update_elem -7 E2BIG m 96 test.star:4:10 m is full: its 4 keys are taken, so a new one was dropped | make it larger: max_keys=8`},
		{"ENOENT of t[k]", `
m = table()
m[5] = 1
def h(e):
    m[5] = m[e.args.offset]
`, `map_lookup_elem -2 ENOENT m 99 test.star:5:13 m has no such key | read it with .get(key, default), or test ` + "`key in m`" + ` first`},
		{"ENOENT of t[k] +=", `
m = table()
m[5] = 1
def h(e):
    m[e.args.offset] += 1
`, `map_lookup_elem -2 ENOENT m 99 test.star:5:6 m has no such key | read it with .get(key, default), or test ` + "`key in m`" + ` first`},
		{"ENOENT of a dict", `
d, c = {5: 1}, count()
def h(e):
    c.add(d[e.args.offset])
`, ` -2 ENOENT None 99 test.star:4:12 the dict has no such key: the handler ended here | use .get(key, default)`},
		{"EDOM", `
c = sum()
def h(e):
    c.add(7 // (e.args.offset - 5))
`, ` -33 EDOM None 1 test.star:4:13 division by zero: the handler ended here | test the divisor first`},
		{"EDOM of %", `
c = sum()
def h(e):
    c.add(7 % (e.args.offset - 5))
`, ` -33 EDOM None 1 test.star:4:13 remainder by zero: the handler ended here | test the divisor first`},
		{"EINVAL of a shift", `
c = sum()
def h(e):
    c.add(1 << (e.args.offset - 5))
`, ` -22 EINVAL None 5 test.star:4:13 negative shift count: the handler ended here | test the count first`},
		{"ERANGE of an index", `
c = sum()
def h(e):
    c.add(by=e.comm[e.args.offset])
`, ` -34 ERANGE None 96 test.star:4:20 index out of range: the handler ended here | compare len() first`},
		{"EFAULT of user memory", `
c = count()
def h(e):
    c.add(by=str(e.args.offset + 100000))
`, `probe_read_user_str -14 EFAULT None 100 test.star:4:17 memory could not be read: a bad address, or one that is not in memory now; it reads as empty | for user memory, read it in the return probe, after the kernel has touched it`},
		{"EFAULT of the kernel's memory", `
c = count()
def h(e):
    c.add(by=cast(e.args.offset, "struct task_struct").pid)
`, `probe_read_kernel -14 EFAULT None 100 test.star:4:56 (...).pid could not be read: a pointer on the way is NULL or no longer valid; it reads as empty | test the pointer first`},
		{"EFAULT of NULL, a string", `
c = count()
def h(e):
    if e.args.offset == 0:
        c.add(by=str(cast(e.args.offset, "char __user *")))
`, `probe_read_user_str -14 EFAULT None 1 test.star:5:21 memory could not be read: the program's pointer is NULL; it reads as empty | test the pointer first`},
		{"EFAULT of NULL, bytes", `
c = count()
def h(e):
    if e.args.offset == 0:
        c.add(by=buf(cast(e.args.offset, "char __user *"), 4))
`, `probe_read_user -14 EFAULT None 1 test.star:5:21 the bytes could not be read: the program's pointer is NULL; they read as zeros | test the pointer first`},
		{"EFAULT of NULL, a program's member", `
c = count()
def h(e):
    if e.args.offset == 0:
        c.add(by=cast(e.args.offset, "struct iovec __user *").iov_len)
`, `probe_read_user -14 EFAULT None 1 test.star:5:63 (...).iov_len could not be read: the program's pointer is NULL; it reads as empty | test the pointer first`},
		{"EFAULT of a program's member", `
c = count()
def h(e):
    c.add(by=cast(e.args.offset + 100000, "struct iovec __user *").iov_len)
`, `probe_read_user -14 EFAULT None 100 test.star:4:68 (...).iov_len could not be read: a bad address, or one that is not in memory now; it reads as empty | for user memory, read it in the return probe, after the kernel has touched it`},
		{"EFAULT of the kernel's bytes", `
c = count()
def h(e):
    c.add(by=buf(cast(e.args.offset, "struct task_struct"), 4))
`, `probe_read_kernel -14 EFAULT None 100 test.star:4:17 the bytes could not be read: a pointer on the way is NULL or no longer valid; they read as zeros | test the pointer first`},
		{"EINVAL of a signal", `
def h(e):
    signal(e.args.offset + 100)
`, `send_signal -22 EINVAL None 100 test.star:3:11 signal: no signal has that number | signals are numbered from 1 to 64`},
	} {
		t.Run(c.name, func(t *testing.T) {
			forced(t, c.src, c.want)
		})
	}
}

// An endless loop is ended and counted.
func TestForcedLoopError(t *testing.T) {
	bpftest.Need(t, "bpf_loop")
	forced(t, `
c = count()
def h(e):
    n = e.args.offset
    while n == 5:
        c.add(by=n)
`, ` -7 E2BIG None 1 test.star:5:5 the loops of one run took more than eight million steps: the handler ended here | bound the loops by the size of their data; in a long loop, do less per iteration`)
}

// forced runs the handler h for the offsets 0 to 99, and compares errors() with want.
func forced(t *testing.T, src, want string) {
	t.Helper()
	l := newLive(t, func(o *Options) { o.Warnings, o.Unsafe = warnings.All, true })
	err := l.script(src + `
probe(` + lseek + `, h, filter=lambda e: e.comm == "load")
make("newkeys", 100, 0)
for e in errors():
    print(e.helper, e.code, e.errno, e.map, e.count, e.pos, e.message, "|", e.hint)
    if e.first > e.last or e.first == 0 or now() < e.last: fail("times")
    if e.probe != "tracepoint:syscalls:sys_enter_lseek" or not e.source: fail(e.source)
`)
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	// Some kernels return ERANGE for the first page.
	if got := strings.Replace(strings.TrimSuffix(l.out.String(), "\n"), "kernel -34 ERANGE", "kernel -14 EFAULT", 1); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A map that allocates memory as keys arrive gets none if an interrupt creates many keys at once:
// the kernel refills its reserve for BPF programs only after the interrupt. Each key without memory
// is counted. Before Linux 6.1 all maps allocate in advance.
func TestForcedNoMemory(t *testing.T) {
	l := newLive(t, func(o *Options) { o.Warnings = warnings.None })
	l.shared.memory = func(kmap.Spec, int) error { return errors.New("as if there were too little for its 4096 keys") }
	if err := l.script(`
h, n = hist(bits=5), count()
def tick(e):
    t = now()
    for i in range(40):
        n.add()
        h.add(1, by=(t, i))
p = probe("interval:ms:20", tick)
def enough():
    if n.value >= 400:
        stop()
every(0.02, enough)
run(60)
p.detach()
print(n.value >= 400, n.value == len(h) + sum([e.count for e in errors()]), [(e.helper, e.errno, e.map, e.message, e.hint) for e in errors()])
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := `True True [("map_update_elem", "ENOMEM", "h", "the kernel had no memory for a new key of h", "set max_keys to the number of keys: its memory is then allocated in advance")]`
	if !atLeast(t, 6, 1) {
		want = "True True []"
	}
	if got := strings.TrimSpace(l.out.String()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A signal to a kernel thread, which takes none.
func TestSignalToKernelThread(t *testing.T) {
	expectWith(t, allowUnsafe, `
def h(e):
    if e.comm.startswith(("kworker", "ksoftirqd", "rcu_", "kcompactd")):
        signal("SIGCONT")
p = probe("rawtracepoint:sched_switch", h)
def look():
    if p.errors():
        stop()
every(0.01, look)
run(20)
p.detach()
e = p.errors()[0]
print(e.helper, e.code, e.errno, e.message)
print(e.hint)
`, "send_signal -1 EPERM signal: the running task cannot be signalled: it is a kernel thread, init, or exiting", "test e.comm or e.pid first")
}

// A line that fails a million times prints two warnings: the first failure, and the exact total.
func TestHotFailure(t *testing.T) {
	n := scale(1000000)
	l := newLive(t, nil)
	if err := l.script(fmt.Sprintf(`
m = count(max_keys=10)
probe(%s, lambda e: m.add(by=e.args.offset), filter=lambda e: e.comm == "load")
def again(): make("newkeys", %d, 0)
for i in range(4):
    again()
    run(0.6)
print(errors()[0].count, m.dropped, sum(m.values()))
`, lseek, n/4)); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	lost := 4 * (n/4 - 10)
	if got, want := l.out.String(), fmt.Sprintf("%d %d %d\n", lost, lost, 40); got != want {
		t.Errorf("got %s want %s", got, want)
	}
	var heads []string
	for line := range strings.Lines(l.err.String()) {
		if strings.HasPrefix(line, "WARNING: ") {
			heads = append(heads, line)
		}
	}
	const words = "WARNING: test.star:3:61: m is full: its 10 keys are taken, so a new one was dropped (map_update_elem: E2BIG)"
	want := []string{words + "\n", fmt.Sprintf("%s, %d times in all\n", words, lost)}
	if len(heads) > 0 && strings.HasPrefix(heads[0], "WARNING: m has 10 keys") { // the earlier warning that m is nearly full
		heads = heads[1:]
	}
	if strings.Join(heads, "") != strings.Join(want, "") {
		t.Errorf("warned\n%swant\n%s", strings.Join(heads, ""), strings.Join(want, ""))
	}
}

// A stuck is a reader of our output that does not read until it is released.
type stuck struct {
	buffer
	wait chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.wait
	return s.buffer.Write(p)
}

// Prints that nobody reads are dropped and counted, and the traced process does not wait: each
// print is either printed or in errors().
func TestPrintsDrop(t *testing.T) {
	n := scale(400000)
	s := &stuck{wait: make(chan struct{})}
	l := newLive(t, func(o *Options) { o.Stdout = s })
	if err := l.script(fmt.Sprintf(`
probe(%s, lambda e: print(e.args.offset), filter=lambda e: e.comm == "load")
make("newkeys", %d, 0)
`, lseek, n)); err != nil {
		t.Fatal(l.FormatError(err))
	}
	close(s.wait)
	l.records.Drain()
	printed := strings.Count(s.String(), "\n")
	all, err := l.allErrors(l.reg.allProbes())
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for _, e := range all {
		lost += int(e.Count)
		if e.Helper != "ringbuf_reserve" || e.Errno != "ENOSPC" || e.Message != "the ring buffer is full: the host is too slow, so the record was dropped" || e.Hint != "print less: filter, or count in a map" {
			t.Errorf("%v", e)
		}
	}
	if printed+lost != n || lost == 0 && !testing.Short() {
		t.Errorf("%d printed and %d lost of %d", printed, lost, n)
	}
	for i, line := range strings.SplitN(s.String(), "\n", 1000)[:min(999, printed)] { // the first ones
		if line != fmt.Sprint(i) {
			t.Fatalf("line %d is %q", i, line)
		}
	}
}

// A count that loses concurrent updates of two CPUs causes one warning, wherever the handler is
// attached, unless warnings are off.
func TestRaceWarned(t *testing.T) {
	const src = `t = table()
def count_it(e):
    t[e.pid] = t.get(e.pid, 0) + 1
probe(["tracepoint:sched:sched_switch", "tracepoint:syscalls:sys_enter_getppid"], count_it)
probe("tracepoint:sched:sched_wakeup", count_it)
`
	const want = `WARNING: test.star:3:5: t[e.pid] is read and stored in two steps: an update by another CPU in between is lost
        t[e.pid] = t.get(e.pid, 0) + 1
        ^
    hint: write t.add(by=e.pid), which adds in one step
`
	for level, want := range map[warnings.Level]string{warnings.Default: want, warnings.None: ""} {
		l := newLive(t, func(o *Options) { o.Warnings = level })
		if err := l.script(src); err != nil {
			t.Fatal(l.FormatError(err))
		}
		if got := l.err.String(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}
