package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

// TestTestsEnd ends a run of tests by signals. The running test fails, the next one does not run,
// and neither probes nor processes are left.
func TestTestsEnd(t *testing.T) {
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	load, _, err := buildbin.Load()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x_test.star")
	if err := os.WriteFile(file, []byte(`
calls = count()
def test_waits():
    probe("tracepoint:raw_syscalls:sys_enter", lambda e: calls.add(by=e.comm))
    sleeper = spawn(["`+load+`", "spin", "600000"])
    print("ready", sleeper.pid)
    run()
def test_next():
    print("not reached")
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			cmd := exec.Command(bin, "test", "-v", "--allow-run", file)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() }).Stop() // the checks below then fail
			var objects leakcheck.Objects
			var text strings.Builder
			child := ""
			for in := bufio.NewScanner(out); in.Scan(); {
				text.WriteString(in.Text() + "\n")
				if pid, ok := strings.CutPrefix(in.Text(), "ready "); ok {
					child = pid
					if objects, err = leakcheck.OfProcess(cmd.Process.Pid); err != nil {
						t.Error(err)
					}
					if err := cmd.Process.Signal(sig); err != nil {
						t.Error(err)
					}
				}
			}
			cmd.Wait() // the exit code is checked below
			if code := cmd.ProcessState.ExitCode(); code != exitError {
				t.Errorf("exit status %d", code)
			}
			got := times.ReplaceAllString(text.String(), "0s")
			want := "=== RUN   test_waits\nready " + child + "\n--- FAIL: test_waits (0s)\n    interrupted\nFAIL\nFAIL\t" + file + "\t0s\ninterrupted: the other tests were not run\nFAIL\n"
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if len(objects.Programs) == 0 {
				t.Error("the test held no program")
			}
			if err := objects.Gone(10 * time.Second); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat("/proc/" + child); child == "" || err == nil {
				t.Errorf("process %s is left", child)
			}
		})
	}
}
