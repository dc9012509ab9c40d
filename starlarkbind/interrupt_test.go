package starlarkbind

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// A signaller is the output of a script. When the script prints "now", it presses Ctrl-C a moment
// later.
type signaller struct {
	buffer
	press func()
	after time.Duration
	mu    sync.Mutex
	at    time.Time
}

func (s *signaller) Write(p []byte) (int, error) {
	if string(p) == "now\n" {
		time.AfterFunc(s.after, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.at = time.Now()
			s.press()
		})
		return len(p), nil
	}
	return s.buffer.Write(p)
}

// pressed returns the time since Ctrl-C was pressed.
func (s *signaller) pressed() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.at)
}

func newSignaller(t *testing.T) (*live, *signaller) {
	t.Helper()
	s := &signaller{after: 20 * time.Millisecond}
	l := newLive(t, func(o *Options) { o.Stdout = s })
	s.press = l.Interrupt
	l.names.Predeclared["pressed"] = starlark.NewBuiltin("pressed", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		if d := s.pressed(); d > soon() {
			return starlark.String(d.String()), nil
		}
		return starlark.String("soon"), nil
	})
	return l, s
}

// tries is how often a script may be too slow. On a busy host any of the forty scripts is slow now
// and then.
const tries = 5

// soon returns how long a script may continue after Ctrl-C on a busy host. Emulated machines have
// more time.
func soon() time.Duration {
	if testing.Short() {
		return time.Second
	}
	return 100 * time.Millisecond
}

// Whatever a script does, Ctrl-C ends it soon. In a callback of run(), Ctrl-C ends the callback and
// run(); the code after it prints the counts.
func TestInterruptSoon(t *testing.T) {
	for _, c := range []struct{ name, src, out string }{
		{"loop", `
print("now")
while True:
    pass
`, ""},
		{"functions", `
def f(x):
    return [y for y in range(1000) if y % 7 == x]
print("now")
while True:
    f(3)
`, ""},
		{"command", `
print("now")
run_command(["` + loadBinary + `", "spin", "600000"])
`, ""},
		{"callback", `
c = count()
probe(` + lseek + `, lambda e: c.add(), filter=lambda e: e.comm == "load")
make("newkeys", 5, 1)
ticks = []
def tick():
    ticks.append(1)
    print("now")
    while len(ticks) == 1:
        pass
every(0.001, tick)
run()
print(pressed(), c.value)
run(0.1)
print(len(ticks) > 1)
`, "soon 5\nTrue\n"},
		{"reader", `
s = stream()
probe(` + lseek + `, lambda e: s.emit(n=e.args.offset), filter=lambda e: e.comm == "load")
make("newkeys", 5, 1)
def each(ev):
    if ev.n == 2:
        print("now")
        while True:
            pass
s.each(each)
run()
print(pressed(), s.emitted)
`, "soon 5\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var took time.Duration
			var out, warned string
			var err error
			for range tries {
				l, s := newSignaller(t)
				err = l.script(c.src)
				warned = l.err.String()
				if took, out = s.pressed(), s.String(); (took <= soon() || c.out != "") && out == c.out {
					break
				}
			}
			if out != c.out || c.out == "" && !errors.Is(err, runner.ErrInterrupted) || c.out != "" && err != nil {
				t.Errorf("printed %q, want %q; %v", out, c.out, err)
			}
			if took > soon() && c.out == "" {
				t.Errorf("it took %v", took)
			}
			want := ""
			if fn := map[string]string{"callback": "tick", "reader": "each"}[c.name]; fn != "" {
				want = "WARNING: " + fn + " did not return soon enough after Ctrl-C and was cancelled: its unfinished work is missing from what follows\n"
			}
			if warned != want {
				t.Errorf("warned %q, want %q", warned, want)
			}
		})
	}
}

// Reading, sorting or printing a million keys does not delay Ctrl-C either.
func TestInterruptSnapshot(t *testing.T) {
	n := scale(1000000)
	l, s := newSignaller(t)
	if err := l.script(fmt.Sprintf(`
m, t = count(max_keys=%d), table(max_keys=%d)
def h(e):
    m.add(by=e.args.offset)
    t[e.args.offset] = 1
p = probe(%s, h, filter=lambda e: e.comm == "load")
make("newkeys", %d, 1)
p.detach()
`, n, n, lseek, n)); err != nil {
		t.Fatal(l.FormatError(err))
	}
	l.names.Predeclared["m"], l.names.Predeclared["t"] = l.names.Globals["m"], l.names.Globals["t"]
	for _, what := range []string{"m.snapshot()", "m.top(10)", "m.items()", "m.delta()", "len(m)", "t.snapshot()", "print(m)", "to_csv(m)", "plot(m)"} {
		t.Run(what, func(t *testing.T) {
			afters := []time.Duration{20 * time.Millisecond, 600 * time.Millisecond, 1300 * time.Millisecond}
			if testing.Short() {
				afters = afters[1:2]
			}
			for _, s.after = range afters {
				var took time.Duration
				var err error
				for range tries {
					err = l.script(`
print("now")
while True:
    ` + what)
					if took = s.pressed(); took <= soon() {
						break
					}
				}
				if took > soon() || !errors.Is(err, runner.ErrInterrupted) {
					t.Errorf("Ctrl-C after %v was heard %v later: %v", s.after, took, err)
				}
			}
		})
	}
}
