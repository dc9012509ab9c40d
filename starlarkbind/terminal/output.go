// Package terminal prints what scripts and handlers print, as text or as lines of JSON, and
// warnings, progress and source lines with carets. It knows no session: a map that is printed is a
// LiveMap.
//
//	output.go     text, warnings, colour
//	jsonlines.go  lines of JSON: the table of their types, and the line of a print (PrintedLine)
//	progress.go   progress of long operations
//	caret.go      source lines with carets
package terminal

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/internal/paint"
	"github.com/bpfrepl/bpfrepl/internal/plural"
	"github.com/bpfrepl/bpfrepl/internal/stall"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// Output receives everything that is printed, as text or as one JSON object per line. In text form,
// warnings go to stderr.
type Output struct {
	writing sync.Mutex // held during a write, which may take long

	mu                sync.Mutex // guards the fields below
	w                 io.Writer
	errw              io.Writer
	json              bool
	colour, errColour bool // colour what goes to w and to errw
	// err is the error of the first failed write: a closed pipe, a full disk, or a reader that
	// stalled and was given up.
	err  error
	held *strings.Builder // receives what is printed; nil: it goes to w
	lost int              // bytes not written after err
}

func (o *Output) write(w io.Writer, s string) {
	o.writing.Lock()
	defer o.writing.Unlock()
	s, ok := o.begin(w, s)
	if !ok {
		return
	}
	n, err := io.WriteString(w, s) // may wait for the reader
	if err == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err, o.lost = err, len(s)-n
	}
}

// begin returns the text to write, and reports whether it is to be written.
func (o *Output) begin(w io.Writer, s string) (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.held != nil && w == o.w:
		o.held.WriteString(s)
		return "", false
	case o.err != nil && w == o.w:
		o.lost += len(s)
		return "", false // output after a gap would mislead
	case o.colour && w == o.w:
		return paint.Bars(s), true
	}
	return s, true
}

// New returns an output to w, with warnings to errw.
func New(w, errw io.Writer, asJSON, colour, errColour bool) *Output {
	return &Output{w: w, errw: errw, json: asJSON, colour: colour && !asJSON, errColour: errColour}
}

// SetWriters redirects the output.
func (o *Output) SetWriters(w, errw io.Writer) { o.w, o.errw = w, errw }

// ErrText prints text on stderr in any format.
func (o *Output) ErrText(text string) { o.write(o.errw, text) }

// JSON reports whether the output has one JSON object per line.
func (o *Output) JSON() bool { return o.json }

// Hold calls fn and returns what is printed in the meantime.
func (o *Output) Hold(fn func() error) (string, error) {
	var b strings.Builder
	set := func(to *strings.Builder) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.held = to
	}
	set(&b)
	defer set(nil)
	err := fn()
	set(nil)
	return b.String(), err
}

// Print writes s, which is already in its final form: text or lines of JSON.
func (o *Output) Print(s string) { o.write(o.w, s) }

// Text prints a text without a newline of its own.
func (o *Output) Text(s string) {
	if o.json {
		o.Print(PrintedLine("print", "", strings.TrimSuffix(s, "\n"), []starlark.Value{starlark.String(strings.TrimSuffix(s, "\n"))}))
		return
	}
	o.Print(s)
}

func (o *Output) Line(s string) {
	if o.json {
		o.Text(s)
		return
	}
	o.Text(s + "\n")
}

// Warn prints a warning.
func (o *Output) Warn(typ string, fields map[string]any, text string) {
	if o.json {
		o.Object(typ, fields)
		return
	}
	o.Message("WARNING: " + render.Escape(text)) // names of probes come from files of others
}

// Message prints a line on stderr.
func (o *Output) Message(text string) {
	if o.errColour {
		text = paint.Message(text)
	}
	o.write(o.errw, text+"\n")
}

// WarnLost reports how much was not written because the reader of the output stalled. records is
// the number of handler prints that were not written.
func (o *Output) WarnLost(records int) {
	o.mu.Lock()
	err, lost := o.err, o.lost
	o.mu.Unlock()
	if !errors.Is(err, stall.ErrStalled) {
		return
	}
	text := fmt.Sprintf("%v: %d bytes were not written", err, lost)
	if records > 0 {
		text += ", nor the output of " + plural.Of(records, "handler print")
	}
	o.Message("WARNING: " + text) // in JSON nobody would read it
}

// Failed returns the error of the first write that failed.
func (o *Output) Failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// Stalled reports whether output is waiting for a reader that does not read.
func (o *Output) Stalled() bool {
	w, ok := o.w.(interface{ Stalled(time.Duration) bool })
	return ok && w.Stalled(runner.CallbackGrace)
}

// ReportError reports an error where none can be returned.
func (o *Output) ReportError(err error) {
	o.Warn("error", map[string]any{"message": err.Error()}, err.Error())
}

// A LiveMap is an aggregation or a table, whose contents are in the kernel.
type LiveMap interface {
	starlark.Value
	Name() string
	Snapshot() (starlark.Value, error)
}

// PlainValue returns a snapshot of a live map, and any other value unchanged.
func PlainValue(v starlark.Value) starlark.Value {
	if m, ok := v.(LiveMap); ok {
		if p, err := m.Snapshot(); err == nil {
			return p
		}
	}
	return v
}

// DiagnosticFields returns the members of a diagnostic's JSON line.
func DiagnosticFields(d *diag.Diagnostic) map[string]any {
	f := map[string]any{"severity": d.Severity.String(), "message": d.Msg, "hint": d.Hint, "pos": d.Pos.String(), "source": strings.TrimSpace(d.Line)}
	if d.Also.Pos.IsValid() {
		f["also_pos"], f["also_label"], f["also_source"] = d.Also.Pos.String(), d.Also.Label, strings.TrimSpace(d.Also.Line)
	}
	return f
}
