package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The floods of ends_test.go at the prompt, on a terminal: every way to leave acts at once.

// A leaver is a way to end the running item and the prompt.
type leaver struct {
	name string
	// item is typed after the flood's script, and is running when the end comes.
	item string
	end  func(cmd *exec.Cmd, term io.Writer) error
	// then is typed repeatedly after end: input typed while an item runs is dropped.
	then string
	deaf bool // also works if nobody reads the terminal
}

func typed(text string) func(*exec.Cmd, io.Writer) error {
	return func(_ *exec.Cmd, term io.Writer) error {
		_, err := io.WriteString(term, text)
		return err
	}
}

func sigterm(cmd *exec.Cmd, _ io.Writer) error { return cmd.Process.Signal(unix.SIGTERM) }

var leavers = []leaver{
	{name: "Ctrl-D", end: typed("\x04")},
	{name: "SIGTERM", end: sigterm, deaf: true},
	{name: "Ctrl-C and Ctrl-D", item: "run()", end: typed("\x03"), then: "\x04"},
	{name: "SIGTERM in run()", item: "run()", end: sigterm, deaf: true},
}

// leave runs a cell once, and returns how long the process took to exit and its peak memory.
func (l *leaver) leave(t *testing.T, bin, comm string, f flood) result {
	t.Helper()
	cmd := exec.Command(bin, "--no-warnings")
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir(), "TERM=xterm")
	term, tty := openTerminal(t)
	defer term.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(20*time.Second, func() {
		t.Error("it does not end")
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	})
	defer watchdog.Stop()
	ready := make(chan bool, 1)
	go readTerminal(term, ready, f.deaf)
	src := strings.NewReplacer("LOAD", comm).Replace(f.src) + "\nprint(\"be\" + \"gins\")\n" + l.item
	if _, err := io.WriteString(term, "\x1b[200~"+strings.TrimSpace(src)+"\n\x1b[201~"); err != nil {
		t.Fatal(err)
	}
	<-ready
	time.Sleep(runFor)
	sent := time.Now()
	if err := l.end(cmd, term); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	for again := time.NewTicker(endsSoon / 5); ; {
		select {
		case <-again.C:
			if l.then != "" {
				io.WriteString(term, l.then) // it may have ended already: Wait reports errors
			}
			continue
		case err = <-ended:
			again.Stop()
		}
		break
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{time.Since(sent), cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10}
}

// readTerminal reads the output to its end or, if deaf, until the flood has begun. It reports on
// ready whether the flood has begun.
func readTerminal(term io.Reader, ready chan<- bool, deaf bool) {
	b, seen := make([]byte, 64<<10), ""
	for told := false; ; {
		n, err := term.Read(b)
		if err != nil {
			if !told {
				ready <- false
			}
			return // the other side is closed
		}
		if told {
			continue
		}
		if seen += string(b[:n]); strings.Contains(seen, "begins") {
			told = true
			ready <- true
			if deaf {
				return
			}
		}
	}
}

// TestEndsPrompt runs the matrix at the prompt; -v prints it.
func TestEndsPrompt(t *testing.T) {
	bin, comm := flooded(t)
	cells := 0
	for _, f := range floods {
		if f.wait != "" || strings.Contains(f.src, "MANY") {
			continue
		}
		for _, l := range leavers {
			if f.deaf && !l.deaf {
				continue
			}
			if cells++; testing.Short() && cells%stride != 0 {
				continue
			}
			t.Run(f.name+"/"+l.name, func(t *testing.T) {
				var best result
				for try := range 3 {
					if r := l.leave(t, bin, comm, f); try == 0 || r.took < best.took {
						best = r
					}
					if best.mem > endsMem {
						t.Errorf("it had %d MiB", best.mem>>20)
					}
					if best.took <= endsSoon {
						break
					}
				}
				t.Logf("%v, %d MiB", best.took.Round(time.Millisecond), best.mem>>20)
				if best.took > hard() {
					t.Errorf("it went on for %v", best.took)
				}
			})
		}
	}
}
