// Package transcript parses what `%log on` records of a session at the prompt, and types it again,
// so that a transcript serves as a test.
//
// The output of an item must be reproduced exactly. Where that is impossible, because the output
// contains times or process IDs, the item ends with the comment "# varies": then all numbers count
// as equal, whatever their digits, units and columns, and so do the bars of histograms, however
// many there are.
package transcript

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/tmux"
)

// An Item is an input and its output.
type Item struct {
	Src, Out string
	Line     int // line number in the transcript
}

// Prompts are the texts before an input: before its first line, and before each continuation line.
type Prompts [2]string

// The prompts of bpfrepl and of a shell.
var (
	REPL  = Prompts{">>> ", "... "}
	Shell = Prompts{"$ ", "> "}
)

// Parse splits a transcript into items.
func (p Prompts) Parse(text string) []Item {
	var out []Item
	typed := false // the previous line was input
	for i, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		rest, more := strings.CutPrefix(l+" ", p[1])
		switch src, begins := strings.CutPrefix(l+" ", p[0]); {
		case begins:
			out = append(out, Item{Src: strings.TrimRight(src, " "), Line: i + 1})
			typed = true
		case typed && more:
			out[len(out)-1].Src += "\n" + strings.TrimRight(rest, " ")
		case len(out) > 0:
			typed = false
			out[len(out)-1].Out += strings.TrimRight(l, " ") + "\n"
		}
	}
	for i := range out {
		out[i].Src = strings.TrimRight(out[i].Src, "\n")
	}
	return out
}

// Format returns the transcript that consists of items.
func (p Prompts) Format(items []Item) string {
	var b strings.Builder
	for _, it := range items {
		b.WriteString(p[0] + strings.ReplaceAll(it.Src, "\n", "\n"+p[1]) + "\n")
		if p == REPL && strings.Contains(it.Src, "\n") { // the empty line that ended the input
			b.WriteString("...\n")
		}
		b.WriteString(it.Out)
	}
	return regexp.MustCompile(`(?m) +$`).ReplaceAllString(b.String(), "")
}

// Rerun starts command, which must show a bpfrepl prompt, in a terminal, types the items, and
// returns them with the output that they have there.
func Rerun(t testing.TB, opt tmux.Options, items []Item, command ...string) []Item {
	t.Helper()
	opt.Cols, opt.Rows = 160, 50
	s := tmux.Start(t, opt, command...)
	log := filepath.Join(t.TempDir(), "log")
	prompts := 0
	ready := func() {
		t.Helper()
		prompts++
		s.Wait("the prompt", s.Text, func(text string) bool {
			return strings.HasSuffix("\n"+text, "\n>>>") && strings.Count("\n"+text, "\n>>>") == prompts
		})
	}
	ready()
	for _, it := range append([]Item{{Src: "%log on " + log}}, items...) {
		if strings.Contains(it.Src, "\n") {
			s.Paste(it.Src + "\n")
		} else {
			s.Type(it.Src)
			s.Keys("Enter")
		}
		ready()
	}
	s.Keys("C-d")
	if code := s.Exit(); code != 0 {
		t.Errorf("the prompt ended with status %d", code)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return REPL.Parse(string(text))
}

// Compare reports each difference between a run and the transcript as a test error. It returns the
// transcript that would pass: items whose output only varies keep their old output.
func Compare(t testing.TB, want, got []Item) []Item {
	t.Helper()
	out := append([]Item{}, want...)
	for i, w := range want {
		if i == len(got) || got[i].Src != w.Src {
			t.Errorf("line %d: %s was typed, and not run", w.Line, w.Src)
			return want
		}
		if g := got[i]; !Same(w.Src, w.Out, g.Out) {
			t.Errorf("line %d: %s\ngot\n%swant\n%s", w.Line, w.Src, g.Out, w.Out)
			out[i].Out = g.Out
		}
	}
	return out
}

// Same reports whether got is an acceptable output of the input src, whose expected output is want.
func Same(src, want, got string) bool {
	if strings.HasSuffix(src, "# varies") {
		want, got = shape(want), shape(got)
	}
	return tookAny.ReplaceAllString(want, "took") == tookAny.ReplaceAllString(got, "took")
}

var (
	tookAny = regexp.MustCompile(`(?m)^took \S+$`) // %time
	number  = regexp.MustCompile(`\d[\d.]*(?:(?:ns|µs|us|ms|s|[KMGT]i?B?)\b)?`)
	bar     = regexp.MustCompile(`\|@* *\|`)
	blanks  = regexp.MustCompile(` +`)
)

// shape returns a text with numbers, bars and blanks normalized and adjacent equal lines merged.
func shape(text string) string {
	text = blanks.ReplaceAllString(bar.ReplaceAllString(number.ReplaceAllString(text, "N"), "|@|"), " ")
	var out []string
	for _, l := range strings.Split(text, "\n") {
		if l = strings.TrimSpace(l); len(out) == 0 || out[len(out)-1] != l {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}
