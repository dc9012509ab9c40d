package starlarkbind

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

// attach() of a detached probe fails at each step for lack of a file descriptor, leaves nothing
// behind each time, and succeeds when there are enough.
func TestReattachFails(t *testing.T) {
	l := newLive(t, nil)
	if err := l.script(`
c, d, full = count(), count(), count(max_keys=1)
def h(e):
    full.add(by=e.args.offset)
    d.add(by=str(e.args.offset, 255)) # too long for the stack
p = probe([` + lseek + `, "software:context-switches:100000"], lambda e: c.add(by=e.comm))
q = probe(` + lseek + `, h, filter=lambda e: e.comm == "load")
make("newkeys", 10, 1)
p.detach()
q.detach()
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	p, q := l.names.Globals["p"].(*Probe), l.names.Globals["q"].(*Probe)
	before, err := leakcheck.OfProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for room := uint64(0); ; room++ {
		if room > 64 {
			t.Fatal("64 descriptors are not enough")
		}
		err := withDescriptors(t, room, func() error {
			if err := p.attach(); err != nil {
				return err
			}
			return q.attach()
		})
		if err == nil {
			break
		}
		failed++
		if q.isAttached() {
			t.Fatalf("attached in spite of %v", err)
		}
		if err := p.detach(); err != nil {
			t.Fatal(err)
		}
		after, err2 := leakcheck.OfProcess(os.Getpid())
		if err2 != nil {
			t.Fatal(err2)
		}
		if len(after.Programs) != len(before.Programs) || len(after.Links) != len(before.Links) || len(after.Maps) != len(before.Maps) || after.Events != before.Events {
			t.Fatalf("%d descriptors, %v: there were %d programs, %d maps, %d links and %d events, and are %d, %d, %d and %d", room, err, len(before.Programs), len(before.Maps),
				len(before.Links), before.Events, len(after.Programs), len(after.Maps), len(after.Links), after.Events)
		}
	}
	if failed < 3 {
		t.Errorf("it failed %d times only", failed)
	}
	for _, name := range []string{"c", "q"} {
		l.names.Predeclared[name] = l.names.Globals[name]
	}
	if err := l.script(`
make("newkeys", 10, 1)
print([(x.map, x.count) for x in sorted(q.errors(), key=lambda x: x.count)])
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got, want := l.out.String(), "full  18\nNone  20\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// withDescriptors calls fn while the process may open at most room more file descriptors.
func withDescriptors(t *testing.T, room uint64, fn func() error) error {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/dev/null") // gets the lowest free descriptor
	if err != nil {
		t.Fatal(err)
	}
	next := uint64(f.Fd())
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: next + room, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
	}()
	return fn()
}

// A probe with many targets is detached while its handler runs on all CPUs. Each run is counted,
// with its error.
func TestDetachDuringFlood(t *testing.T) {
	for range 2 {
		flood := exec.Command(loadBinary, "getppid", "1000000000000")
		if err := flood.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := flood.Process.Kill(); err != nil {
				t.Error(err)
			}
			flood.Wait() // it was killed
		})
	}
	for _, specs := range []string{`"tracepoint:raw_syscalls:sys_enter"`, `["tracepoint:raw_syscalls:*", "tracepoint:irq:*", "tracepoint:timer:*"]`} {
		expect(t, `
c, full = count(), count(max_keys=1)
def h(e):
    c.add()
    full.add(by=now())
p = probe(`+specs+`, h, attach=False)
for i in range(5):
    before = c.value
    p.attach()
    run(0.02)
    p.detach()
    all, lost = c.value, sum([x.count for x in p.errors()])
    print(all > before, all - lost - sum(full.values()))
run(0.1)
print(all == c.value, lost == sum([x.count for x in p.errors()]))
`, strings.Repeat("True 0\n", 5)+"True True")
	}
}
