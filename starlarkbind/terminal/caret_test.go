package terminal

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// When a line is too wide, the part shown fits and the caret stays under the same rune.
func TestWindow(t *testing.T) {
	const line = `    probe("tracepoint:syscalls:sys_enter_write", lambda e: sizes.add(e.args.cöut), filter=lambda e: e.comm == "dd")`
	n := utf8.RuneCountInString(line)
	for _, cols := range []int{20, 40, 80, n - 1, n, 200} {
		for at := 4; at <= n; at++ {
			part, caret := window(line, strings.Repeat(" ", at), cols)
			i := strings.Index(caret, "^")
			want, got := "", ""
			if at < n {
				want = string([]rune(line)[at])
			}
			if r := []rune(part); i < len(r) {
				got = string(r[i])
			}
			if got != want || utf8.RuneCountInString(part) > cols || !strings.HasPrefix(part, "    ") {
				t.Errorf("%d columns, rune %d: %q, want %q\n%s\n%s", cols, at, got, want, part, caret)
			}
		}
	}
	part, caret := window(line, strings.Repeat(" ", 76), 80)
	if want := `    ...:sys_enter_write", lambda e: sizes.add(e.args.cöut), filter=lambda e: ...`; part != want || caret != strings.Repeat(" ", 53)+"^" {
		t.Errorf("got\n%s\n%s", part, caret)
	}
}
