package starlarkbind

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// A panic in our own code ends the script like an error: the counts can still be read, and nothing
// is left behind.
func TestPanic(t *testing.T) {
	l := newLive(t, func(o *Options) { o.NoSummary = true })
	l.names.Predeclared["bug"] = starlark.NewBuiltin("bug", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		panic("it is broken")
	})
	err := l.script(`
c = count()
probe(` + lseek + `, lambda e: c.add(by=e.args.offset // (e.args.offset - 1)), filter=lambda e: e.comm == "load")
probe("end", lambda e: print("end"))
make("newkeys", 2, 1)
bug()
`)
	var bug *runner.BugError
	if !errors.As(err, &bug) || !strings.HasPrefix(l.FormatError(err), "error: bug in bpfrepl: it is broken\n") || !strings.HasSuffix(err.Error(), "please report this") || !strings.Contains(err.Error(), "faults_test.go") {
		t.Errorf("got %v", err)
	}
	objects, err := leakcheck.OfProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := objects.Gone(10 * time.Second); err != nil {
		t.Error(err)
	}
	if l.out.String() != "end\n" || !strings.Contains(l.err.String(), "division by zero: the handler ended here (EDOM), 1 times in all") {
		t.Errorf("printed %q, errors %q", l.out.String(), l.err.String())
	}
}

// faulty panics when it is written to.
type faulty struct{}

func (faulty) Write([]byte) (int, error) { panic("the writer broke") }

// A panic in the goroutine that reads the prints of handlers is reported at once, and ends a script
// that would wait for them.
func TestPanicInGoroutine(t *testing.T) {
	l := newLive(t, func(o *Options) { o.Stdout = faulty{} })
	err := l.script(`
probe(` + lseek + `, lambda e: print("x"), filter=lambda e: e.comm == "load")
make("newkeys", 2, 1)
run()
`)
	if !errors.Is(err, runner.ErrBroken) || l.FormatError(err) != "error: stopped by the bug reported above" {
		t.Errorf("got %v", err)
	}
	if !strings.HasPrefix(l.err.String(), "WARNING: bug in bpfrepl: the writer broke\n") {
		t.Errorf("errors %q", l.err.String())
	}
}

// After a thousand attachments and detachments, the process holds no more than after the first
// ones: no descriptors, memory, goroutines or kernel objects.
func TestManyAttachments(t *testing.T) {
	n := scale(1000)
	l := newLive(t, nil)
	if err := l.script(`
c = count()
ps = [
    probe("rawtracepoint:sys_enter", lambda e: c.add()),
    probe("uprobe:` + loadBinary + `:main.main", lambda e: c.add()),
    probe("software:context-switches:1000", lambda e: c.add()),
]
def cycle(n):
    for i in range(n):
        some = ps if i % 10 == 0 else ps[:1]    # the kernel takes its time for the others
        for p in some:
            p.detach()
        for p in some:
            p.attach()
cycle(10)
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	call := func(name string, n int) {
		t.Helper()
		thread := &starlark.Thread{Name: "test"}
		if _, err := starlark.Call(thread, l.names.Globals[name].(*starlark.Function), starlark.Tuple{starlark.MakeInt(n)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	before := usage(t)
	call("cycle", n)
	after := usage(t)
	if after.fds != before.fds || after.goroutines > before.goroutines+2 || after.heap > before.heap+1<<20 || after.rss > before.rss+16<<20 {
		t.Errorf("%d times: it had %+v, and has %+v", n, before, after)
	}
	if a, b := after.objects, before.objects; len(a.Programs) != len(b.Programs) || len(a.Maps) != len(b.Maps) || len(a.Links) != len(b.Links) || a.Events != b.Events {
		t.Errorf("it had %+v, and has %+v", b, a)
	}
	old := before.objects
	old.Programs, old.Maps = nil, nil // kept: a detached probe can be attached again
	if err := old.Gone(10 * time.Second); err != nil {
		t.Error(err)
	}
	all := after.objects
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := all.Gone(10 * time.Second); err != nil {
		t.Error(err)
	}
}

// Separate sessions leave nothing behind either, whether their probes were refused or not.
func TestManySessions(t *testing.T) {
	run := func() leakcheck.Objects {
		l := newLive(t, nil)
		if err := l.script(`
c, t, s = hist(), table(), stream()
def h(e):
    t[e.pid] = now()
    c.add(by=e.comm)
    s.emit(pid=e.pid)
    print("x")
probe("rawtracepoint:sys_enter", h, filter=lambda e: e.comm == "load")
r = attempt(lambda: probe(["rawtracepoint:sys_exit", "watchpoint:0xffffffffffffff00:3:w"], h))
if r.ok: fail("attached")
`); err != nil {
			t.Fatal(l.FormatError(err))
		}
		o, err := leakcheck.OfProcess(os.Getpid())
		if err := errors.Join(err, l.Close()); err != nil {
			t.Fatal(err)
		}
		return o
	}
	run()
	before := usage(t)
	var last leakcheck.Objects
	for range scale(100) {
		last = run()
	}
	if err := last.Gone(10 * time.Second); err != nil {
		t.Error(err)
	}
	if after := usage(t); after.fds != before.fds || after.goroutines > before.goroutines+2 || after.rss > before.rss+64<<20 {
		t.Errorf("it had %+v, and has %+v", before, after)
	}
}

type used struct {
	fds, goroutines int
	heap, rss       int64 // bytes
	objects         leakcheck.Objects
}

// usage returns what the process holds.
func usage(t *testing.T) used {
	t.Helper()
	runtime.GC()
	runtime.GC() // what finalizers have released
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	resident, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := leakcheck.OfProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return used{len(fds), runtime.NumGoroutine(), int64(m.HeapAlloc), resident * int64(os.Getpagesize()), objects}
}
