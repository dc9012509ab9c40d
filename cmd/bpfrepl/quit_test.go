package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
)

// SIGQUIT prints the goroutine stacks, ends the program and restores the terminal: at the prompt,
// in run(), and in a loop.
func TestQuitRestoresTerminal(t *testing.T) {
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range []string{"", "run()", "while True: pass"} {
		cmd := exec.Command(bin)
		cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir(), "TERM=xterm")
		term, tty := openTerminal(t)
		before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s := &shown{t: t, f: term, text: make(chan string, 1000)}
		go s.read()
		s.until(">>> ")
		if during, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS); err != nil || *during == *before {
			t.Errorf("the prompt leaves the terminal as it is, %v", err)
		}
		if item != "" {
			s.typed("\x1b[200~print(\"it\", \"runs\")\n" + item + "\n\x1b[201~")
			s.until("it runs")
		}
		if err := cmd.Process.Signal(unix.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%q: it ended with %v", item, err)
		}
		after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
		if err != nil || *after != *before {
			t.Errorf("%q: the terminal was\n%+v\nand is\n%+v, %v", item, before, after, err)
		}
		if err := tty.Close(); err != nil {
			t.Error(err)
		}
		if rest := s.rest(); !strings.Contains(rest, "\x1b[?2004l") || !strings.Contains(rest, "SIGQUIT: quit") {
			t.Errorf("%q: it shows %q", item, rest)
		}
		if err := term.Close(); err != nil {
			t.Error(err)
		}
	}
}
