package repl

import (
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/tmux"
)

// A line typed up to and past the edge of the terminal is one line to the terminal too: it can be
// copied as one line, and reflows when the terminal becomes wider.
func TestWrapped(t *testing.T) {
	s := tmux.Start(t, tmux.Options{Env: []string{"XDG_STATE_HOME=" + t.TempDir()}}, binary(t))
	s.Expect(`^>>>$`)
	line := `len("` + strings.Repeat("0123456789", 18) + `")`
	at := 0
	for _, edge := range []int{76, 156, len(line)} { // of 80 columns, with the prompt
		s.Type(line[at:edge])
		s.Wait("what was typed", s.Text, func(text string) bool { return strings.HasSuffix(text, ">>> "+line[:edge]) })
		at = edge
	}
	s.Keys("Enter")
	s.Wait("its value", s.Text, func(text string) bool { return strings.HasSuffix(text, ">>> "+line+"\n180\n>>>") })
}
