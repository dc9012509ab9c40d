package compiler

import (
	"fmt"
	"strings"
	"testing"
)

// A program that exceeds a limit is rejected with a message that names the limit, before it is
// loaded.
func TestLimits(t *testing.T) {
	maps := func(n int) string {
		s, body := "", "def h(e):\n"
		for i := range n {
			s += fmt.Sprintf("c%d = count()\n", i)
			body += fmt.Sprintf("    c%d.add()\n", i)
		}
		return s + body
	}
	for _, c := range []struct{ name, text, want string }{
		{"64 maps", maps(64), ""},
		{"65 maps", maps(65), `long.star:66:1: the handler uses 65 maps; a program can use 64, 0 of which bpfrepl needs here`},
		{"64 maps and errors", strings.ReplaceAll(maps(64), "c1.add()", "c1.add(1 // e.pid)"),
			`long.star:65:1: the handler uses 64 maps; a program can use 64, 1 of which bpfrepl needs here`},
		{"a search", "c = count()\ndef h(e):\n    c.add(by=str(e.args.filename, 128) in str(e.args.filename, 1024))\n",
			`long.star:3:46: the program is too large: it computes 43359 values; the limit is 20000
        c.add(by=str(e.args.filename, 128) in str(e.args.filename, 1024))
                                                 ^
    hint: this alone computes 43306 of the values: use shorter strings, str(ptr, 64), or fewer of them`},
		{"terms", "c = sum()\ndef h(e):\n    x = e.args.i64\n    c.add(x" + strings.Repeat(" + x", 30_000) + ")\n",
			`long.star:2:1: the program is too large: it computes 30008 values; the limit is 20000
    def h(e):
    ^
    hint: make loops over captured lists shorter, or split the handler`},
	} {
		_, err := Compile(parseSource(t, "long.star", c.text).request(t))
		got := ""
		if err != nil {
			got = err.Error()
			if !strings.Contains(c.want, "\n") {
				got, _, _ = strings.Cut(got, "\n")
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
