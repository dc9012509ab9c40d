package warnings

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/starlarkbind/helpererr"
)

// HelperErrors prints a warning for each error that it has not seen before.
func (w *Warner) HelperErrors(all []*helpererr.Error) {
	for _, e := range all {
		w.mu.Lock()
		seen := w.warned[e.Key()]
		w.warned[e.Key()] = true
		w.mu.Unlock()
		if !seen && w.wanted(e) {
			w.helperError(e, false)
		}
	}
}

// HelperTotals reports, at the end, how often each error occurred.
func (w *Warner) HelperTotals(all []*helpererr.Error) {
	for _, e := range all {
		if w.wanted(e) && e.Helper != helpererr.Overhead { // reported when it occurred
			w.helperError(e, true)
		}
	}
}

// wanted reports whether the level of warnings includes e.
func (w *Warner) wanted(e *helpererr.Error) bool {
	switch w.opt.Level {
	case None:
		return false
	case All:
		return true
	}
	return !e.Quiet
}

// helperError prints a warning about e: its position and hint, or with total its count at the end.
func (w *Warner) helperError(e *helpererr.Error, total bool) {
	f := map[string]any{"helper": e.Helper, "code": e.Code, "errno": e.Errno, "message": e.Message, "hint": e.Hint, "probe": e.Probe, "pos": e.Pos,
		"source": e.Source, "map": nil, "count": e.Count, "first": e.First, "last": e.Last, "total": total}
	if e.MapName != "" {
		f["map"] = e.MapName
	}
	name := e.Errno
	if e.Helper != "" {
		name = e.Helper + ": " + e.Errno
	}
	if total {
		w.opt.Out.Warn("helper_error", f, fmt.Sprintf("%s: %s (%s), %d times in all", e.Pos, e.Message, name, e.Count))
		return
	}
	text := fmt.Sprintf("%s: %s (%s)", e.Pos, e.Message, name)
	text = w.FitCarets(text + w.caret(e.Pos, e.Source))
	if e.Hint != "" {
		text += "\n    hint: " + e.Hint
	}
	w.opt.Out.Warn("helper_error", f, text)
}

// caret returns the source line of a position "file:line:col" with a caret below it. It returns ""
// if pos is not such a position, and only the text if the file has changed since.
func (w *Warner) caret(pos, text string) string {
	i := strings.LastIndexByte(pos, ':')
	j := strings.LastIndexByte(pos[:max(i, 0)], ':')
	if i < 0 || j < 0 {
		return ""
	}
	var line, col int32
	if _, err := fmt.Sscanf(pos[j+1:], "%d:%d", &line, &col); err != nil {
		return ""
	}
	file := pos[:j]
	now := w.opt.Sources.Line(syntax.MakePosition(&file, line, col))
	if strings.TrimSpace(now) != text {
		return "\n    " + text
	}
	return diag.Caret(now, int(col))
}
