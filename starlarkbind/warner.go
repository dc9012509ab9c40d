package starlarkbind

import (
	"fmt"
	"sync"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/starlarkbind/flags"
	"github.com/bpfrepl/bpfrepl/starlarkbind/helpererr"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
)

// A warner prints warnings and notes, each only once where that is what the user wants.
type warner struct {
	opt     *Options
	out     *terminal.Output
	sources *source.Files
	flags   *flags.Set

	mu     sync.Mutex               // guards the fields below
	told   map[diag.Diagnostic]bool // compiler warnings
	warned map[helpererr.Key]bool   // helper errors
	faults map[string]bool          // other errors
}

func newWarner(opt *Options, out *terminal.Output, src *source.Files, f *flags.Set) *warner {
	w := &warner{opt: opt, out: out, sources: src, flags: f, faults: map[string]bool{}}
	w.reset()
	return w
}

// reset forgets which errors and warnings were reported.
func (w *warner) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.warned, w.told = map[helpererr.Key]bool{}, map[diag.Diagnostic]bool{}
}

// warnOnce reports an error the first time it occurs in the session.
func (w *warner) warnOnce(err error) {
	w.mu.Lock()
	seen := w.faults[err.Error()]
	w.faults[err.Error()] = true
	w.mu.Unlock()
	if !seen {
		w.out.ReportError(err)
	}
}

func (w *warner) note(format string, args ...any) {
	if w.opt.Warnings == WarnNone || w.flags.Help() {
		return
	}
	w.out.Message("NOTE: " + render.Escape(fmt.Sprintf(format, args...)))
}

// fitCarets shortens source lines with a caret to the width of the terminal.
func (w *warner) fitCarets(text string) string {
	cols := 0
	if w.opt.Screen != nil {
		cols, _ = w.opt.Screen()
	}
	return terminal.FitCarets(text, cols)
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
			w.out.Warn("diagnostic", terminal.DiagnosticFields(d), w.fitCarets(d.Error()))
		}
	}
}
