package starlarkbind

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/diag"
)

// widest is the number of columns of a source line that an error shows if there is no terminal.
// Source lines may be megabytes long.
const widest = 400

// fitCarets shortens each source line that has a caret below it to the width of the terminal,
// because a caret under a wrapped line points at nothing. Other lines may wrap, but are cut after
// 2*widest bytes.
func (w *warner) fitCarets(text string) string {
	cols := widest
	if w.opt.Screen != nil {
		if c, _ := w.opt.Screen(); c > 0 {
			cols = c
		}
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
			lines[i] = fmt.Sprintf("%s... %d bytes more", line[:end], len(line)-end)
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

// warnOf prints each of the compiler's warnings about a handler, unless it has been printed before.
func (w *warner) warnOf(code *compiler.Program) {
	if w.opt.Warnings == WarnNone {
		return
	}
	for _, d := range code.Warnings {
		w.mu.Lock()
		told := w.told[*d]
		w.told[*d] = true
		w.mu.Unlock()
		if !told {
			w.out.Warn("diagnostic", diagnosticFields(d), w.fitCarets(d.Error()))
		}
	}
}

// diagnosticFields returns the members of a diagnostic's JSON line.
func diagnosticFields(d *diag.Diagnostic) map[string]any {
	f := map[string]any{"severity": d.Severity.String(), "message": d.Msg, "hint": d.Hint, "pos": d.Pos.String(), "source": strings.TrimSpace(d.Line)}
	if d.Also.Pos.IsValid() {
		f["also_pos"], f["also_label"], f["also_source"] = d.Also.Pos.String(), d.Also.Label, strings.TrimSpace(d.Also.Line)
	}
	return f
}
