package tmux

import (
	"os"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m, nil)) }

func TestScreen(t *testing.T) {
	dir := t.TempDir()
	s := Start(t, Options{Cols: 20, Rows: 5, Env: []string{"WHO=me;"}, Dir: dir}, "sh", "-c", `pwd | tail -c 5; echo "$WHO"; printf '\033[31mred\033[m\n'; cat; exit 3`)
	if got := s.Expect(`^red$`); got != dir[len(dir)-4:]+"\nme;\nred" {
		t.Errorf("the screen is\n%s", got)
	}
	if got := s.Coloured(); !strings.HasSuffix(got, "\x1b[31mred") {
		t.Errorf("in colours it is %q", got)
	}
	s.Type("é 日本 $x; y")
	s.Type(";")
	s.Expect(`^é 日本 \$x; y;$`)
	if col, row := s.Cursor(); col != 13 || row != 3 {
		t.Errorf("the cursor is at %d, %d", col, row)
	}
	s.Keys("Enter")
	s.Expect(`y;\né 日本 \$x; y;$`)
	s.Type(strings.Repeat("0123456789", 3))
	s.Expect(`^01234567890123456789\n0123456789$`)
	s.Resize(40, 5)
	s.Expect(`^012345678901234567890123456789$`)
	s.Resize(15, 5)
	s.Keys("Enter")
	s.Wait("the line again", s.Text, func(text string) bool {
		return strings.HasSuffix(text, "\né 日本 $x; y;\n012345678901234567890123456789\n012345678901234567890123456789")
	})
	s.Paste("pasted\nthis\n")
	s.Wait("what was pasted, twice", s.Text, func(text string) bool {
		return strings.Count(text, "pasted\n") == 2 && strings.Count(text+"\n", "this\n") == 2
	})
	if s.PID() <= 1 {
		t.Error("no process")
	}
	s.Keys("C-d")
	if got := s.Exit(); got != 3 {
		t.Errorf("its status is %d", got)
	}
}
