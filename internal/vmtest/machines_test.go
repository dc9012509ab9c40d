//go:build machines

package vmtest

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bpfrepl/bpfrepl/internal/gobin"
	"github.com/bpfrepl/bpfrepl/internal/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m, gobin.Clean)) }

// Machines that panic, lock up or stand still in TestB: what did not run is run in another one, and the report tells of it. Each
// takes up to a minute and a half: make vmlockups.
func TestLockups(t *testing.T) {
	if err := Install(os.Stderr); err != nil {
		t.Fatal(err)
	}
	guest, err := gobin.Build("internal/vmtest/guest")
	if err != nil {
		t.Fatal(err)
	}
	k, err := FindKernel("6.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ bad, why, console string }{
		{"panic", "it reset", "sysrq: Trigger a crash"},
		{"lockup", "it reset", "watchdog: BUG: soft lockup"},
		{"deaf", "a processor made no progress", ""},
		{"hang", "the program neither printed nor computed", ""},
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
			if !strings.Contains(r.again, c.why) || !strings.Contains(r.again, c.console) || !strings.Contains(r.again, "run again: TestB TestC") {
				t.Errorf("want %q and %q", c.why, c.console)
			}
		})
	}
}
