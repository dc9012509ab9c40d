package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func run(t *testing.T, argv ...string) *Result {
	t.Helper()
	res, err := Run(t.Context(), "run_command", argv)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		argv           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"sh", "-c", "echo out; echo err >&2; exit 3"}, 3, "out\n", "err\n"},
		{[]string{"sh", "-c", "kill -TERM $$"}, 128 + 15, "", ""},
		{[]string{"cat"}, 0, "", ""}, // standard input is empty
		{[]string{"printf", "a\\0b"}, 0, "a\x00b", ""},
	} {
		if res := run(t, c.argv...); res.ExitCode != c.code || string(res.Stdout) != c.stdout || string(res.Stderr) != c.stderr {
			t.Errorf("%q: %d %q %q", c.argv, res.ExitCode, res.Stdout, res.Stderr)
		}
	}
}

// All output of a command arrives, up to the limit.
func TestRunOutput(t *testing.T) {
	if res := run(t, "sh", "-c", fmt.Sprintf("head -c %d /dev/zero; head -c %d /dev/zero >&2", mostOutput, mostOutput)); len(res.Stdout) != mostOutput || len(res.Stderr) != mostOutput {
		t.Errorf("%d and %d bytes, want %d", len(res.Stdout), len(res.Stderr), mostOutput)
	}
	for to, name := range map[string]string{"1": "output", "2": "error"} {
		_, err := Run(t.Context(), "run_command", []string{"sh", "-c", "yes >&" + to})
		if want := "run_command: sh wrote more than 16 MiB to standard " + name; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestRunErrors(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	script := filepath.Join(t.TempDir(), "script")
	if err := errors.Join(os.WriteFile(text, nil, 0o600), os.WriteFile(script, []byte("no interpreter"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		argv []string
		want string
	}{
		{nil, "run_command: the command is empty"},
		{[]string{"no-such-program"}, `run_command: no program "no-such-program" in $PATH`},
		{[]string{"/no/such/program"}, "run_command: no file /no/such/program"},
		{[]string{text}, "run_command: " + text + " is not an executable file"},
		{[]string{script}, "run_command: " + script + ": exec format error"},
	} {
		if _, err := Run(t.Context(), "run_command", c.argv); err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v, want %s", c.argv, err, c.want)
		}
	}
}

// ended reports whether there is no process of a number, not even one that nobody has reaped.
func ended(pid int) bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// The processes that a command leaves are gone when Run returns: those in its process group, and
// those that have left it as daemons do. Their own children are too.
func TestRunLeavesNothing(t *testing.T) {
	for _, c := range []struct{ name, script string }{
		{"background", "sleep 1000 & echo $!"},
		{"session", "setsid sleep 1000 & echo $!; sleep 0.05"},
		{"daemon", "(setsid sh -c 'echo $$; sleep 1000 & echo $!; wait' &); sleep 0.05"},
		{"closed output", "(setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1' &); sleep 0.05"},
		{"killed", "sleep 1000 & echo $!; kill -9 $$"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			res := run(t, "sh", "-c", c.script)
			pids := strings.Fields(string(res.Stdout))
			if len(pids) == 0 {
				t.Fatal("no process was left")
			}
			for _, text := range pids {
				pid, err := strconv.Atoi(text)
				if err != nil {
					t.Fatal(err)
				}
				if !ended(pid) {
					t.Errorf("process %d is left", pid)
				}
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// The end of the context kills the command and what it has started.
func TestRunCancelled(t *testing.T) {
	file := t.TempDir() + "/pids"
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	cause := errors.New("cancelled")
	go func() {
		for {
			if text, err := os.ReadFile(file); err == nil && strings.Count(string(text), "\n") == 2 {
				cancel(cause)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err := Run(ctx, "run_command", []string{"sh", "-c", "setsid sleep 1000 & echo $! >>" + file + "; echo $$ >>" + file + "; sleep 1000"})
	if !errors.Is(err, cause) {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(field); err != nil || !ended(pid) {
			t.Errorf("process %s is left: %v", field, err)
		}
	}
}

// A command that is killed while it runs a command of its own leaves nothing either.
func TestRunNested(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(nestedEnv, "1")
	file := filepath.Join(t.TempDir(), "pid")
	res := run(t, "sh", "-c", exe+" "+file+" & while ! test -s "+file+"; do sleep 0.01; done; kill -9 $!; cat "+file)
	pid, err := strconv.Atoi(strings.TrimSpace(string(res.Stdout)))
	if err != nil {
		t.Fatal(err)
	}
	if !ended(pid) {
		t.Errorf("process %d is left", pid)
	}
}

// nestedEnv makes this test binary run a command, for TestRunNested.
const nestedEnv = "BPFREPL_TEST_NESTED"

func TestMain(m *testing.M) {
	if os.Getenv(nestedEnv) == "" {
		os.Exit(m.Run())
	}
	_, err := Run(context.Background(), "run_command", []string{"sh", "-c", "setsid sleep 1000 & echo $! >" + os.Args[1] + "; sleep 1000"})
	fmt.Fprintln(os.Stderr, err) // it is killed before
}

// A process from Start that leaves a process behind is not affected by a command that runs.
func TestRunSparesOthers(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() // nothing is written
	p, err := Start([]string{"sh", "-c", "sleep 1000 & echo $!"}, w, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	go func() {
		time.Sleep(20 * time.Millisecond) // while the command runs, so that its child becomes ours
		p.Release()
	}()
	run(t, "sleep", "0.3")
	<-p.Done()
	b := make([]byte, 100)
	n, err := r.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		t.Fatal(err)
	}
	if ended(pid) {
		t.Error("its process was killed")
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Error(err)
	}
}
