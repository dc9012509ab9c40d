package starlarkbind

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
	"github.com/bpfrepl/bpfrepl/internal/stall"
	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// output receives everything that is printed, as text or as one JSON object per line. In text form,
// warnings go to stderr.
type output struct {
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

func (o *output) write(w io.Writer, s string) {
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
func (o *output) begin(w io.Writer, s string) (string, bool) {
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

// hold calls fn and returns what is printed in the meantime.
func (o *output) Hold(fn func() error) (string, error) {
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

// print writes s, which is already in its final form: text or lines of JSON.
func (o *output) Print(s string) { o.write(o.w, s) }

// text prints a text without a newline of its own.
func (o *output) Text(s string) {
	if o.json {
		o.Print(printedLine("print", "", strings.TrimSuffix(s, "\n"), []starlark.Value{starlark.String(strings.TrimSuffix(s, "\n"))}))
		return
	}
	o.Print(s)
}

func (o *output) Line(s string) {
	if o.json {
		o.Text(s)
		return
	}
	o.Text(s + "\n")
}

// warn prints a warning.
func (o *output) Warn(typ string, fields map[string]any, text string) {
	if o.json {
		o.Object(typ, fields)
		return
	}
	o.Message("WARNING: " + render.Escape(text)) // names of probes come from files of others
}

// message prints a line on stderr.
func (o *output) Message(text string) {
	if o.errColour {
		text = paint.Message(text)
	}
	o.write(o.errw, text+"\n")
}

// WarnLost reports how much was not written because the reader of the output stalled. records is
// the number of handler prints that were not written.
func (o *output) WarnLost(records int) {
	o.mu.Lock()
	err, lost := o.err, o.lost
	o.mu.Unlock()
	if !errors.Is(err, stall.ErrStalled) {
		return
	}
	text := fmt.Sprintf("%v: %d bytes were not written", err, lost)
	if records > 0 {
		text += fmt.Sprintf(", nor the output of %d handler prints", records)
	}
	o.Message("WARNING: " + text) // in JSON nobody would read it
}

// failed returns the error of the first write that failed.
func (o *output) Failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// stalled reports whether output is waiting for a reader that does not read.
func (o *output) Stalled() bool {
	w, ok := o.w.(interface{ Stalled(time.Duration) bool })
	return ok && w.Stalled(runner.CallbackGrace)
}

// text formats any value as print does.
func (s *Session) text(v starlark.Value) string { return s.shownOn(render.Page{}, v) }

// shownOn formats a value to fit a page.
func (s *Session) shownOn(p render.Page, v starlark.Value) string {
	switch v := v.(type) {
	case *Aggregation:
		return s.mapText(p, v)
	case *Table:
		return s.mapText(p, v)
	}
	return s.run.UnlessInterrupted(starlark.Len(v), func() string { return p.Text(v) })
}

func (s *Session) mapText(p render.Page, m interface {
	Name() string
	starlark.Value
}) string {
	name := render.Escape(m.Name())
	var val starlark.Value
	var err error
	switch m := m.(type) {
	case *Aggregation:
		val, err = m.snapshot()
	case *Table:
		val, err = m.snapshot()
	}
	if err != nil {
		return fmt.Sprintf("<%s %s: %v>", m.Type(), name, err)
	}
	d, isDict := val.(*starlark.Dict)
	if !isDict {
		if h, ok := val.(*hist.Histogram); ok {
			return name + ":\n" + render.Text(h)
		}
		return fmt.Sprintf("%s: %s", name, render.Text(val))
	}
	if d.Len() == 0 {
		return fmt.Sprintf("<%s %s: empty>", m.Type(), name)
	}
	if p.Rows > 1 {
		p.Rows-- // the line with the name
	}
	return name + ":\n" + s.run.UnlessInterrupted(d.Len(), func() string { return p.Keyed(d.Items()) })
}

// builtinPrint implements print(*args, sep=" ").
func (s *Session) builtinPrint(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	sep := " "
	if err := starlark.UnpackArgs("print", nil, kw, "sep?", &sep); err != nil {
		return nil, err
	}
	text := s.joined(args, sep)
	if s.run.Context().Err() != nil {
		return nil, runner.ErrInterrupted // the text may be incomplete
	}
	if s.out.json {
		s.out.Print(printedLine("print", "", text, args))
	} else {
		s.out.Line(text)
	}
	return starlark.None, s.out.Failed()
}

// joined returns the text that print shows for its arguments. A text of several lines starts and
// ends on lines of its own.
func (s *Session) joined(args starlark.Tuple, sep string) string {
	var b strings.Builder
	long := false // the previous argument has several lines
	for i, a := range args {
		text := ""
		switch a.(type) {
		case *starlark.Dict, *starlark.List, starlark.Tuple, *starlark.Set:
			if len(args) > 1 {
				text = render.Flat(a)
				break
			}
			text = s.text(a)
		default:
			text = s.text(a)
		}
		_, isText := a.(starlark.String)
		was := long
		long = !isText && strings.Contains(text, "\n")
		switch {
		case i == 0:
		case was || long:
			b.WriteByte('\n')
		default:
			b.WriteString(sep)
		}
		b.WriteString(text)
	}
	return b.String()
}

// plainValue returns a snapshot of a live map, and any other value unchanged.
func plainValue(v starlark.Value) starlark.Value {
	switch m := v.(type) {
	case *Aggregation:
		if p, err := m.snapshot(); err == nil {
			return p
		}
	case *Table:
		if p, err := m.snapshot(); err == nil {
			return p
		}
	}
	return v
}

// ReportError reports an error where none can be returned.
func (o *output) ReportError(err error) {
	var list diag.List
	if o.json && errors.As(err, &list) {
		for _, d := range list {
			o.Object("diagnostic", diagnosticFields(d))
		}
		return
	}
	o.Warn("error", map[string]any{"message": err.Error()}, err.Error())
}
