package repl

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
)

// Ctrl-C promptly ends the running item and nothing else; pressing it twice does no harm. The
// target is 100 ms, but the host may be busy.
func TestInterrupts(t *testing.T) {
	load, comm, err := buildbin.Load()
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), 200)
	item := func(src string) {
		s.send(pasteStart + src + "\n" + pasteEnd)
		s.expect("\n>>> ")
	}
	item("m = count(max_keys=200000)")
	item(fmt.Sprintf("p = probe(\"tracepoint:syscalls:sys_enter_lseek\", lambda e: m.add(by=e.args.offset), filter=lambda e: e.comm == %q)", comm))
	if out, err := exec.Command(load, "newkeys", "200000", "1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, src := range []string{"run()", "while True: pass", "while True: m.snapshot()", "while True: m.top(3)", "while True: probes(\"tracepoint:*\")", "watch(lambda: None, seconds=0.02)"} {
		for _, times := range []int{1, 2} {
			s.send(pasteStart + "print(\"it\", \"runs\")\n" + src + "\n" + pasteEnd)
			s.expect("it runs\n")
			time.Sleep(50 * time.Millisecond) // make sure that it is in progress
			sent := time.Now()
			s.send(strings.Repeat("\x03", times))
			s.expect("\n>>> ")
			if d := time.Since(sent); d > 2*time.Second {
				t.Errorf("%s: it ended %v after Ctrl-C", src, d)
			} else {
				t.Logf("%s: it ended %v after Ctrl-C", src, d)
			}
			s.send("40 + 2\r")
			s.expect("\n42\n>>> ")
		}
	}
	s.send("p.attached, len(m)\r")
	s.expect("\n(True, 200000)\n")
	s.leave()
}

// Ctrl-D typed while an item is running neither ends the session nor is kept for later.
func TestEOFWhileRunning(t *testing.T) {
	s := start(t, t.TempDir(), 80)
	for range 3 {
		s.send("print(\"it\", \"runs\"); run(0.5); print(\"it\", \"ended\")\r")
		s.expect("it runs\n")
		s.send("\x04\x04")
		s.expect("it ended\n")
		s.expect(">>> ")
		s.send("40 + 2\r")
		s.expect("\n42\n")
	}
	s.leave()
}

// Text typed while an item is running is read when the item has ended.
func TestTypeAhead(t *testing.T) {
	s := start(t, t.TempDir(), 80)
	s.send("print(\"it\", \"runs\"); run(0.3)\r")
	s.expect("it runs\n")
	s.send("40 + 2\r")
	s.expect("\n42\n")
	s.leave()
}

// Two sessions write one history file at once, without losing or mixing items.
func TestTwoSessions(t *testing.T) {
	const n = 60
	state := t.TempDir()
	a, b := start(t, state, 200), start(t, state, 200)
	long := strings.Repeat("x", 3000)
	for i := range n {
		for name, s := range map[string]*screen{"a": a, "b": b} {
			s.send(fmt.Sprintf("%sif True:\n    %s = %d  # %s\n%s", pasteStart, name, i, long, pasteEnd))
		}
	}
	for _, s := range []*screen{a, b} {
		s.send("\"all \" + \"done\"\r")
		s.expect("\n\"all done\"\n")
		s.leave()
	}
	text, err := os.ReadFile(filepath.Join(state, "bpfrepl", "history"))
	if err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var item, name string
		var i int
		if err := json.Unmarshal([]byte(line), &item); err != nil {
			t.Fatalf("%v in %.100q", err, line)
		}
		if item == `"all " + "done"` {
			continue
		}
		if _, err := fmt.Sscanf(item, "if True:\n    %1s = %d", &name, &i); err != nil || i != next[name] || !strings.HasSuffix(item, long) {
			t.Fatalf("%v: %s of %v in %.100q", err, name, next, item)
		}
		next[name]++
	}
	if next["a"] != n || next["b"] != n {
		t.Errorf("there are %v items, want %d of each", next, n)
	}
	s := start(t, state, 200)
	s.send("\x1b[A\x1b[A\x1b[A\x15" + pasteStart + "40 + 2" + pasteEnd + "\x1b[A\x1b[A\x0b\x03") // recall the items, then discard the line
	s.expect("^C")
	s.expect(">>> ")
	s.leave()
}

// %edit runs an editor that reads from the terminal.
func TestEditor(t *testing.T) {
	s := start(t, t.TempDir(), 80, "EDITOR=ed -p ed:")
	s.send("def f(): return 1\r\r")
	s.expect("... ")
	s.expect(">>> ")
	s.send("%edit f\r")
	s.expect("ed:")
	s.mu.Lock()
	if shown := s.buf.String(); strings.LastIndex(shown, pasteOff) < strings.LastIndex(shown, pasteOn) {
		t.Error("what is pasted into the editor comes in brackets")
	}
	s.mu.Unlock()
	for _, command := range []string{"s/1/40 + 2/", ",n", "w"} {
		s.send(command + "\r")
		s.expect("ed:")
	}
	s.send("q\r")
	s.expect(">>> def f(): return 40 + 2\n")
	s.expect(">>> ")
	s.send("f()\r")
	s.expect("\n42\n")
	s.send("%edit nosuch\r")
	s.expect("error: %edit: no item in this session defines nosuch\n")
	s.leave()
}

// A terminal without control sequences receives none.
func TestDumb(t *testing.T) {
	s := start(t, t.TempDir(), 40, "TERM=dumb")
	s.send("def f(x):\r")
	s.expect("... ")
	s.send("    return x + 1\r")
	s.expect("... ")
	s.send("\r")
	s.expect(">>> ")
	s.send("f(41)\r")
	s.expect("\n42\n>>> ")
	s.send("if True:\r")
	s.expect("... ")
	s.send("\x03")
	s.expect("\n>>> ")
	s.send("print(\"it\", \"runs\"); run()\r")
	s.expect("it runs\n")
	s.send("\x03")
	s.expect("\n>>> ")
	s.send("print(\"it\", \"runs\"); run(0.5)\r")
	s.expect("it runs\n")
	s.send("\x04\x04")
	s.expect(">>> ")
	s.send("nosuch\r")
	s.expect("undefined: nosuch")
	s.expect("\n>>> ")
	s.send("probe(\"interval:ms:50\", lambda e: print(\"tick\"))\r")
	s.expect("tick\ntick\n")
	s.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	if text := s.buf.String(); strings.Contains(text, "\x1b") {
		t.Errorf("it printed %q", text)
	}
}

// A user who leaves and has to wait for the kernel is told why.
func TestSlowLeave(t *testing.T) {
	s := start(t, t.TempDir(), 80)
	s.send("c = count()\r")
	s.expect("\n>>> ")
	// Each probe has a perf event, and the kernel releases these one after another.
	s.send("ps = [probe(x.name, lambda e: c.add(by=e.args.__syscall_nr)) for x in probes(\"tracepoint:syscalls:sys_enter_*\")[:40]]\r")
	s.expect("\n>>> ")
	left := time.Now()
	s.send("\x04")
	s.expect("detaching the probes...\n")
	if err := s.cmd.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("it took %v", time.Since(left))
}
