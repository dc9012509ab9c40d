package starlarkbind

import (
	"context"
	"strings"
	"testing"
	"time"
)

// --check ends where the script would wait for events: what follows has no data. It names the
// probes that it did not reach.
func TestCheckEndsAtRun(t *testing.T) {
	const probe = "c, s = count(), stream()\np = probe(\"tracepoint:syscalls:sys_enter_getppid\", lambda e: c.add(by=e.comm))\n"
	for _, x := range []struct{ src, out, notes, err string }{
		{probe + "print(\"before\", p.attached)\nrun(1)\nprint(c.top(1)[0])\n", "before False\n", "", ""},
		{probe + "while True:\n    run(1)\n", "", "", ""},
		{probe + "for ev in s:\n    print(ev.none)\nprint(c.top(1)[0])\n", "", "", ""},
		{probe + "print(s.take(3))\n", "", "", ""},
		{probe + "watch(lambda: print(c.top(1)[0]))\n", "", "", ""},
		{probe + "attempt(lambda: run(1))\nprint(c.top(1)[0])\n", "", "", ""},
		{probe + "run(1)\nq = probe(\"begin\", lambda e: c.add())\n", "", "NOTE: --check stops where the script waits for events; not checked: probe() at test.star:4\n", ""},
		{probe + "print(c.top(1)[0])\nrun()\n", "", "", "index 0 out of range: empty list"},
		{probe + "run()\nnone()\n", "", "", "undefined: none"},
	} {
		l := newLive(t, func(o *Options) { o.Check = true })
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err := l.ExecFile(ctx, "test.star", []byte(x.src))
		cancel()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != x.err && (x.err == "" || !strings.Contains(got, x.err)) {
			t.Errorf("%s: error %q, want %q", x.src, got, x.err)
		}
		if l.out.String() != x.out || l.err.String() != x.notes {
			t.Errorf("%s: printed %q and %q, want %q and %q", x.src, l.out.String(), l.err.String(), x.out, x.notes)
		}
	}
}
