package starlarkbind

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// builtinWatch implements watch(x, seconds=1). It repeatedly shows a map, or what a function prints
// and returns, until Ctrl-C or for as long as run() would wait. On a terminal each view replaces
// the previous one.
func (s *Session) builtinWatch(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	var every starlark.Value = starlark.MakeInt(1)
	if err := starlark.UnpackArgs("watch", args, kw, "x", &x, "seconds?", &every); err != nil {
		return nil, err
	}
	d, err := runner.Seconds("watch", every)
	if err != nil {
		return nil, err
	}
	if d < 10*time.Millisecond {
		return nil, fmt.Errorf("watch: seconds must be at least 0.01, got %s", every)
	}
	if s.run.InRun.Load() {
		return nil, errors.New("watch() cannot be called from a callback: run() is already active")
	}
	if s.opt.Check {
		return nil, runner.ErrStop
	}
	if s.waits.tested {
		return starlark.None, nil
	}
	picture := starlark.NewBuiltin("watch", func(t *starlark.Thread, _ *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return s.showOnce(t, x)
	})
	if _, err := picture.CallInternal(thread, nil, nil); err != nil {
		return nil, err
	}
	timers := s.waits.timers
	s.waits.timers = append(append([]*timer{}, timers...), &timer{every: d, fn: picture})
	defer func() { s.waits.timers = timers }()
	_, err = s.builtinRun(thread, b, nil, nil)
	if err != nil && s.run.Context().Err() != nil && s.opt.Interactive {
		return nil, runner.ErrWatched
	}
	return starlark.None, err
}

const clearScreen = "\x1b[H\x1b[2J"

// showOnce prints one view. What does not fit on the terminal is left out; of a map, the smallest
// values.
func (s *Session) showOnce(t *starlark.Thread, x starlark.Value) (starlark.Value, error) {
	cols, rows := 0, 0
	if s.opt.Screen != nil && !s.out.JSON() {
		cols, rows = s.opt.Screen()
	}
	picture := func() error {
		v := x
		if f, ok := x.(starlark.Callable); ok {
			var err error
			if v, err = starlark.Call(t, f, nil, nil); err != nil || v == starlark.None {
				return err // the function has printed what it shows
			}
		}
		if rows == 0 {
			_, err := s.builtinPrint(t, nil, starlark.Tuple{v}, nil)
			return err
		}
		s.out.Line(s.shownOn(render.Page{Columns: cols, Rows: rows - 1}, v))
		if s.run.Context().Err() != nil {
			return runner.ErrInterrupted
		}
		return nil
	}
	if rows == 0 {
		return starlark.None, picture()
	}
	text, err := s.out.Hold(picture)
	if err != nil {
		s.out.Text(text)
		return nil, err
	}
	s.out.Text(clearScreen + fit(text, cols, rows-1) + "\n")
	return starlark.None, s.out.Failed()
}

// fit cuts a text to a number of columns and rows. If rows are missing, the last row says how many.
func fit(text string, cols, rows int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if n := len(lines); n > rows && rows > 0 {
		lines = append(lines[:rows-1:rows-1], fmt.Sprintf("... %d lines more", n-rows+1))
	}
	for i, l := range lines {
		if utf8.RuneCountInString(l) > cols {
			lines[i] = string([]rune(l)[:cols])
		}
	}
	return strings.Join(lines, "\n")
}
