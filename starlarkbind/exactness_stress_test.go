package starlarkbind

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// Counts under loads that make other tracers count wrong. docs/exactness.md has the same at full
// size, compared with bpftrace.

// Every kind of aggregation, with and without a key, updated by both CPUs.
func TestSameKeyKinds(t *testing.T) {
	n := scale(100000)
	for _, c := range []struct{ make, value string }{
		{"count(%s)", "v // 7"}, {"sum(%s)", "v // 7"}, {"avg(%s)", "int(v) * events.value // 7"}, {"stats(%s)", "v.count if v.sum == 7 * v.count else 0"},
		{"hist(%s)", "v.count if v.sum == 7 * v.count else 0"}, {"lhist(0, 10, 1%s)", "v.count"}, {"min(%s)", "v * events.value // 7"}, {"max(%s)", "v * events.value // 7"},
	} {
		t.Run(c.make, func(t *testing.T) {
			sep := ""
			if strings.HasPrefix(c.make, "lhist") {
				sep = ", "
			}
			expect(t, fmt.Sprintf(`
keyed, bare, events = %s, %s, count()
def enter(e):
    keyed.add(7, by=e.args.offset)
    bare.add(7)
    events.add()
p = probe(%s, enter, filter=lambda e: e.comm == "load")
make("samekey", %d)
p.detach()
def times(v):
    return %s
print(len(keyed), times(keyed[7]), times(bare.value), events.value, errors(), p.stats().missed)
`, fmt.Sprintf(c.make, sep+"max_keys=10"), fmt.Sprintf(c.make, ""), lseek, n, c.value), fmt.Sprintf("1 %d %d %d [] 0", 2*n, 2*n, 2*n))
		})
	}
}

// Forks and threads by name: short-lived names, each counted to the last event.
func TestForks(t *testing.T) {
	n := scale(500)
	expect(t, fmt.Sprintf(`
m = count(max_keys=8192)
p = probe(%s, lambda e: m.add(by=e.comm), filter=lambda e: e.comm.startswith("ld"))
make("forks", %d)
p.detach()
print(len(m), sum(m.values()), set(m.values()) == set([10]), errors(), p.stats().missed)
`, lseek, n), fmt.Sprintf("%d %d True [] 0", n, 10*n))
}

// Programs that interrupt each other on one map: two processes in a uprobe, either of which can be
// preempted in the middle of the handler; a tracepoint; and timers in between. Timer runs that the
// kernel skips are not counted as hits.
func TestNesting(t *testing.T) {
	n := scale(50000)
	prog := build(t, "calls")
	expect(t, strings.ReplaceAll(fmt.Sprintf(`
shared, seconds, sizes = count(), stats(), table()
def h(e):
    shared.add(by="all")
    seconds.add(1)
    sizes.add(2, by=0)
u = probe("uprobe:PROG:six", h)
l = probe(%s, h, filter=lambda e: e.comm == "load")
timers = [probe("software:cpu-clock:100000", h), probe("profile:hz:999", h)]
procs = [spawn(["PROG", "%d"]), spawn(["PROG", "%d"]), spawn(["%s", "newkeys", "%d", "0"])]
for p in procs:
    run(p)
all = timers + [u, l]
for p in all:
    p.detach()
hits = sum([p.stats().hits for p in timers])
lost = sum([p.stats().missed for p in [u, l]])
want = %d + hits - lost
print(shared["all"] == want, seconds.value.count == want, seconds.value.sum == want, sizes[0] == 2 * want, hits > 0, u.stats().hits, errors())
`, lseek, n, n, loadBinary, 5*n, 7*n), "PROG", prog), fmt.Sprintf("True True True True True %d []", 2*n))
}

// Whenever a snapshot is taken, each key has a value between its true values before and after, and
// no key that was present throughout is missing.
func TestSnapshotUnderLoad(t *testing.T) {
	n := scale(200000)
	l := newLive(t, nil)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(l.FormatError(err))
		}
	}
	must(l.script(fmt.Sprintf(`
m, events = count(max_keys=%d), count()
def enter(e):
    events.add()
    m.add(by=e.args.offset)
p = probe(%s, enter, filter=lambda e: e.comm == "load")
make("newkeys", %d, 0)
`, n, lseek, n)))
	cmd := exec.Command(loadBinary, "cycle", fmt.Sprint(6*n), fmt.Sprint(n))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	snaps, between := 0, 0
	m, events := l.names.Globals["m"].(*maps.Aggregation), l.names.Globals["events"].(*maps.Aggregation)
	total := func() uint64 {
		w, err := events.Read(context.Background())
		must(err)
		return w.Get("")[0]
	}
	for ended := false; !ended; {
		before := total()
		w, err := m.Read(context.Background())
		must(err)
		after := total()
		ended = before == uint64(7*n)
		snaps++
		if before > uint64(n) && !ended {
			between++
		}
		if len(w.Keys) != n {
			t.Fatalf("snapshot %d has %d keys, want %d", snaps, len(w.Keys), n)
		}
		sum := uint64(0)
		for i, k := range w.Keys {
			// The load goes through the keys from 0 on, again and again.
			at := uint64(wordOf(k))
			count := func(events uint64) uint64 { return (events + uint64(n) - 1 - at) / uint64(n) }
			v := w.Vals[i][0]
			sum += v
			if v+1 < count(before) || v > count(after) { // one event may be counted in events but not yet in m
				t.Fatalf("snapshot %d: key %d is %d; it was %d before and %d after", snaps, at, v, count(before), count(after))
			}
		}
		if before == uint64(7*n) && sum != before {
			t.Errorf("the last snapshot adds up to %d, want %d", sum, before)
		}
	}
	must(cmd.Wait())
	if between == 0 {
		t.Errorf("none of %d snapshots was taken while the load ran", snaps)
	}
	t.Logf("%d snapshots, %d while the load ran", snaps, between)
}

// wordOf parses an int key.
func wordOf(key string) int64 {
	var n int64
	for i := 7; i >= 0; i-- {
		n = n<<8 | int64(key[i])
	}
	return n
}

// clear() under load: afterwards the map contains what arrived since, no more and no less.
func TestClearUnderLoad(t *testing.T) {
	n := scale(1000000)
	expect(t, fmt.Sprintf(`
m, events = count(max_keys=1000), count()
def enter(e):
    events.add()
    m.add(by=e.args.offset)
p = probe(%s, enter, filter=lambda e: e.comm == "load")
cmd = spawn(["%s", "cycle", "%d", "1000"])
bad, clears = [], [(0, 0)]                   # events before and after each clear
def look():
    first = events.value
    n = sum(m.values())
    last = events.value
    before, after = clears[-1]
    if n + 1 < first - after or n > last - before:   # one can be counted in events and not in m yet
        bad.append((n, first, last, before, after))
def tick():
    look()
    before = events.value
    m.clear()
    clears.append((before, events.value))
every(0.01, tick)
run(cmd)
p.detach()
look()
print(bad[:3], len(clears) > 3, events.value, errors(), p.stats().missed)
`, lseek, loadBinary, n), fmt.Sprintf("[] True %d [] 0", n))
}

// A warning about a map that fills up comes once, before it drops anything, with this exact text.
func TestFillWarning(t *testing.T) {
	l := newLive(t, nil)
	if err := l.script(`
m, t = count(max_keys=100), table(max_keys=100, lru=True)
def enter(e):
    m.add(by=e.args.offset)
    t[e.args.offset] = 1
p = probe(` + lseek + `, enter, filter=lambda e: e.comm == "load")
make("newkeys", 90, 5000000)
run(0.6)
run(1.2)
print(len(m), m.dropped)
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := `WARNING: m has 90 of at most 100 keys; when it is full, new keys will be dropped
    hint: make it larger: max_keys=256
`
	got := l.err.String()
	if lru := strings.Index(got, "WARNING: t has "); lru >= 0 { // the kernel begins to evict before the map is full
		got = got[:lru]
	}
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := l.out.String(); got != "90 0\n" {
		t.Errorf("got %s", got)
	}
}

// The kernel evicts keys of a table with lru=True without reporting it; the number of evicted keys
// is exact all the same. A key that two CPUs create at the same moment is created once, whichever
// way it is written.
func TestEvictions(t *testing.T) {
	n := scale(20000)
	l := newLive(t, nil)
	if err := l.script(fmt.Sprintf(`
set, add, both, popped = [table(max_keys=size, lru=True) for size in [%[4]d, %[4]d, %[2]d, %[2]d]]
def enter(e):
    k = e.args.offset
    set[k] = k
    add.add(by=k)
    popped[k] = 1
    if k %% 2:
        popped.pop(k)
p = probe(%[1]s, enter, filter=lambda e: e.comm == "load")
make("newkeys", %[3]d, 1)
p.detach()
print([t.evicted + len(t) == %[3]d for t in [set, add]], set.evicted > 0, add.evicted > 0, popped.evicted, len(popped))

def race(e):
    both[e.args.offset] = 1
    both[e.args.offset] = 2
p = probe(%[1]s, race, filter=lambda e: e.comm == "load")
make("racekeys", %[3]d, 1000000)
print(len(both), both.evicted)
p.detach()

for k in range(%[4]d):       # the script's own keys
    set[-1 - k] = k
print(set.evicted + len(set) == %[3]d + %[4]d)
gone = len(popped)
popped.clear()
print(popped.evicted, gone, table().evicted, errors(), p.stats().missed)
`, lseek, 8*n, n, n/20)); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got, want := l.out.String(), fmt.Sprintf("[True, True] True True 0 %[2]d\n%[1]d 0\nTrue\n0 %[2]d 0 [] 0\n", n, n/2); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// With --warnings=all the run reports evicted keys at its end.
func TestEvictedWarning(t *testing.T) {
	l := newLive(t, func(o *Options) { o.Warnings = warnings.All })
	if err := l.script(`
t = table(max_keys=1, lru=True)
for k in range(300):
    t[k] = 1
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	n, err := l.names.Globals["t"].(*maps.Table).Evicted(context.Background())
	if err != nil || n == 0 {
		t.Fatalf("%d keys were evicted, %v", n, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := l.err.String(), fmt.Sprintf("WARNING: t: the kernel removed %d keys to make room for new ones (lru=True)\n", n); !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
