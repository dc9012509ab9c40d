// Package warnings prints what users are warned about. A warning says that data is or may be lost,
// or that a handler is questionable; a note, that a script does something without effect. Each is
// printed once, where that is what the user wants, and depends on the level of --warnings.
//
// warnings.go has the Warner, its level, notes, and the compiler's warnings; helper.go warns about
// helper errors; probes.go about events that a probe misses, CPUs that come online, and targets
// that are left out; feedback.go detects output that causes itself.
package warnings

import (
	"fmt"
	"sync"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/starlarkbind/helpererr"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
)

// A Level is a level of warnings.
type Level uint8

// Levels of warnings.
const (
	Default Level = iota // errors that lose data
	All                  // also failed reads and missing keys
	None
)

// Options configure a Warner.
type Options struct {
	Level   Level
	Out     *terminal.Output
	Sources *source.Files
	Screen  func() (cols, rows int) // terminal size; may be nil
	NoNotes bool
}

// A Warner prints warnings and notes.
type Warner struct {
	opt Options

	mu     sync.Mutex               // guards the fields below
	told   map[diag.Diagnostic]bool // compiler warnings
	warned map[helpererr.Key]bool   // helper errors
	faults map[string]bool          // other errors
}

// New returns a Warner.
func New(opt Options) *Warner {
	w := &Warner{opt: opt, faults: map[string]bool{}}
	w.Reset()
	return w
}

// Level returns the level of warnings.
func (w *Warner) Level() Level { return w.opt.Level }

// Reset forgets which helper errors and compiler warnings were reported.
func (w *Warner) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.warned, w.told = map[helpererr.Key]bool{}, map[diag.Diagnostic]bool{}
}

// Once reports an error the first time it occurs in the session.
func (w *Warner) Once(err error) {
	w.mu.Lock()
	seen := w.faults[err.Error()]
	w.faults[err.Error()] = true
	w.mu.Unlock()
	if !seen {
		w.opt.Out.ReportError(err)
	}
}

// Note prints a note.
func (w *Warner) Note(format string, args ...any) {
	if w.opt.Level == None || w.opt.NoNotes {
		return
	}
	w.opt.Out.Message("NOTE: " + render.Escape(fmt.Sprintf(format, args...)))
}

// FitCarets shortens source lines with a caret to the width of the terminal.
func (w *Warner) FitCarets(text string) string {
	cols := 0
	if w.opt.Screen != nil {
		cols, _ = w.opt.Screen()
	}
	return terminal.FitCarets(text, cols)
}

// Program prints each of the compiler's warnings about a handler, unless it has been printed
// before.
func (w *Warner) Program(code *compiler.Program) {
	if w.opt.Level == None {
		return
	}
	for _, d := range code.Warnings {
		w.mu.Lock()
		told := w.told[*d]
		w.told[*d] = true
		w.mu.Unlock()
		if !told {
			w.opt.Out.Warn("diagnostic", terminal.DiagnosticFields(d), w.FitCarets(d.Error()))
		}
	}
}
