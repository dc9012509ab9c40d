package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func start(t *testing.T, argv ...string) *Process {
	t.Helper()
	p, err := Start(argv, os.Stdout, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestHeld(t *testing.T) {
	file := filepath.Join(t.TempDir(), "made")
	p := start(t, "touch", file)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	if st := string(b[strings.LastIndexByte(string(b), ')')+2]); st != "t" {
		t.Errorf("state %q before the release, want t (stopped by its tracer)", st)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the process ran before its release: %v", err)
	}
	if _, ended := p.ExitCode(); ended || p.Released() {
		t.Error("ended or released too early")
	}
	p.Release()
	p.Release()
	<-p.Done()
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	if code, ended := p.ExitCode(); code != 0 || !ended {
		t.Errorf("exit code %d, ended %v", code, ended)
	}
}

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		script string
		want   int
	}{{"exit 7", 7}, {"kill -9 $$", 137}} {
		p := start(t, "sh", "-c", c.script)
		p.Release()
		<-p.Done()
		if code, _ := p.ExitCode(); code != c.want {
			t.Errorf("%s: exit code %d, want %d", c.script, code, c.want)
		}
	}
}

func TestNotFound(t *testing.T) {
	_, err := Start([]string{"lss-is-not-there"}, nil, nil)
	if err == nil || err.Error() != `spawn: no program "lss-is-not-there" in $PATH` {
		t.Errorf("got %v", err)
	}
}

// No thread, zombie or descriptor is left, whether a process was released or killed while stopped.
func TestManyLeaveNothing(t *testing.T) {
	count := func(dir string) int {
		es, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(es)
	}
	run := func(i int) {
		p := start(t, "true")
		if i%2 == 0 {
			p.Release()
			<-p.Done()
		} else {
			p.Kill()
		}
	}
	for i := 0; i < 10; i++ {
		run(i)
	}
	threads, fds := count("/proc/self/task"), count("/proc/self/fd")
	for i := 0; i < 60; i++ {
		run(i)
	}
	if n := count("/proc/self/task"); n > threads+4 {
		t.Errorf("%d threads, %d before", n, threads)
	}
	if n := count("/proc/self/fd"); n > fds {
		t.Errorf("%d descriptors, %d before", n, fds)
	}
}
