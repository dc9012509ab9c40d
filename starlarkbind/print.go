package starlarkbind

import (
	"fmt"
	"strings"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
	"go.starlark.net/starlark"
)

// text formats any value as print does.
func (s *Session) text(v starlark.Value) string { return s.shownOn(render.Page{}, v) }

// shownOn formats a value to fit a page.
func (s *Session) shownOn(p render.Page, v starlark.Value) string {
	if m, ok := v.(terminal.LiveMap); ok {
		return s.mapText(p, m)
	}
	return s.run.UnlessInterrupted(starlark.Len(v), func() string { return p.Text(v) })
}

func (s *Session) mapText(p render.Page, m terminal.LiveMap) string {
	name := render.Escape(m.Name())
	val, err := m.Snapshot()
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
	if s.out.JSON() {
		s.out.Print(terminal.PrintedLine("print", "", text, args))
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
