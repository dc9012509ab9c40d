package terminal

import (
	"strings"
	"unicode/utf8"

	"github.com/bpfrepl/bpfrepl/internal/plural"
)

// widest is the number of columns of a source line that an error shows if there is no terminal.
// Source lines may be megabytes long.
const widest = 400

// FitCarets shortens each source line that has a caret below it to a number of columns, or to
// widest if cols is 0, because a caret under a wrapped line points at nothing. Other lines may
// wrap, but are cut after 2*widest bytes.
func FitCarets(text string, cols int) string {
	if cols <= 0 {
		cols = widest
	}
	lines := strings.Split(text, "\n")
	for i := 1; i < len(lines); i++ {
		if pad, ok := strings.CutSuffix(lines[i], "^"); ok && strings.TrimSpace(pad) == "" {
			lines[i-1], lines[i] = window(lines[i-1], pad, cols)
		}
	}
	for i, line := range lines {
		if len(line) > 2*widest {
			end := 2 * widest
			for !utf8.RuneStart(line[end]) {
				end--
			}
			lines[i] = line[:end] + "... " + plural.Of(len(line)-end, "byte") + " more"
		}
	}
	return strings.Join(lines, "\n")
}

// window returns the part of a line around its caret, and the caret line for that part.
func window(line, pad string, cols int) (part, caret string) {
	const margin, dots, least = 4, "...", 20
	src, blanks := []rune(line), []rune(pad)
	if len(src) <= cols || cols < least {
		return line, pad + "^"
	}
	room := cols - margin - 2*len(dots)
	to := min(len(src), max(margin, len(blanks)-room*2/3)+room)
	from := max(margin, to-room)
	part, caret = string(src[from:to]), string(blanks[min(from, len(blanks)):])+"^"
	if from > margin {
		part, caret = dots+part, strings.Repeat(" ", len(dots))+caret
	}
	if to < len(src) {
		part += dots
	}
	in := strings.Repeat(" ", margin)
	return in + part, in + caret
}
