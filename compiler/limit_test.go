package compiler

import (
	"fmt"
	"strings"
	"testing"
)

// What is too much for one program is refused by name, before the kernel sees it.
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
	} {
		_, err := Compile(parseSource(t, "long.star", c.text).request(t))
		got := ""
		if err != nil {
			got, _, _ = strings.Cut(err.Error(), "\n")
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
