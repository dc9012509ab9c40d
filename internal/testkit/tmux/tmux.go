// Package tmux runs a command in a terminal emulator, tmux, for tests that check what a person
// would see: the cells of the screen, not the bytes that were written.
package tmux

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/bpfrepl/bpfrepl/internal/testkit/aptget"
)

// Patience is how long a wait may take before it fails the test. It is long because hosts are slow
// at times.
const Patience = 60 * time.Second

// Options are the options of Start.
type Options struct {
	Cols, Rows int      // default 80, 24
	Env        []string // additions to the test's environment
	Dir        string
}

// A Screen is a terminal that runs a command.
type Screen struct {
	t      testing.TB
	socket string
}

// Start runs the command in a terminal of its own, which is closed when the test ends. It installs
// tmux if necessary.
func Start(t testing.TB, opt Options, argv ...string) *Screen {
	t.Helper()
	if err := aptget.Install(os.Stderr, aptget.Tool{Command: "tmux", Package: "tmux"}); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "tmux") // the path of a socket must be short: t.TempDir() may be too long
	if err != nil {
		t.Fatal(err)
	}
	s := &Screen{t: t, socket: filepath.Join(dir, "tmux")}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	cols, rows := opt.Cols, opt.Rows
	if cols == 0 {
		cols, rows = 80, 24
	}
	args := []string{"start-server", ";", "set", "-g", "remain-on-exit", "on", ";", "set", "-g", "remain-on-exit-format", "", ";", "set", "-g", "status", "off", ";",
		"set", "-g", "history-limit", "100000", ";", "set", "-s", "escape-time", "0", ";",
		"new-session", "-d", "-x", strconv.Itoa(cols), "-y", strconv.Itoa(rows)}
	if opt.Dir != "" {
		args = append(args, "-c", opt.Dir)
	}
	args = append(args, "--", "env")
	for _, a := range append(opt.Env, argv...) {
		args = append(args, word(a))
	}
	s.command(args...)
	t.Cleanup(func() { s.command("kill-server") })
	return s
}

// word quotes a semicolon at the end of text, which tmux would take as its command separator.
func word(text string) string {
	if rest, ok := strings.CutSuffix(text, ";"); ok {
		return rest + `\;`
	}
	return text
}

func (s *Screen) command(args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "tmux", append([]string{"-u", "-f", "/dev/null", "-S", s.socket}, args...)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("tmux %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

// Type types the text literally.
func (s *Screen) Type(text string) {
	s.t.Helper()
	s.command("send-keys", "-l", "--", word(text))
}

// Keys presses keys by tmux's names: "Enter", "Tab", "Up", "C-c", "M-b".
func (s *Screen) Keys(names ...string) {
	s.t.Helper()
	s.command(append([]string{"send-keys"}, names...)...)
}

// Paste pastes the text, as a bracketed paste if the program has asked for that.
func (s *Screen) Paste(text string) {
	s.t.Helper()
	s.command("set-buffer", "--", word(text))
	s.command("paste-buffer", "-p", "-d")
}

// Resize changes the size of the terminal. tmux reflows the text first and changes the size of the
// tty a moment later; Resize waits for that.
func (s *Screen) Resize(cols, rows int) {
	s.t.Helper()
	s.command("resize-window", "-x", strconv.Itoa(cols), "-y", strconv.Itoa(rows))
	tty, err := os.OpenFile(strings.TrimSpace(s.command("display-message", "-p", "#{pane_tty}")), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer tty.Close()
	size := func() string {
		w, h, err := term.GetSize(int(tty.Fd()))
		if err != nil {
			s.t.Fatal(err)
		}
		return fmt.Sprint(w, h)
	}
	s.Wait("the new size", size, func(got string) bool { return got == fmt.Sprint(cols, rows) })
}

// Screen returns the visible rows, without blanks at their ends and without empty rows at the
// bottom.
func (s *Screen) Screen() string { s.t.Helper(); return trimmed(s.command("capture-pane", "-p")) }

// Text returns everything that was printed, including what has scrolled away. A line that is wider
// than the terminal is one line.
func (s *Screen) Text() string {
	s.t.Helper()
	return trimmed(s.command("capture-pane", "-p", "-J", "-S", "-"))
}

// Coloured is like Screen, with the escape sequences of colours and other attributes.
func (s *Screen) Coloured() string {
	s.t.Helper()
	return trimmed(s.command("capture-pane", "-p", "-e"))
}

// Cursor returns the position of the cursor, counted from 0.
func (s *Screen) Cursor() (col, row int) {
	s.t.Helper()
	f := strings.Fields(s.command("display-message", "-p", "#{cursor_x} #{cursor_y}"))
	return s.number(f[0]), s.number(f[1])
}

// PID returns the process ID of the command.
func (s *Screen) PID() int {
	s.t.Helper()
	return s.number(s.command("display-message", "-p", "#{pane_pid}"))
}

func (s *Screen) number(text string) int {
	s.t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// Wait calls look until ok accepts its result, and returns that result. It fails the test after
// Patience; what describes in the message what was waited for.
func (s *Screen) Wait(what string, look func() string, ok func(string) bool) string {
	s.t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		got := look()
		if ok(got) {
			return got
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waited for %s; the screen is\n%s", what, got)
		}
		time.Sleep(10 * time.Millisecond) // polling interval
	}
}

// Expect waits until the screen matches the pattern, and returns the screen. ^ and $ match at the
// ends of a row.
func (s *Screen) Expect(pattern string) string {
	s.t.Helper()
	return s.Wait(strconv.Quote(pattern), s.Screen, regexp.MustCompile("(?m)"+pattern).MatchString)
}

// Exit waits until the command ends and returns its exit status.
func (s *Screen) Exit() int {
	s.t.Helper()
	dead := fmt.Sprintf("/proc/%d/stat", s.PID())
	state := func() string {
		// tmux 3.3 now and then misses the end of a child and leaves it as a zombie. Its exit
		// status is the last field of /proc/PID/stat (proc(5)).
		if b, err := os.ReadFile(dead); err == nil {
			f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
			if status := unix.WaitStatus(s.number(f[len(f)-1])); f[0] == "Z" && status.Exited() {
				return fmt.Sprintf("1%d\n", status.ExitStatus())
			}
		}
		return s.command("display-message", "-p", "#{pane_dead}#{pane_dead_status}")
	}
	got := s.Wait("the command's end", state, regexp.MustCompile(`^1\d+\n$`).MatchString)
	return s.number(got[1:])
}

func trimmed(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}
