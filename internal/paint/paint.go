// Package paint adds colour to text for a terminal: to the words that begin errors, to carets, and
// to the bars of histograms. It only inserts escape sequences; Strip removes them again.
package paint

import (
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
)

// Attributes, as control sequences (ECMA-48, SGR).
const (
	reset  = "\x1b[0m"
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	cyan   = "\x1b[36m"
	green  = "\x1b[32m"
	bright = "\x1b[1;32m"
	faint  = "\x1b[2m"
)

// Wanted reports whether f is a terminal that can show colours and its user wants them. NO_COLOR
// switches them off (https://no-color.org).
func Wanted(f *os.File) bool {
	t := os.Getenv("TERM")
	return term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && t != "" && t != "dumb"
}

// Prompt colours the text of a prompt. Faint dims text that is suggested but not entered yet.
func Prompt(text string) string { return bright + text + reset }
func Faint(text string) string  { return faint + text + reset }

// words begin the lines of messages.
var words = []struct{ word, colour string }{{"error:", red}, {"WARNING:", yellow}, {"NOTE:", cyan}, {"    hint:", cyan}}

// Message colours an error, a warning or a note, including its hint and caret.
func Message(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if pad, ok := strings.CutSuffix(line, "^"); ok && strings.TrimSpace(pad) == "" {
			lines[i] = pad + red + "^" + reset
			continue
		}
		for _, w := range words {
			if rest, ok := strings.CutPrefix(line, w.word); ok {
				indent := len(w.word) - len(strings.TrimLeft(w.word, " "))
				lines[i] = w.word[:indent] + w.colour + w.word[indent:] + reset + rest
			}
		}
	}
	return strings.Join(lines, "\n")
}

var bar = lazyregexp.Regexp(`(?m)\|(@+)( *\|)$`)

// Bars colours the bars of histograms.
func Bars(text string) string {
	if !strings.Contains(text, "|@") {
		return text
	}
	return bar().ReplaceAllString(text, "|"+green+"$1"+reset+"$2")
}

var attributes = lazyregexp.Regexp("\x1b\\[[0-9;]*m")

// Strip removes the escape sequences that this package adds.
func Strip(text string) string {
	if !strings.Contains(text, "\x1b[") {
		return text
	}
	return attributes().ReplaceAllString(text, "")
}
