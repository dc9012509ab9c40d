package repl

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

func binary(t *testing.T) string {
	t.Helper()
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m, buildbin.Clean)) }

// A screen is the program on a pseudoterminal, and everything it has printed.
type screen struct {
	t   *testing.T
	pty *os.File
	cmd *exec.Cmd
	mu  sync.Mutex
	buf bytes.Buffer
	at  int // end of the last match of expect
	eof chan struct{}
}

func start(t *testing.T, state string, cols uint16, env ...string) *screen {
	t.Helper()
	s := &screen{t: t, cmd: exec.Command(binary(t)), eof: make(chan struct{})}
	s.cmd.Env = append(append(os.Environ(), "XDG_STATE_HOME="+state, "TERM=xterm"), env...)
	f, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 24, Cols: cols})
	if err != nil {
		t.Fatal(err)
	}
	s.pty = f
	go func() {
		defer close(s.eof)
		b := make([]byte, 4096)
		for {
			n, err := f.Read(b)
			s.mu.Lock()
			s.buf.Write(b[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			if err := s.cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			s.cmd.Wait()
		}
		f.Close()
		<-s.eof
	})
	s.expect(">>> ")
	return s
}

func (s *screen) send(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.pty, text); err != nil {
		s.t.Fatal(err)
	}
}

// controls matches terminal control sequences, which expect ignores: the editor redraws a line at
// any time.
var controls = regexp.MustCompile(`\x1b\[[0-9;?]*[a-zA-Z]|\x1b(\[[0-9;?]*)?$|\r`)

// expect waits until text has been printed after the text expected before.
func (s *screen) expect(text string) {
	s.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		s.mu.Lock()
		got := controls.ReplaceAllString(s.buf.String(), "")[s.at:]
		i := strings.Index(got, text)
		if i >= 0 {
			s.at += i + len(text)
		}
		s.mu.Unlock()
		if i >= 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waited for %q, got %q", text, got)
		}
		time.Sleep(5 * time.Millisecond) // between two looks at the screen
	}
}

// leave types Ctrl-D at the prompt. A Ctrl-D that arrives while an item is still running is
// dropped, so leave repeats it.
func (s *screen) leave() {
	s.t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	deadline := time.After(10 * time.Second)
	for {
		if _, err := io.WriteString(s.pty, "\x04"); err != nil && !errors.Is(err, syscall.EIO) { // EIO: the process is gone
			s.t.Fatal(err)
		}
		select {
		case err := <-done:
			if err != nil {
				s.t.Errorf("exit: %v", err)
			}
			return
		case <-time.After(200 * time.Millisecond):
		case <-deadline:
			s.t.Fatal("Ctrl-D does not end the session")
		}
	}
}

func TestExpression(t *testing.T) {
	s := start(t, t.TempDir(), 80)
	s.send("6 * 7\r")
	s.expect("\n42")
	s.expect(">>> ")
	s.send("_ + 1\r")
	s.expect("\n43")
	s.leave()
}

// A def is typed with automatic indentation and ended by an empty line. A later item changes the
// global that the def reads.
func TestBlock(t *testing.T) {
	s := start(t, t.TempDir(), 80)
	s.send("x = 1\r")
	s.expect(">>> ")
	s.send("def f():\r")
	s.expect("... ")
	s.send("return x\r")
	s.expect("... ")
	s.send("\r")
	s.expect(">>> ")
	s.send("x = 7\r")
	s.expect(">>> ")
	s.send("f()\r")
	s.expect("\n7")
	s.leave()
}

func TestPaste(t *testing.T) {
	s := start(t, t.TempDir(), 80)
	s.send(pasteStart + "def g(n):\n\n\ttotal = 0\n\n\tfor i in range(n):\n\t\ttotal += i\n\treturn total\n" + pasteEnd)
	s.expect(">>> ")
	s.send("g(5)\r")
	s.expect("\n10")
	s.leave()
}

func TestInterrupt(t *testing.T) {
	s := start(t, t.TempDir(), 80)
	s.send("1 + \x03")
	s.expect(">>> ")
	s.send("while True: pass\r")
	s.expect("... ")
	s.send("\r")
	s.expect("\n")
	sent := time.Now()
	s.send("\x03")
	s.expect("interrupted")
	if d := time.Since(sent); d > time.Second {
		t.Errorf("the loop ended %v after Ctrl-C", d)
	}
	s.expect(">>> ")
	s.send("\x03\x03")
	s.send("40 + 2\r")
	s.expect("\n42")
	s.leave()
}

func TestNUL(t *testing.T) {
	s := start(t, t.TempDir(), 80)
	s.send("1 +\x00 1\r")
	s.expect("\n2")
	s.leave()
}

func TestTab(t *testing.T) {
	s := start(t, t.TempDir(), 80)
	s.send("clear_err\t()\r")
	s.expect("clear_errors()")
	s.expect(">>> ")
	s.send("if True:\r")
	s.expect("... ")
	s.send("\x15\tx = 5\r") // Ctrl-U deletes the indentation, Tab inserts it
	s.expect("... ")
	s.send("\r")
	s.expect(">>> ")
	s.send("x + 1\r")
	s.expect("\n6")
	s.leave()
}

// A spec is completed part by part. A terminal narrower than the candidates does no harm.
func TestTabNarrow(t *testing.T) {
	s := start(t, t.TempDir(), 20)
	s.send("\"tracepoint:raw_sysc\t\t\t\x03")
	s.expect(">>> ")
	s.send("1 + 1\r")
	s.expect("\n2")
	s.leave()
}

func TestDumbTerminal(t *testing.T) {
	s := start(t, t.TempDir(), 40, "TERM=dumb")
	s.send("1 + 1\r")
	s.expect("2")
	s.leave()
}

func TestHistory(t *testing.T) {
	state := t.TempDir()
	s := start(t, state, 80)
	s.send(pasteStart + "def h():\n    return 11\n" + pasteEnd)
	s.expect(">>> ")
	s.send("h()\r")
	s.expect("\n11")
	s.leave()
	fi, err := os.Stat(filepath.Join(state, "bpfrepl", "history"))
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("mode of the history: %v", fi.Mode())
	}
	s = start(t, state, 80)
	s.send("\x1b[A\x1b[A\r") // the whole def
	s.expect(">>> ")
	s.send("h() + 1\r")
	s.expect("\n12")
	s.leave()
}

// Output of a probe appears above the line being typed, which stays.
func TestPrintAbove(t *testing.T) {
	s := start(t, t.TempDir(), 80)
	s.send("probe(\"interval:ms:50\", lambda e: print(\"tick\"))\r")
	s.expect("<probe")
	s.expect("tick\n")
	s.send("20 + ")
	s.expect("tick\n")
	s.expect("20 + ")
	s.send("3\r")
	s.expect("\n23")
	s.leave()
}

func TestErrorGoesOn(t *testing.T) {
	s := start(t, t.TempDir(), 80)
	s.send("nosuch + 1\r")
	s.expect("undefined: nosuch")
	s.expect(">>> ")
	s.send("probe(\"tracepoint:no:such\", lambda e: None)\r")
	s.expect("no subsystem \"no\"")
	s.expect(">>> ")
	s.send("1 + 1\r")
	s.expect("\n2")
	s.leave()
}

func TestPiped(t *testing.T) {
	for _, c := range []struct {
		in, out string
		fails   bool
	}{
		{"x = 2\nif x > 1:\n    x = 5\nelse:\n    x = 6\nx\n", "5\n", false},
		{"def f(n):\n\n    return n\n\nf(3)\n", "3\n", false},
		{"1\nfail(\"no\")\n2\n", "1\n", true},
		{"1\nexit\n2\n", "1\n", false},
	} {
		cmd := exec.Command(binary(t))
		cmd.Stdin = strings.NewReader(c.in)
		out, err := cmd.Output()
		if string(out) != c.out || (err != nil) != c.fails {
			t.Errorf("%q: got %q, %v; want %q", c.in, out, err, c.out)
		}
	}
}

// The % commands: save a session as a script, run a script in a session, edit and time an item,
// keep a log.
func TestMagics(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(file("helpers.star"), []byte("def twice(n):\n    return 2 * n\n\nbase = 20\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, 200, "EDITOR=sed -i s/n/n+1/2")
	s.send("%log on " + file("log") + "\r")
	s.expect(">>> ")
	s.send("%run " + file("helpers.star") + "\r")
	s.expect(">>> ")
	s.send("twice(base) + 2\r")
	s.expect("\n42")
	s.send("nosuch\r")
	s.expect("undefined: nosuch")
	s.send("base = 4\r")
	s.expect(">>> ")
	s.send("%time base\r")
	s.expect("\n4")
	s.expect("took ")
	s.send("%edit twice\r") // changes the second n: def twice(n): return 2 * n+1
	s.expect("return 2 * n")
	s.expect(">>> ")
	s.send("%log off\r")
	s.expect(">>> ")
	s.send("%save " + file("s.star") + "\r")
	s.expect("5 items in")
	s.send("%save " + file("s.star") + "\r")
	s.expect("already exists; choose another name")
	s.send("%sav\r")
	s.expect("no command %sav; did you mean %save?")
	s.leave()
	saved, err := os.ReadFile(file("s.star"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "def twice(n):\n    return 2 * n\n\nbase = 20\nprint(twice(base) + 2)\nbase = 4\nprint(base)\ndef twice(n):\n    return 2 * n+1\n\nbase = 20\n"; string(saved) != want {
		t.Errorf("saved\n%s\nwant\n%s", saved, want)
	}
	out, err := exec.Command(binary(t), file("s.star")).CombinedOutput()
	if err != nil || string(out) != "42\n4\n" {
		t.Errorf("the saved script: %v, %s", err, out)
	}
	log, err := os.ReadFile(file("log"))
	if err != nil {
		t.Fatal(err)
	}
	if want := ">>> twice(base) + 2\n42\n>>> nosuch\nerror: In[3]:1:1: undefined: nosuch\n    nosuch\n    ^\n>>> base = 4\n>>> %time base\n4\n"; !strings.Contains(string(log), want) {
		t.Errorf("the log is\n%s\nwhich is without\n%s", log, want)
	}
	for _, name := range []string{"log", "s.star"} {
		if st, err := os.Stat(file(name)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
}

// A session with probes becomes a script that waits, and then prints the results that the session
// looked at.
func TestScriptOfSession(t *testing.T) {
	for _, c := range []struct {
		steps []executed
		want  string
	}{
		{[]executed{{"calls = count()", false}, {`p = probe("software:page-faults:1", lambda e: calls.add())`, false}, {"calls.value", true}},
			"calls = count()\np = probe(\"software:page-faults:1\", lambda e: calls.add())\nrun()  # until Ctrl-C\nprint(calls.value)\n"},
		// Results looked at between two probes and in a loop; a probe that was detached.
		{[]executed{{"def go():\n    return probe(\"begin\", enter)", false}, {"p = go()", false}, {"calls", true}, {"for k in calls: print(k)", false}, {"p.detach()", false}, {"q = go()", false}, {"x = len(calls)", false}, {"x  # so many", true}},
			"def go():\n    return probe(\"begin\", enter)\np = go()\nq = go()\nrun()  # until Ctrl-C\nprint(calls)\nfor k in calls: print(k)\np.detach()\nx = len(calls)\nprint(x  # so many\n)\n"},
		// The session waited itself, in a function. Calls of help are not saved.
		{[]executed{{"def work():\n    run(1)", false}, {"help(work)", false}, {"probe(\"begin\", enter)", false}, {"work()", false}, {"calls", true}},
			"def work():\n    run(1)\nprobe(\"begin\", enter)\nwork()\nprint(calls)\n"},
		{[]executed{{"2", true}, {"_ + 1", true}, {`x = "probe("`, false}},
			"_ = 2\nprint(_)\nprint(_ + 1)\nx = \"probe(\"\n"},
		// Loads stand before what uses them.
		{[]executed{{`load("lib.star", "c", h="enter")`, false}, {`probe("begin", h)`, false}, {"c", true}, {`load("std/names.star", "signal_name")`, false}, {"signal_name(9)", true}},
			"load(\"lib.star\", \"c\", h=\"enter\")\nprobe(\"begin\", h)\nrun()  # until Ctrl-C\nprint(c)\nload(\"std/names.star\", \"signal_name\")\nprint(signal_name(9))\n"},
	} {
		if got := script(c.steps); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
}

// watch() redraws in one place; Ctrl-C ends only watch().
func TestWatch(t *testing.T) {
	s := start(t, t.TempDir(), 80)
	s.send("calls = count()\r")
	s.expect(">>> ")
	s.send("calls.add(7, by=\"here\")\r")
	s.expect(">>> ")
	s.send("watch(calls, seconds=0.05)\r")
	s.expect("here  7")
	s.expect("here  7")
	s.send("\x03")
	s.expect("^C\n>>> ")                   // Ctrl-C is the normal end, so nothing is printed
	s.send("load = sum(calls.values())\r") // a name here: this is not a load statement
	s.expect(">>> ")
	s.send("1 + load\r")
	s.expect("\n8")
	s.leave()
}
