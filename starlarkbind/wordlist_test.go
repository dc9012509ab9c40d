package starlarkbind

import (
	"errors"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/wordlist"
)

// wordPrelude defines the names that the lines of package wordlist use.
const wordPrelude = `n = 0
t0 = now()
c = count()
t = table()
s = stream()
l = [1, 2]
h = lambda e: c.add()
`

// wordScript returns a script with a line in the place that its row names.
func wordScript(t *testing.T, w wordlist.Word, line string) string {
	if w.Where == wordlist.Script {
		return wordPrelude + line + "\n"
	}
	spec := "tracepoint:syscalls:sys_enter_execve"
	if w.Where == wordlist.Return {
		spec = "uretprobe:" + build(t, "calls") + ":six"
		if strings.Contains(line, "e.args") {
			spec = "uprobe:" + build(t, "calls") + ":six"
		}
	}
	// The table's values get a type before the handler reads them.
	return wordPrelude + "t[1] = 1\ndef handler(e):\n    " + line + "\nprobe(\"" + spec + "\", handler)\n"
}

// For each row of the table of words, the line with the word fails with the row's hint, once, and
// the code that the hint suggests runs or compiles.
func TestWordlist(t *testing.T) {
	for _, w := range wordlist.All() {
		t.Run(string(w.From)+" "+w.Text, func(t *testing.T) {
			wrong := newLive(t, func(o *Options) { o.Check = true })
			err := wrong.script(wordScript(t, w, w.Example()))
			if err == nil {
				t.Fatalf("%s: no error", w.Example())
			}
			text := wrong.FormatError(err)
			if hint := "\n    hint: " + w.Hint(); !strings.Contains(text+"\n", hint+"\n") || strings.Count(text, "hint:") != 1 || strings.Count(text, "test.star:")-strings.Count(text, "called from test.star:") != 1 {
				t.Errorf("%s: got\n%s\nwant once%s", w.Example(), text, hint)
			}
			if w.Code == "" {
				return
			}
			right := newLive(t, func(o *Options) { o.Check = true; o.Args = []string{"1"} })
			if err := right.script(wordScript(t, w, w.Code)); err != nil && !errors.Is(err, ErrHelp) {
				t.Errorf("%s: %s", w.Code, right.FormatError(err))
			}
		})
	}
}
