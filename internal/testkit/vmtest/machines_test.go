//go:build machines

package vmtest

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m, buildbin.Clean)) }

// TestLockups checks that, if a virtual machine panics, locks up or hangs in TestB, the tests that
// did not run are run in another one, and the report mentions it. Each case takes up to a minute
// and a half. Run it with make vmlockups.
func TestLockups(t *testing.T) {
	if err := Install(os.Stderr); err != nil {
		t.Fatal(err)
	}
	guest, err := buildbin.Build("internal/testkit/vmtest/guest")
	if err != nil {
		t.Fatal(err)
	}
	k, err := FindKernel("6.1")
	if err != nil {
		t.Fatal(err)
	}
	const noProgress = "a processor made no progress"
	for _, c := range []struct {
		bad     string
		why     []string // one of these
		console string
	}{
		{"panic", []string{"the machine reset"}, "sysrq: Trigger a crash"},
		{"lockup", []string{"the machine reset", noProgress}, "__sys_bpf"}, // the kernel's watchdog fires first unless the host is too busy
		{"deaf", []string{noProgress}, "bpf_overflow_handler"},
		{"hang", []string{"the program produced no output and used no CPU time"}, ""},
	} {
		t.Run(c.bad, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			r := runner{start: k.start, out: &out, command: Command{Program: guest, Args: []string{"-bad", c.bad}, Limit: 5 * time.Minute, Idle: idleLimit, Output: &out}}
			start := time.Now()
			r.run([]string{"TestA", "TestB", "TestC"})
			t.Logf("%.0f s, kernel %s\n%s", time.Since(start).Seconds(), r.release, r.again)
			if r.err != nil || r.verdict.err() != nil || r.verdict.passed != 3 {
				t.Errorf("%v, %v, %d passed", r.err, r.verdict.err(), r.verdict.passed)
			}
			found := slices.ContainsFunc(c.why, func(why string) bool { return strings.Contains(r.again, why) })
			if !found || !strings.Contains(r.again, c.console) || !strings.Contains(r.again, "run again: TestB TestC") {
				t.Errorf("want one of %q, and %q", c.why, c.console)
			}
		})
	}
}

// patching repeatedly attaches and detaches programs on system call entry and exit, for which the
// kernel patches a jump in the code of both paths, while both CPUs make system calls.
const patching = `
c = count()
p = probe("rawtracepoint:sys_enter", lambda e: c.add())
q = probe("rawtracepoint:sys_exit", lambda e: c.add())
loads = [spawn(["/payload/loadgen", "-cpu", str(cpu), "getppid", "1000000000"]) for cpu in range(2)]
def cycle(n):
    for i in range(n):
        p.detach()
        q.detach()
        p.attach()
        q.attach()
cycle(600)
print("done", c.value > 0)
`

// TestPatching checks that a kernel may patch code that its CPUs are running. Under QEMU 7.2,
// kernel 5.10 locks up within the first 250 rounds.
func TestPatching(t *testing.T) {
	if err := Install(os.Stderr); err != nil {
		t.Fatal(err)
	}
	bpfrepl, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	load, err := buildbin.Build("internal/testkit/loadgen")
	if err != nil {
		t.Fatal(err)
	}
	k, err := FindKernel("5.10")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	res, err := k.start(Command{Program: bpfrepl, Args: []string{"--allow-run", "--no-summary", "-e", patching}, Files: Files{"payload/loadgen": load}, Limit: 10 * time.Minute, Output: &out})
	if err != nil || res.Status != 0 || !strings.Contains(out.String(), "done True\n") {
		t.Errorf("status %d, %v\n%s", res.Status, err, out.String())
	}
	t.Logf("%.0f s", res.Took.Seconds())
}
