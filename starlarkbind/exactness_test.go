package starlarkbind

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

// The loads of this file call lseek with a bad descriptor, which nothing else does while they run.
// The key is the offset.
const lseek = `"tracepoint:syscalls:sys_enter_lseek"`

// scale reduces a load if the tests are to be short: in a virtual machine, whose two CPUs are
// emulated.
func scale(n int) int {
	if testing.Short() {
		return n / 50
	}
	return n
}

// Both CPUs create each new key at the same moment: no event is lost, and no EEXIST is reported.
func TestRaceNewKeys(t *testing.T) {
	n := scale(20000)
	for _, c := range []struct{ name, make, value string }{
		{"count", "count(max_keys=30000)", "v"},
		{"sum", "sum(max_keys=30000)", "v"},
		{"avg", "avg(max_keys=30000)", "2 * v"},
		{"stats", "stats(max_keys=30000)", "v.count"},
		{"hist", "hist(max_keys=30000)", "v.count"},
		{"lhist", "lhist(0, 10, 1, max_keys=30000)", "v.count"},
		{"min", "min(max_keys=30000)", "2 * v"},
		{"max", "max(max_keys=30000)", "2 * v"},
		{"table", "table(max_keys=30000)", "v"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLive(t, nil)
			err := l.script(fmt.Sprintf(`
m = %s
p = probe(%s, lambda e: m.add(by=e.args.offset), filter=lambda e: e.comm == "load")
make("racekeys", %d, 1000000)
p.detach()
print(len(m), sum([%s for v in m.values()]), len(errors()), p.stats().missed)
`, c.make, lseek, n, c.value))
			if err != nil {
				t.Fatal(l.FormatError(err))
			}
			if got, want := strings.TrimSpace(l.out.String()), fmt.Sprintf("%d %d 0 0", n, 2*n); got != want {
				t.Errorf("keys, events, errors, missed: got %s, want %s", got, want)
			}
			if l.err.String() != "" {
				t.Errorf("warnings: %s", l.err)
			}
		})
	}
}

// One key, or no key, updated by both CPUs without synchronization.
func TestSameKey(t *testing.T) {
	n := scale(200000)
	expect(t, fmt.Sprintf(`
keyed, bare, tab, h = count(), count(), table(), hist()
def enter(e):
    keyed.add(by=e.args.offset)
    bare.add()
    tab.add(by=e.args.offset)
    h.add(e.args.offset)
p = probe(`+lseek+`, enter, filter=lambda e: e.comm == "load")
make("samekey", %d)
p.detach()
print(keyed[7], bare.value, tab[7], h.value.count, h.value.sum, h.value.min, h.value.max, errors(), p.stats().missed)
`, n), fmt.Sprintf("%d %d %d %d %d 7 7 [] 0", 2*n, 2*n, 2*n, 2*n, 14*n))
}

// A map that overflows on two CPUs: sum(map) + sum(errors) + missed = events, for new and existing
// keys.
func TestFullMap(t *testing.T) {
	n := scale(20000)
	l := newLive(t, nil)
	err := l.script(fmt.Sprintf(`
m = count(max_keys=100)
events = count()
def enter(e):
    events.add()
    m.add(by=e.args.offset)
p = probe(`+lseek+`, enter, filter=lambda e: e.comm == "load")
make("racekeys", %d, 5000000)
make("racekeys", 100, 5000000)
p.detach()
errs = errors()
e = errs[0]
print(events.value, sum(m.values()) + sum([e.count for e in errs]) + p.stats().missed, len(m), m.dropped == sum([e.count for e in errs]))
print(len(errs), e.helper, e.code, e.errno, e.message, e.hint, e.map, e.pos, e.source, e.probe, e.first <= e.last and e.first > 0, sep="|")
print(p.errors() == errs, sorted(errs) == errs)
clear_errors()
print(errors())
`, n))
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := fmt.Sprintf("%d %d 100 True\n", 2*n+200, 2*n+200) + `1|map_update_elem|-7|E2BIG|m is full: its 100 keys are taken, so a new one was dropped|make it larger: max_keys=256|m|test.star:6:10|m.add(by=e.args.offset)|tracepoint:syscalls:sys_enter_lseek|True
True True
[]
`
	if got := l.out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The warning about a full map: once when it happens, and once with the total at the end, with this
// exact text.
func TestFullMapWarning(t *testing.T) {
	l := newLive(t, nil)
	if err := l.script(`
m = count(max_keys=10)
p = probe(` + lseek + `, lambda e: m.add(by=e.args.offset), filter=lambda e: e.comm == "load")
make("newkeys", 110, 5000000)
run(0)
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := `WARNING: test.star:3:65: m is full: its 10 keys are taken, so a new one was dropped (map_update_elem: E2BIG)
    p = probe("tracepoint:syscalls:sys_enter_lseek", lambda e: m.add(by=e.args.offset), filter=lambda e: e.comm == "load")
                                                                    ^
    hint: make it larger: max_keys=32
WARNING: test.star:3:65: m is full: its 10 keys are taken, so a new one was dropped (map_update_elem: E2BIG), 100 times in all
`
	if got := l.err.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// delta() and clear() under load: their results add up to exactly the number of events.
func TestDeltaAndClear(t *testing.T) {
	for _, kind := range []string{"count", "stats"} {
		count := "v"
		if kind == "stats" {
			count = "v.count"
		}
		t.Run(kind, func(t *testing.T) {
			n := scale(300000)
			expect(t, fmt.Sprintf(`
m = %s(max_keys=100)
p = probe(%s, lambda e: m.add(by=e.args.offset %% 50), filter=lambda e: e.comm == "load")
cmd = spawn(["%s", "newkeys", "%d", "0"])
total = [0]
every(0.02, lambda: total.append(sum([%s for v in m.delta().values()])))
run(cmd)
p.detach()
total.append(sum([%s for v in m.delta().values()]))
whole = sum([%s for v in m.values()])
print(sum(total), whole)
m.clear()
print(len(m), m.delta())
`, kind, lseek, loadBinary, n, count, count, count), fmt.Sprintf("%d %d\n0 {}", n, n))
		})
	}
}

// burstKeys is the number of keys that TestBurst creates. docs/exactness.md uses more than the
// default.
var burstKeys = flag.Int("burst-keys", 100_000, "new keys of TestBurst")

// New keys that arrive as fast as possible all find memory, in a map so large that earlier versions
// of bpfrepl did not preallocate it.
func TestBurst(t *testing.T) {
	n := scale(*burstKeys)
	l := newLive(t, nil)
	if err := l.script(fmt.Sprintf(`
h = hist(max_keys=%d)
p = probe(%s, lambda e: h.add(1, by=e.args.offset), filter=lambda e: e.comm == "load")
make("racekeys", %d, 1000000)
p.detach()
print(len(h), errors(), p.stats().missed)
`, *burstKeys, lseek, n)); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got, want := strings.TrimSpace(l.out.String()), fmt.Sprintf("%d [] 0", n); got != want || l.err.String() != "" {
		t.Errorf("got %s, want %s; %s", got, want, l.err)
	}
}
