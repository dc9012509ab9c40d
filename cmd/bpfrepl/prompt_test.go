package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/repl"
	"github.com/bpfrepl/bpfrepl/starlarkbind"
)

// The prompt appears at once and needs little memory. The target is 20 ms, checked with a wide
// margin; memory is checked against its target.
func TestPromptSoon(t *testing.T) {
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	var kB []int
	for range 9 {
		cmd := exec.Command(bin)
		cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir(), "TERM=xterm")
		began := time.Now()
		f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
		if err != nil {
			t.Fatal(err)
		}
		s := &shown{t: t, f: f, text: make(chan string, 1000)}
		go s.read()
		s.until(">>> ")
		took = append(took, time.Since(began))
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		_, peak, _ := strings.Cut(string(status), "VmHWM:")
		n, err := strconv.Atoi(strings.Fields(peak)[0])
		if err != nil {
			t.Fatal(err)
		}
		kB = append(kB, n)
		s.typed("\x04")
		s.rest()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(took)
	slices.Sort(kB)
	t.Logf("to the prompt %v (%v to %v), %d kB", took[len(took)/2], took[0], took[len(took)-1], kB[len(kB)-1])
	if took[0] > 200*time.Millisecond {
		t.Errorf("the prompt came after %v at the soonest", took[0])
	}
	if kB[len(kB)-1] > 25000 {
		t.Errorf("it took %d kB", kB[len(kB)-1])
	}
}

// A breaking is a session with bugs.
type breaking struct{ *starlarkbind.Session }

func (b breaking) ExecItem(ctx context.Context, src string) (starlark.Value, error) {
	if src == "item()" {
		panic("the item broke")
	}
	return b.Session.ExecItem(ctx, src)
}

func (b breaking) Completions(line string, pos int) ([]string, int) {
	if strings.HasPrefix(line, "tab") {
		panic("the completion broke")
	}
	return b.Session.Completions(line, pos)
}

// A panic in our own code is reported. The session continues, and the line being typed is kept.
func TestPromptBug(t *testing.T) {
	session, err := starlarkbind.New(starlarkbind.Options{Stdout: os.Stdout, Stderr: os.Stderr, Interactive: true})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	term, tty := openTerminal(t)
	defer term.Close()
	r, err := repl.New(repl.Options{In: tty, Out: tty, Err: tty, Banner: "here", Interp: breaking{session}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := r.Run(t.Context())
		ended <- errors.Join(err, tty.Close())
	}()
	s := &shown{t: t, f: term, text: make(chan string, 1000)}
	go s.read()
	s.until(">>> ")
	s.typed("item()\r")
	s.until("bug in bpfrepl: the item broke\r\n")
	s.until("prompt_test.go:")
	s.until("please report this, with what was typed; the session continues\r\n")
	s.until(">>> ")
	s.typed("tab\t")
	s.until("bug in bpfrepl: the completion broke\r\n")
	s.until("the session continues\r\n>>> tab")
	s.typed("\x1540 + 2\r")
	s.until("\r\n42\r\n")
	s.until(">>> ")
	s.typed("\x04")
	s.rest()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
