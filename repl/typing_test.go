package repl

import (
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/tmux"
)

// Blocks typed by a program (expect, send-keys) keep their indentation, however the keys arrive:
// automatic indentation is not added to it.
func TestTypedIndentation(t *testing.T) {
	blocks := []string{
		"def f(x):\n    if x > 1:\n        return 1\n    elif x == 1:\n        y = 2\n        return y\n    else:\n        for i in range(3):\n            x += i\n    return x\n",
		"def f(x):\n  if x:\n    return 1\n  return 2\n",
		"def f(x):\n        a = [\n  1,\n                2,\n        ]\n        return a\n",
		"def f(x):\n    for i in range(2):\n        if i: x += 1\n        else: x += 2\n    return x\n",
	}
	ways := map[string]func(s *screen, block string){
		"at once": func(s *screen, block string) { s.send(strings.ReplaceAll(block, "\n", "\r") + "\r") },
		"line by line": func(s *screen, block string) {
			for line := range strings.Lines(block) {
				s.send(strings.TrimSuffix(line, "\n") + "\r")
				s.expect("... ")
			}
			s.send("\r")
		},
		"rune by rune": func(s *screen, block string) {
			for _, r := range strings.ReplaceAll(block, "\n", "\r") + "\r" {
				s.send(string(r))
				if r == '\r' {
					s.expect("... ")
				}
			}
		},
	}
	s := start(t, t.TempDir(), 100)
	for name, send := range ways {
		for _, block := range blocks {
			send(s, block)
			s.expect(">>> ")
			s.send("f??\r")
			s.expect(":1:1:\n    " + strings.ReplaceAll(strings.TrimRight(block, "\n"), "\n", "\n    ") + "\n")
			s.expect(">>> ")
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
	s.leave()
}

// else and elif, typed by a person without indentation, end the block before them.
func TestElseDedents(t *testing.T) {
	s := start(t, t.TempDir(), 100)
	for _, line := range []string{"def f(x):", "if x > 1:", "return 1", "elif x == 1:", "return 2", "else:", "return 3", ""} {
		s.send(line + "\r")
		s.expect(map[bool]string{true: ">>> ", false: "... "}[line == ""])
	}
	s.send("[f(x) for x in (2, 1, 0)]\r")
	s.expect("\n[1, 2, 3]")
	s.leave()
}

// The continuation of an earlier item is suggested in faint text. Right and End accept it, Alt-F
// accepts a word; typing something else removes it.
func TestSuggestion(t *testing.T) {
	dir := t.TempDir()
	s := tmux.Start(t, tmux.Options{Dir: dir, Env: []string{"XDG_STATE_HOME=" + dir, "TERM=screen-256color", "NO_COLOR="}}, binary(t))
	enter := func(text string) {
		t.Helper()
		s.Type(text)
		s.Keys("Enter")
	}
	row := func(want string) {
		t.Helper()
		s.Wait("the row "+want, func() string {
			rows := strings.Split(s.Coloured(), "\n")
			return strings.ReplaceAll(rows[len(rows)-1], "\x1b[39m\x1b[49m", "")
		}, func(got string) bool { return got == want })
	}
	s.Expect(`^>>>$`)
	enter("first = 40 + 2")
	enter("first + 1")
	s.Expect(`^43$`)
	s.Type("fir")
	row("\x1b[1m\x1b[32m>>> \x1b[0mfir\x1b[2mst + 1")
	if col, _ := s.Cursor(); col != len(">>> fir") {
		t.Errorf("the cursor is in column %d", col)
	}
	s.Type("st =")
	row("\x1b[1m\x1b[32m>>> \x1b[0mfirst =\x1b[2m 40 + 2")
	s.Keys("M-f")
	row("\x1b[1m\x1b[32m>>> \x1b[0mfirst = 40\x1b[2m + 2")
	s.Keys("Right")
	row("\x1b[1m\x1b[32m>>> \x1b[0mfirst = 40 + 2")
	s.Type("1")
	s.Keys("Enter")
	enter("first")
	s.Expect(`^61$`)
	s.Type("first =")
	s.Keys("End", "Enter")
	enter("first * 2")
	s.Expect(`^122$`)
	// Enter runs only the typed text and removes the suggestion.
	enter("first")
	s.Wait("the items", s.Text, func(text string) bool { return strings.HasSuffix(text, "122\n>>> first\n61\n>>>") })
	// A block is suggested line by line. There is no suggestion with the cursor in the middle of a
	// line.
	s.Paste("def twice(x):\n    return 2 * x\n")
	s.Expect(`^>>>$`)
	s.Type("def tw")
	row("\x1b[1m\x1b[32m>>> \x1b[0mdef tw\x1b[2mice(x):")
	s.Keys("Left")
	row("\x1b[1m\x1b[32m>>> \x1b[0mdef tw")
	s.Keys("Right", "Right", "Enter")
	row("\x1b[1m\x1b[32m... \x1b[0m    \x1b[2mreturn 2 * x")
	s.Keys("C-c", "C-d")
	if code := s.Exit(); code != 0 {
		t.Errorf("status %d", code)
	}
}

// Errors, their carets and bars are colored; the log is not. With NO_COLOR there are neither colors
// nor suggestions.
func TestColours(t *testing.T) {
	const items = "h = hist()\n" + "h.add(5)\n" + "h\n" + "print(h)\n" + "zzqqy\n"
	for _, noColor := range []string{"", "1"} {
		dir := t.TempDir()
		s := tmux.Start(t, tmux.Options{Dir: dir, Env: []string{"XDG_STATE_HOME=" + dir, "TERM=screen-256color", "NO_COLOR=" + noColor}}, binary(t))
		s.Expect(`^>>>$`)
		for item := range strings.Lines(items) {
			s.Type(strings.TrimSuffix(item, "\n"))
			s.Keys("Enter")
		}
		s.Expect(`undefined: zzqqy\n    zzqqy\n    \^\n>>>$`)
		got := strings.ReplaceAll(s.Coloured(), "\x1b[39m\x1b[49m", "")
		for want, n := range map[string]int{"|\x1b[32m@@@@": 2, "\x1b[1m\x1b[31merror:\x1b[0m In[5]:1:1: undefined: zzqqy": 1, "    \x1b[1m\x1b[31m^": 1, "\x1b[1m\x1b[32m>>> ": 5} {
			if noColor != "" {
				n = 0
			}
			if c := strings.Count(got, want); c != n {
				t.Errorf("NO_COLOR=%s: %q is there %d times, want %d, in\n%q", noColor, want, c, n, got)
			}
		}
		if noColor != "" && strings.Contains(got, "\x1b[") {
			t.Errorf("with NO_COLOR there are attributes: %q", got)
		}
		s.Type("prin")
		s.Wait("the line", s.Screen, func(got string) bool {
			return strings.HasSuffix(got, map[bool]string{true: ">>> print(h)", false: ">>> prin"}[noColor == ""])
		})
		s.Keys("C-c", "C-d")
		if code := s.Exit(); code != 0 {
			t.Errorf("status %d", code)
		}
	}
}
