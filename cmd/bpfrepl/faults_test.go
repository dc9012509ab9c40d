package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

// counting is a script that counts the events of a load, prints "ready" after the load has run, and
// prints the counts when run() has ended.
const counting = `
calls, keyed, lat = count(), count(max_keys=100), hist()
s = stream()
probe("tracepoint:syscalls:sys_enter_getppid", lambda e: calls.add(), filter=lambda e: e.comm == "LOAD")
probe("rawtracepoint:sys_exit", lambda e: lat.add(1))
probe("profile:hz:99", lambda e: keyed.add(by=e.cpu))
probe("uprobe:LOAD_PATH:main.main", lambda e: s.emit(pid=e.pid))
probe("end", lambda e: print("end"))
maker = spawn(["LOAD_PATH", "getppid", "1234"])
sleeper = spawn(["LOAD_PATH", "spin", "600000"])
run(maker)
told = []
def ready():                          # during run(), where Ctrl-C ends that and not the script
    if not told:
        told.append(True)
        print("ready", sleeper.pid)
every(0.01, ready)
run()
print("counted", calls.value)
`

// A traced is a running bpfrepl that counts.
type traced struct {
	t       *testing.T
	cmd     *exec.Cmd
	pipe    io.Closer
	out     *bufio.Reader // reads from pipe
	stderr  bytes.Buffer
	objects leakcheck.Objects
	child   int
	mounts  string
}

func startTraced(t *testing.T, script string) *traced {
	t.Helper()
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	load, comm, err := buildbin.Load()
	if err != nil {
		t.Fatal(err)
	}
	script = strings.NewReplacer("LOAD_PATH", load, "LOAD", comm).Replace(script)
	p := &traced{t: t, cmd: exec.Command(bin, "--allow-run", "--no-summary", "-e", script), mounts: mounts(t)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.pipe, p.out = out, bufio.NewReader(out)
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			if err := p.cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			p.cmd.Wait() // it was killed
		}
	})
	for p.child == 0 {
		line, err := p.out.ReadString('\n')
		if err != nil {
			p.cmd.Wait() // the message below reports the error
			t.Fatalf("%v\n%s", err, p.stderr.String())
		}
		if rest, ok := strings.CutPrefix(line, "ready "); ok {
			if _, err := fmt.Sscan(rest, &p.child); err != nil {
				t.Fatal(err)
			}
		}
	}
	if p.objects, err = leakcheck.OfProcess(p.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	// Before Linux 5.15 perf events have no links.
	if o := p.objects; len(o.Programs) < 5 || len(o.Maps) < 5 || len(o.Links) < 1 || o.Events < 2 {
		t.Fatalf("it holds only %+v", o)
	}
	return p
}

func mounts(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var bpf []string // other tests mount and unmount other file systems
	for l := range strings.Lines(string(b)) {
		if strings.Contains(l, " - bpf ") || strings.Contains(l, " - tracefs ") {
			bpf = append(bpf, l)
		}
	}
	return strings.Join(bpf, "")
}

// ended waits for the process to exit, and checks that it has left nothing behind. It returns what
// was printed after "ready".
func (p *traced) ended() (stdout string, state *os.ProcessState) {
	p.t.Helper()
	out, err := io.ReadAll(p.out)
	if err != nil {
		p.t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	if err := p.objects.Gone(10 * time.Second); err != nil {
		p.t.Error(err)
	}
	gone := time.Now().Add(10 * time.Second)
	for running(p.t, p.child) {
		if time.Now().After(gone) {
			p.t.Fatalf("the process %d that it started still exists", p.child)
		}
		// The kernel kills it after bpfrepl.
		time.Sleep(10 * time.Millisecond)
	}
	if m := mounts(p.t); m != p.mounts {
		p.t.Errorf("mounts were\n%s\nand are\n%s", p.mounts, m)
	}
	return string(out), p.cmd.ProcessState
}

// running reports whether a process exists and is not a zombie, that is, one that has exited but
// has not been waited for.
func running(t *testing.T, pid int) bool {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// Signals end a run in order or at once; either way nothing is left behind, and the counts are
// printed where possible.
func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name    string
		signals []os.Signal
		out     string
		err     string
		code    int // -1: killed by the signal
	}{
		{"SIGINT", []os.Signal{unix.SIGINT}, "counted 1234\nend\n", "", 0},
		{"SIGTERM", []os.Signal{unix.SIGTERM}, "counted 1234\nend\n", "", 0},
		{"SIGHUP", []os.Signal{unix.SIGHUP}, "counted 1234\nend\n", "", 0},
		{"SIGKILL", []os.Signal{unix.SIGKILL}, "", "", -1},
		{"SIGQUIT", []os.Signal{unix.SIGQUIT}, "", "SIGQUIT: quit\n", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startTraced(t, counting)
			for _, sig := range c.signals {
				if err := p.cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
			}
			out, state := p.ended()
			if out != c.out || state.ExitCode() != c.code || !strings.HasPrefix(p.stderr.String(), c.err) || c.err == "" && p.stderr.Len() > 0 {
				t.Errorf("exit status %d, want %d; printed %q, want %q; errors %q, want %q", state.ExitCode(), c.code, out, c.out, p.stderr.String(), c.err)
			}
		})
	}
}

// A second Ctrl-C ends a script that continues after the first. Its probes are still detached in
// order.
func TestInterruptTwice(t *testing.T) {
	p := startTraced(t, strings.Replace(counting, `print("counted", calls.value)`, "print(\"counted\", calls.value)\nwhile True: pass", 1))
	interrupt := func() time.Time {
		if err := p.cmd.Process.Signal(unix.SIGINT); err != nil {
			t.Fatal(err)
		}
		return time.Now()
	}
	interrupt()
	if line, err := p.out.ReadString('\n'); err != nil || line != "counted 1234\n" {
		t.Fatalf("%q, %v", line, err)
	}
	interrupt()
	out, state := p.ended()
	if out != "end\n" || p.stderr.String() != "interrupted\n" || state.ExitCode() != exitError {
		t.Errorf("printed %q, errors %q, status %d", out, p.stderr.String(), state.ExitCode())
	}
}

// If the reader goes away while handlers print, the run ends and leaves nothing behind.
func TestReaderGoes(t *testing.T) {
	p := startTraced(t, counting+"\n"+`probe("interval:ms:10", lambda e: print("tick"))`+"\nrun()")
	if err := p.cmd.Process.Signal(unix.SIGINT); err != nil { // ends the first run()
		t.Fatal(err)
	}
	for line := ""; line != "tick\n"; {
		var err error
		if line, err = p.out.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.pipe.Close(); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(strings.NewReader(""))
	if _, state := p.ended(); state.ExitCode() != exitError || p.stderr.Len() > 0 {
		t.Errorf("status %d, errors %q", state.ExitCode(), p.stderr.String())
	}
}

// If the disk of -o is full, the script ends with an error. The file has what fits.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "out")
	var stderr bytes.Buffer
	cmd := exec.Command(bin, "-o", file, "-e", "probe('interval:ms:1', lambda e: print('a handler prints this'))", "-e", "run(60)", "-e", "print('not reached')")
	cmd.Stderr = &stderr
	began := time.Now()
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != exitError {
		t.Errorf("%v", err)
	}
	if time.Since(began) > 30*time.Second {
		t.Error("it went on")
	}
	want := fmt.Sprintf("error: <code>:2:4: write %s: no space left on device\n    run(60)\n       ^\n", file)
	if stderr.String() != want {
		t.Errorf("got %q, want %q", stderr.String(), want)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	lines = lines[:len(lines)-1] // the last line may be incomplete
	if i := slices.IndexFunc(lines, func(l string) bool { return l != "a handler prints this" }); len(lines) < 500 || i >= 0 {
		t.Errorf("%d lines, number %d is another", len(lines), i)
	}
}

// A prompt that is ended by a signal restores the terminal, does not run an incomplete line, and
// leaves nothing behind. A prompt whose terminal goes away leaves nothing behind either.
func TestPromptEnds(t *testing.T) {
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		typ  string
		end  func(cmd *exec.Cmd, term *os.File) error
	}{
		{"SIGTERM", "", func(cmd *exec.Cmd, _ *os.File) error { return cmd.Process.Signal(unix.SIGTERM) }},
		{"SIGTERM in a line", "c.clear", func(cmd *exec.Cmd, _ *os.File) error { return cmd.Process.Signal(unix.SIGTERM) }},
		{"SIGTERM in a block", "if True:\r", func(cmd *exec.Cmd, _ *os.File) error { return cmd.Process.Signal(unix.SIGTERM) }},
		{"SIGTERM in a loop", "while True: pass\r\r", func(cmd *exec.Cmd, _ *os.File) error { return cmd.Process.Signal(unix.SIGTERM) }},
		{"SIGHUP", "", func(cmd *exec.Cmd, _ *os.File) error { return cmd.Process.Signal(unix.SIGHUP) }},
		{"the terminal goes", "print(1", func(_ *exec.Cmd, term *os.File) error { return term.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(bin)
			cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir(), "TERM=xterm")
			term, tty := openTerminal(t)
			defer term.Close()
			before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			s := &shown{t: t, f: term, text: make(chan string, 1000)}
			go s.read()
			s.until(">>> ")
			for _, item := range []string{"c = count(max_keys=100)", "p = probe('rawtracepoint:sys_enter', lambda e: c.add(by=e.cpu))", "q = probe('end', lambda e: print('at', 'end'))"} {
				s.typed(item + "\r")
				s.until("\r\n")
				s.until(">>> ")
			}
			s.typed("40 + 2\r")
			s.until("42\r\n")
			s.until(">>> ")
			objects, err := leakcheck.OfProcess(cmd.Process.Pid)
			if err != nil || len(objects.Programs) < 2 || len(objects.Links) < 1 {
				t.Fatalf("%+v, %v", objects, err)
			}
			s.typed(c.typ)
			if c.typ != "" {
				s.until(strings.TrimRight(c.typ, "\r")[len(strings.TrimRight(c.typ, "\r"))-1:])
			}
			if c.name == "SIGTERM in a block" {
				s.until("... ")
			}
			if c.name == "the terminal goes" {
				if err := tty.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.end(cmd, term); err != nil {
				t.Fatal(err)
			}
			select {
			case err = <-ended:
			case <-time.After(20 * time.Second):
				t.Fatal("it does not end", errors.Join(cmd.Process.Kill(), <-ended))
			}
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != exitError {
				t.Errorf("exit: %v", err)
			}
			if err := objects.Gone(10 * time.Second); err != nil {
				t.Error(err)
			}
			if c.name == "the terminal goes" {
				return
			}
			after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			if *after != *before {
				t.Errorf("the terminal was %+v, and is %+v", before, after)
			}
			if err := tty.Close(); err != nil {
				t.Fatal(err)
			}
			rest := s.rest()
			if !strings.Contains(rest, "\x1b[?2004l") || !strings.Contains(rest, "at end") {
				t.Errorf("at the end it printed %q", rest)
			}
		})
	}
}

// openTerminal opens a pseudoterminal. Closing the master ends a pending Read of it, so that the
// other side notices at once.
func openTerminal(t *testing.T) (master, tty *os.File) {
	t.Helper()
	blocking, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(blocking.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err := errors.Join(err, blocking.Close()); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "terminal"), tty
}

// A shown is the output on a terminal.
type shown struct {
	t    *testing.T
	f    *os.File
	text chan string
	seen string
}

func (s *shown) read() {
	defer close(s.text)
	b := make([]byte, 4096)
	for {
		n, err := s.f.Read(b)
		if n > 0 {
			s.text <- string(b[:n])
		}
		if err != nil { // the other side is closed
			return
		}
	}
}

func (s *shown) typed(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.f, text); err != nil {
		s.t.Fatal(err)
	}
}

// until waits for text, and discards the output up to its end.
func (s *shown) until(text string) {
	s.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		if _, rest, ok := strings.Cut(s.seen, text); ok {
			s.seen = rest
			return
		}
		select {
		case more, ok := <-s.text:
			if !ok {
				s.t.Fatalf("the end, and no %q in %q", text, s.seen)
			}
			s.seen += more
		case <-deadline:
			s.t.Fatalf("waited for %q, got %q", text, s.seen[max(0, len(s.seen)-300):])
		}
	}
}

func (s *shown) rest() string {
	for more := range s.text {
		s.seen += more
	}
	return s.seen
}
