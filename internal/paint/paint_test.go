package paint

import (
	"os"
	"testing"

	"github.com/creack/pty"
)

func TestMessage(t *testing.T) {
	const text = "error: x.star:1:2: no\n    a + b\n     ^\n    hint: write c\nan error: in the middle ^\nWARNING: w\nNOTE: n"
	const want = "\x1b[1;31merror:\x1b[0m x.star:1:2: no\n    a + b\n     \x1b[1;31m^\x1b[0m\n    \x1b[36mhint:\x1b[0m write c\nan error: in the middle ^\n\x1b[1;33mWARNING:\x1b[0m w\n\x1b[36mNOTE:\x1b[0m n"
	if got := Message(text); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Strip(Message(text)); got != text {
		t.Errorf("stripped: %q", got)
	}
}

func TestBars(t *testing.T) {
	const text = "[1]  2 |@@@  |\n[2]  0 |     |\n|@ no bar | x\n"
	const want = "[1]  2 |\x1b[32m@@@\x1b[0m  |\n[2]  0 |     |\n|@ no bar | x\n"
	if got := Bars(text); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Strip(Bars(text)); got != text {
		t.Errorf("stripped: %q", got)
	}
}

func TestWanted(t *testing.T) {
	p, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	defer tty.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for _, c := range []struct {
		term, noColor string
		f             *os.File
		want          bool
	}{{"xterm", "", tty, true}, {"xterm", "1", tty, false}, {"dumb", "", tty, false}, {"", "", tty, false}, {"xterm", "", w, false}} {
		t.Setenv("TERM", c.term)
		t.Setenv("NO_COLOR", c.noColor)
		if got := Wanted(c.f); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
