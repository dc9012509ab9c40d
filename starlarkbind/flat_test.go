package starlarkbind

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/symbol"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
)

// A session that runs forever keeps no more than the script has asked for.

// An endless stream of new keys does not fill a map whose delta() is taken, and the memory kept for
// them is bounded.
func TestDeltaIsFlat(t *testing.T) {
	const most, rounds = 1000, 8
	for _, kind := range []string{"count()", "sum()", "avg()", "stats()", "hist()"} {
		t.Run(kind, func(t *testing.T) {
			l := newLive(t, func(*Options) {})
			err := l.script(fmt.Sprintf(`
m = %s(max_keys=%d)
probe(%s, lambda e: m.add(%s), filter=lambda e: e.comm == "load")
told = []
for i in range(%d):
    make("newkeys", %d, 1)
    told.append(len(m.delta()))
`, kind[:len(kind)-2], most, lseek, map[bool]string{true: "by=now()", false: "1, by=now()"}[kind == "count()"], rounds, most/2))
			if err != nil {
				t.Fatal(l.FormatError(err))
			}
			if got, want := l.names.Globals["told"].String(), "[500, 500, 500, 500, 500, 500, 500, 500]"; got != want {
				t.Errorf("told %s, not %s", got, want)
			}
			m := l.names.Globals["m"].(*maps.Aggregation)
			all, err := m.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n := len(all.Keys); n > most+most/2 { // remembered, and still in the map
				t.Errorf("it remembers %d keys", n)
			}
			if n, err := m.Live().Count(t.Context()); err != nil || n > most/2 {
				t.Errorf("the map has %d keys, %v", n, err)
			}
		})
	}
}

// Stacks that no map contains any more are dropped, and the others keep their frames.
func TestStacksAreFlat(t *testing.T) {
	l := newLive(t, func(*Options) {})
	if err := l.script(fmt.Sprintf(`
m, other = count(), count()
def h(e):
    m.add(by=kstack(4))
    other.add(by=(e.pid, kstack(4)))
probe(%s, h, filter=lambda e: e.comm == "load")
make("newkeys", 10, 1)
before = [str(key[1]) for key in other]
def unused(): m.clear()
`, lseek)); err != nil {
		t.Fatal(l.FormatError(err))
	}
	for _, name := range []string{"m", "other", "before"} {
		l.names.Predeclared[name] = l.names.Globals[name]
	}
	st := l.stacks.ByFrames[4]
	fill := func() {
		t.Helper()
		b := make([]byte, st.Map().ValueSize())
		binary.NativeEndian.PutUint64(b, 8)
		for i := range uint64(st.Room()/2 + 1) {
			key := binary.NativeEndian.AppendUint64(nil, 1<<40+i)
			if err := st.Map().Update(key, b, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 3 { // each round would take more than half of the space
		fill()
		st.Swept = time.Time{}
		if err := l.script("m.clear()"); err != nil {
			t.Fatal(l.FormatError(err))
		}
		all, err := st.All()
		if err != nil || len(all) > 0 {
			t.Errorf("%d stacks are left, %v", len(all), err)
		}
		if n := len(st.Kept); n > st.Room()/2+100 {
			t.Errorf("%d are kept", n)
		}
	}
	if err := l.script(`
make("newkeys", 10, 1)
print(len(before), before == [str(key[1]) for key in other][:len(before)], sum(other.values()), m.values())
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got, want := l.out.String(), "1 True 20 [10]\n"; got != want {
		t.Errorf("printed %q, not %q", got, want)
	}
}

// Processes that have come and gone are forgotten.
func TestUserSymbolsAreFlat(t *testing.T) {
	u := symbol.NewUserSymbols()
	for range scale(700) {
		cmd := exec.Command(loadBinary, "sleep", "60000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		u.CacheMappings(cmd.Process.Pid)
		var exit *exec.ExitError
		if err := errors.Join(cmd.Process.Kill()); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Fatal(err)
		}
	}
	if n := u.Known(); n > 512 {
		t.Errorf("it knows %d processes", n)
	}
	u.CacheMappings(os.Getpid())
	if n := u.Known(); n == 0 {
		t.Error("it knows none")
	}
}

// Detached probes hold no kernel objects, still report what they reported before, and can be
// attached again.
func TestDetachedIsFlat(t *testing.T) {
	l := newLive(t, func(*Options) {})
	if err := l.script(`
c, full = count(), count(max_keys=1)
p = probe(` + lseek + `, lambda e: full.add(by=e.args.offset), filter=lambda e: e.comm == "load")
p.stats()
make("newkeys", 10, 1)
p.detach()
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	for _, name := range []string{"p", "c"} {
		l.names.Predeclared[name] = l.names.Globals[name]
	}
	before, err := leakcheck.OfProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.script(fmt.Sprintf(`
print(p.stats().hits > 9, p.errors()[0].count)
for i in range(%d):
    probe(`+lseek+`, lambda e: c.add(by=e.comm)).detach()
p.attach()
make("newkeys", 10, 1)
print(p.errors()[0].count)
p.detach()
print(p.errors()[0].count, p.stats().hits > 19, p)
`, scale(100))); err != nil {
		t.Fatal(l.FormatError(err))
	}
	after, err := leakcheck.OfProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if len(after.Programs) > len(before.Programs) || len(after.Links) > len(before.Links) || len(after.Maps) > len(before.Maps)+2 || after.Events > before.Events {
		t.Errorf("it held %d programs, %d maps, %d links and %d events, and holds %d, %d, %d and %d", len(before.Programs), len(before.Maps), len(before.Links), before.Events,
			len(after.Programs), len(after.Maps), len(after.Links), after.Events)
	}
	if out := l.out.String(); !strings.HasPrefix(out, "True 9\n18\n18 True <probe tracepoint:syscalls:sys_enter_lseek, detached") {
		t.Errorf("printed %q", out)
	}
}

// A session that attaches and detaches probes forever forgets those that have nothing to report,
// with their memory, and no others.
func TestDetachedAreForgotten(t *testing.T) {
	for _, specs := range []string{`"begin"`, `["tracepoint:irq:*", "tracepoint:signal:*"]`} { // the second has a gate
		l := newLive(t, nil)
		if err := l.script(`
c, full = count(), count(max_keys=1)
told = probe(` + lseek + `, lambda e: full.add(by=e.args.offset), filter=lambda e: e.comm == "load")
make("newkeys", 10, 1)
told.detach()
def again(n):
    for i in range(n):
        probe(` + specs + `, lambda e: c.add(by=e.comm)).detach()
first = probe(` + lseek + `, lambda e: c.add(by=e.comm), filter=lambda e: e.comm == "load")
first.detach()
c.clear()
`); err != nil {
			t.Fatal(l.FormatError(err))
		}
		for _, name := range []string{"again", "first", "c"} {
			l.names.Predeclared[name] = l.names.Globals[name]
		}
		heap := func() int64 {
			if err := l.script(fmt.Sprintf("again(%d)", keptDetached+10)); err != nil {
				t.Fatal(l.FormatError(err))
			}
			l.detaching.closing.Wait()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before := heap()
		if specs == `"begin"` { // the others take longer
			if grown := heap() - before; grown > 300<<10 {
				t.Errorf("%d bytes more", grown)
			}
		}
		missed := 0 // probes that report events missed in nested interrupts, which are kept
		for _, p := range l.reg.probes {
			st, err := p.stats()
			if err != nil {
				t.Fatal(err)
			}
			if st.Missed > 0 {
				missed++
			}
		}
		if n := len(l.reg.probes); n-missed > keptDetached+1 {
			t.Errorf("%s: it knows %d probes, %d of which missed events", specs, n, missed)
		}
		if err := l.script(`
print(errors()[0].count, len(attached()))
first.attach()
make("newkeys", 10, 1)
print(c["load"], len(attached()))
first.detach()
`); err != nil {
			t.Fatal(l.FormatError(err))
		}
		if got, want := l.out.String(), "9 0\n10 1\n"; got != want {
			t.Errorf("%s: printed %q, want %q", specs, got, want)
		}
	}
}

// Frames can be looked up at every moment of a sweep: the goroutine that prints reads them
// concurrently.
func TestFramesDuringSweep(t *testing.T) {
	l := newLive(t, nil)
	st, err := l.stacks.Get(4)
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(st.Room()/2 + 1)
	fill := func() error {
		b := make([]byte, st.Map().ValueSize())
		binary.NativeEndian.PutUint64(b, 8)
		for id := range n {
			if err := st.Map().Update(binary.NativeEndian.AppendUint64(nil, 1+id), b, 0); err != nil {
				return err
			}
		}
		return nil
	}
	if err := fill(); err != nil {
		t.Fatal(err)
	}
	over, missing := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for id := uint64(0); err == nil; id++ {
			select {
			case <-over:
				missing <- nil
				return
			default:
				_, err = st.Frames(1 + id%n)
			}
		}
		missing <- err
	}()
	rounds := 5
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		if err = errors.Join(l.reg.sweep(st, "4", map[uint64]bool{}), fill()); err != nil {
			break
		}
	}
	close(over)
	if err = errors.Join(err, <-missing); err != nil {
		t.Error(err)
	}
}
