package starlarkbind

import (
	"strings"
	"testing"
)

// An error never prints a source line of megabytes, wherever it shows the line.
func TestLongLine(t *testing.T) {
	const mega = 1 << 20
	pad := strings.Repeat("x", mega)
	for _, src := range []string{
		`y = "` + pad + `" + 1`,
		`y = "` + pad + `" +`,
		`def f(s): fail(s)` + "\n" + `f("` + pad + `")`,
		`nope + "` + pad + `"`,
		`probe("tracepoint:sched:sched_switch", lambda e: print("` + pad + `", e.coom))`,
	} {
		l := newLive(t, nil)
		err := l.script(src)
		if err == nil {
			t.Fatalf("%.40s: no error", src)
		}
		if text := l.FormatError(err); len(text) > 4000 || !strings.Contains(text, "test.star:") {
			t.Errorf("%.40s: the error has %d bytes: %.200s", src, len(text), text)
		}
	}
}
