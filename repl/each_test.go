package repl

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/tmux"
)

// A callback called by the prompt may fail or loop forever; the session continues.
func TestEachAtPrompt(t *testing.T) {
	gen, comm, err := buildbin.Load()
	if err != nil {
		t.Fatal(err)
	}
	s := tmux.Start(t, tmux.Options{Cols: 200, Rows: 40, Env: []string{"XDG_STATE_HOME=" + t.TempDir()}}, binary(t))
	enter := func(item, gives string) {
		t.Helper()
		if strings.Contains(item, "\n") {
			s.Paste(item + "\n")
		} else {
			s.Type(item)
			s.Keys("Enter")
		}
		s.Wait(gives, s.Text, func(text string) bool { return strings.HasSuffix(text, gives+"\n>>>") })
	}
	load := func() {
		t.Helper()
		if out, err := exec.Command(gen, "getppid", "1").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	s.Expect(`^>>>$`)
	enter("s = stream()", ">>> s = stream()")
	enter(`p = probe("tracepoint:syscalls:sys_enter_getppid", lambda e: s.emit(n=1), filter=lambda e: e.comm == "`+comm+`")`, comm+`")`)
	enter("s.each(lambda ev: ev.m)", "ev.m)")
	load()
	s.Wait("the error", s.Text, func(text string) bool {
		return strings.HasSuffix(text, "\nerror: In[3]:1:21: struct has no .m field or method\n    s.each(lambda ev: ev.m)\n                        ^\n    s.each() has ended\n>>>")
	})
	load()
	enter("s.emitted", "2")
	enter("s.each(lambda ev: exit(3))", "exit(3))")
	load()
	s.Wait("the error", s.Text, func(text string) bool {
		return strings.Contains(text, ": exit: a callback cannot leave the prompt while it waits; write exit() at the prompt\n") && strings.HasSuffix(text, "\n    s.each() has ended\n>>>")
	})
	enter("def forever(ev):\n    print(\"begins\")\n    while True: pass", "pass")
	enter("s.each(forever)", "begins")
	s.Type("40 + 2")
	s.Keys("Enter")
	s.Wait("Ctrl-C to be heard", func() string { s.Keys("C-c"); return s.Text() }, func(text string) bool { return strings.Contains(text, "\ninterrupted\n") })
	enter("s.take(1, timeout=0.01)", "[]")
	enter("40 + 2", "\n42")
	load()
	s.Expect(`^begins\n>>>$`)
	s.Keys("C-d")
	if code := s.Exit(); code != 0 {
		t.Errorf("status %d", code)
	}
}
