package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

// The scripts in testdata/script run the command as a separate process, on the kernel of this host.
func TestMain(m *testing.M) {
	testscript.Main(leaks{m}, map[string]func(){"bpfrepl": main})
}

type leaks struct{ m *testing.M }

func (l leaks) Run() int {
	// Catching SIGHUP here resets it to the default in the processes that tests start, even if
	// these tests run under nohup.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, unix.SIGHUP)
	defer signal.Stop(hangup)
	return leakcheck.Main(l.m, buildbin.Clean)
}

func TestScripts(t *testing.T) {
	gen, comm, err := buildbin.Load()
	if err != nil {
		t.Fatal(err)
	}
	exe := forNobody(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("LOAD", gen)
			e.Setenv("XDG_STATE_HOME", e.WorkDir)
			return named(e.WorkDir, comm)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": status2, "nobody": func(ts *testscript.TestScript, _ bool, args []string) { nobody(ts, exe, args) }, "headless": headless, "mode": mode, "untimed": untimed, "fifo": fifo,
		},
		UpdateScripts: os.Getenv("UPDATE") != "",
	})
}

// named replaces "load" in the files of a script with the comm of the load generator.
func named(dir, comm string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, name := range files {
		if st, err := os.Stat(name); err != nil || st.IsDir() {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, bytes.ReplaceAll(text, []byte(`"load"`), []byte(strconv.Quote(comm))), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// status2 implements "status N command...": the command's exit status must be N. Its output is kept
// for stdout and stderr.
func status2(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command...")
	}
	code := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !asExit(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = fmt.Sprint(exit.ExitCode())
	}
	if code != args[0] {
		ts.Fatalf("exit status %s, want %s", code, args[0])
	}
}

func asExit(err error, exit **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError)
	if ok {
		*exit = e
	}
	return ok
}

// forNobody makes a copy of the command that every user can execute, and returns its path. It must
// be called before the scripts run in parallel: a process that one of them starts would briefly
// hold the copy open for writing, and a file open for writing cannot be executed.
func forNobody(t *testing.T) (exe string) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	exe = filepath.Join(dir, "bpfrepl") // this name makes the test binary run main
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(exe, self, 0o755)); err != nil {
		t.Fatal(err)
	}
	return exe
}

// nobody implements "nobody ARGS...": it runs exe, a copy of bpfrepl, as user 65534, which has no
// privileges. The exit status must be 1. The output goes to the file out.
func nobody(ts *testscript.TestScript, exe string, args []string) {
	cmd := exec.Command(exe, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !asExit(err, &exit) || exit.ExitCode() != exitError {
		ts.Fatalf("%v\n%s", err, out)
	}
	ts.Check(os.WriteFile(ts.MkAbs("out"), out, 0o600))
}

// times are the times in the output of bpfrepl test.
var times = regexp.MustCompile(`\d+\.\d+s\b|"time_ns":\d+`)

// untimed implements "untimed FILE": standard output must be that file, apart from times, which are
// 0s there.
func untimed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: untimed FILE")
	}
	got := times.ReplaceAllStringFunc(ts.ReadFile("stdout"), func(s string) string {
		return strings.TrimRight(s, ".0123456789s") + "0" + map[bool]string{true: "s"}[strings.HasSuffix(s, "s")]
	})
	if want := ts.ReadFile(args[0]); got != want {
		ts.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

// fifo implements "fifo FILE", which makes a named pipe.
func fifo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fifo FILE")
	}
	ts.Check(unix.Mkfifo(ts.MkAbs(args[0]), 0o600))
}

// headless implements "headless ARGS...": it runs bpfrepl with a standard output whose reader is
// gone. The command must exit by itself with status 1, printing nothing.
func headless(ts *testscript.TestScript, neg bool, args []string) {
	r, w, err := os.Pipe()
	ts.Check(err)
	ts.Check(r.Close())
	exe, err := exec.LookPath("bpfrepl")
	ts.Check(err)
	cmd := exec.Command(exe, args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Stdout = w
	var errs strings.Builder
	cmd.Stderr = &errs
	err = cmd.Run()
	ts.Check(w.Close())
	var exit *exec.ExitError
	if !asExit(err, &exit) || exit.ExitCode() != exitError || errs.Len() > 0 {
		ts.Fatalf("%v: %s", err, errs.String())
	}
}

// mode implements "mode FILE": it prints the file's permissions to stdout.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	st, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%o\n", st.Mode().Perm())
}
