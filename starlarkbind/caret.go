package starlarkbind

import "strings"

// fitCarets cuts the source lines that have a caret below them to the width of the terminal: where a line wraps, its caret points at
// nothing.
func (s *Session) fitCarets(text string) string {
	if s.opt.Screen == nil {
		return text
	}
	cols, _ := s.opt.Screen()
	lines := strings.Split(text, "\n")
	for i := 1; i < len(lines); i++ {
		if pad, ok := strings.CutSuffix(lines[i], "^"); ok && strings.TrimSpace(pad) == "" {
			lines[i-1], lines[i] = window(lines[i-1], pad, cols)
		}
	}
	return strings.Join(lines, "\n")
}

// window gives the part of a line around its caret, and that part's caret.
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
