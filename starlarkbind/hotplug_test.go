package starlarkbind

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
)

// switchCPU takes CPU 1 offline, or online again.
func switchCPU(on bool) error {
	text := "0"
	if on {
		text = "1"
	}
	return os.WriteFile("/sys/devices/system/cpu/cpu1/online", []byte(text), 0o600)
}

// A CPU goes offline and comes back. No count made on it is lost, no event is counted twice, and
// probes with an event per CPU are attached to it again, with a message.
func TestHotplug(t *testing.T) {
	if os.Getenv(buildbin.Folder) == "" {
		bpftest.SkipOn(t, bpftest.WithWork)
	}
	l := newLive(t, nil)
	t.Cleanup(func() { // other tests need both CPUs
		if err := switchCPU(true); err != nil && !strings.Contains(err.Error(), "invalid") {
			t.Error(err)
		}
	})
	l.names.Predeclared["cpu1"] = starlark.NewBuiltin("cpu1", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return starlark.None, switchCPU(bool(args[0].Truth()))
	})
	l.names.Predeclared["followed"] = starlark.NewBuiltin("followed", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		want, err := starlark.AsInt32(args[0])
		if err != nil {
			return nil, err
		}
		for start := time.Now(); min(strings.Count(l.err.String(), "page-faults"), strings.Count(l.err.String(), "profile")) < want; time.Sleep(time.Millisecond) {
			if time.Since(start) > time.Minute {
				return nil, errors.New("nothing was attached to the CPU that came back")
			}
		}
		return starlark.None, nil
	})
	err := l.script(strings.NewReplacer("PROG", build(t, "faults"), "LOAD", loadBinary).Replace(`
calls, faults, samples, ticks = count(), count(), count(), count()
probe("tracepoint:syscalls:sys_enter_getppid", lambda e: calls.add(by=e.cpu), filter=lambda e: e.comm == "load")
probe("software:page-faults:1", lambda e: faults.add(by=e.cpu), filter=lambda e: e.comm == "faulting")
probe("profile:hz:100", lambda e: samples.add(by=e.cpu))
probe("interval:ms:10", lambda e: ticks.add(by=e.cpu))
def work(n):
    for cpu in cpus():
        make("-cpu", cpu, "getppid", n)
        run(spawn(["PROG", str(cpu), str(n)]))
work(100)
def ticking(cpu):
    before = ticks.get(cpu, 0)
    for i in range(1000):
        if ticks.get(cpu, 0) > before:
            return True
        run(0.01)
    return False
print(ticking(0), ticks.get(1, 0))
print(sorted(calls.items()), sorted(faults.items()))
cpu1(False)
work(20)
print(cpus(), sorted(calls.items()), sorted(faults.items())) # all that the absent CPU counted is there
n = samples[1]
make("spin", 100)
print(samples[1] == n, ticking(0))
cpu1(True)
followed(1)
work(3)
print(cpus(), sorted(calls.items()), sorted(faults.items()))
make("-cpu", 1, "spin", 200)
print(samples[1] > n)

# off and on at once, and again, while a load runs
p = spawn(["LOAD", "-comm", "load", "getppid", "20000"])
for i in range(3):
    cpu1(False)
    cpu1(True)
    followed(i + 2)
run(p)
work(1000)
print(sum(calls.values()), sum(faults.values()))
a, b = samples[0], samples[1]
make("-cpu", 0, "spin", 200)
make("-cpu", 1, "spin", 200)
print(samples[0] > a, samples[1] > b, ticking(0) or ticking(1))
`))
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := `True 0
[(0, 100), (1, 100)] [(0, 100), (1, 100)]
[0] [(0, 120), (1, 100)] [(0, 120), (1, 100)]
True True
[0, 1] [(0, 123), (1, 103)] [(0, 123), (1, 103)]
True
22226 2226
True True True
`
	if got := l.out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	warned := map[string]int{}
	for line := range strings.Lines(l.err.String()) {
		warned[line]++
	}
	for _, probe := range []string{"software:page-faults:1", "profile:hz:100"} {
		text := "WARNING: CPU 1 came online: " + probe + " is attached to it from now on; earlier events on it were not seen\n"
		if warned[text] < 4 || len(warned) != 2 {
			t.Errorf("got %v, want 4 times or more %q", warned, text)
		}
	}
}
