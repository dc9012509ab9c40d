package starlarkbind

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/internal/plural"
	"github.com/bpfrepl/bpfrepl/starlarkbind/items"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
	"github.com/bpfrepl/bpfrepl/starlarkbind/records"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// This file implements what the prompt needs from a session: completion, and the commands %who,
// %reset, %reload, %run, %allow-read and %allow-write.

// Who returns a table of the names defined in the session, with their types and values.
func (s *Session) Who() string {
	s.run.Busy.Lock()
	defer s.run.Busy.Unlock()
	var names []string
	for name, v := range s.names.Globals {
		if name != "_" && v != s.names.Predeclared[name] {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "no names yet"
	}
	sort.Strings(names)
	var rows [][]string
	for _, name := range names {
		v := s.names.Globals[name]
		text := ""
		switch v := v.(type) {
		case *maps.Aggregation, *maps.Table, *records.Stream:
		case *Probe:
			text = v.String()
		case *starlark.Function:
			text = v.Position().String()
		default:
			text = shortened(v)
		}
		rows = append(rows, []string{name, v.Type(), text})
	}
	return render.Table(nil, rows)
}

// shortened formats a value on one line of at most 60 characters.
func shortened(v starlark.Value) string {
	text := []rune(render.Page{Columns: 60, Rows: 1}.Flat(v))
	if len(text) > 60 {
		return string(text[:57]) + "..."
	}
	return string(text)
}

// Reset discards everything the session has created: it detaches probes, closes maps and drops
// callbacks.
func (s *Session) Reset() error {
	s.run.Busy.Lock()
	defer s.run.Busy.Unlock()
	probes, maps := s.reg.forgetAll()
	s.warner.Reset()
	errs := []error{detachAll(probes)}
	for _, p := range probes {
		errs = append(errs, p.close())
	}
	for _, m := range maps {
		errs = append(errs, m.Close())
	}
	s.adds, s.waits.timers = nil, nil
	s.names.Reset()
	s.modules.Reset()
	return errors.Join(errs...)
}

// RunFile runs a file at the prompt. It first undoes an earlier run of the same file: it detaches
// the probes and removes the timers which that run created.
func (s *Session) RunFile(ctx context.Context, file, src string) (starlark.Value, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	s.run.Busy.Lock()
	var earlier []*Probe
	for _, p := range s.reg.allProbes() {
		if p.file == file && p.isAttached() {
			earlier = append(earlier, p)
		}
	}
	n := len(earlier)
	err = detachAll(earlier)
	s.waits.timers = slices.DeleteFunc(s.waits.timers, func(t *timer) bool { return t.file == file })
	s.waits.file = file
	s.run.Busy.Unlock()
	defer func() { s.waits.file = "" }()
	if n > 0 {
		s.warner.Note("detached the probes of the earlier run of this file: %s", plural.Of(n, "probe"))
	}
	if err != nil {
		return nil, err
	}
	return s.ExecItem(ctx, src)
}

// Reload reads the modules of the session again, and runs those that have changed. It then detaches
// the probes and removes the timers that the old ones created at their top level. It returns what
// it did.
func (s *Session) Reload(ctx context.Context) (string, error) {
	var files []string
	before := s.reg.allProbes()
	timers := slices.Clone(s.waits.timers)
	err := s.exec(ctx, "prompt", func(thread *starlark.Thread) (err error) {
		files, err = s.modules.Reload(thread)
		return err
	})
	s.run.Busy.Lock()
	defer s.run.Busy.Unlock()
	if err != nil { // undo what the new ones did
		text := s.warner.FitCarets(render.Escape(s.formatError(err)))
		return "", errors.Join(errors.New(strings.TrimPrefix(text, "error: ")), s.backTo(before, timers))
	}
	var old []*Probe
	for _, p := range before {
		if slices.Contains(files, p.file) && p.isAttached() {
			old = append(old, p)
		}
	}
	s.waits.timers = slices.DeleteFunc(s.waits.timers, func(t *timer) bool {
		return slices.Contains(files, t.file) && slices.Contains(timers, t)
	})
	switch {
	case len(files) == 0:
		return "no module has changed", nil
	case len(old) == 0:
		return "reloaded " + strings.Join(files, ", "), nil
	}
	return fmt.Sprintf("reloaded %s; detached %s of before", strings.Join(files, ", "), plural.Of(len(old), "probe")), detachAll(old)
}

// AllowWrite lets the session write files in a directory, as --allow-write does, and returns all
// such directories. If dir is "", it adds none. AllowRead is the same for reading.
func (s *Session) AllowWrite(dir string) ([]string, error) { return s.allow(dir, s.files.AllowWrite) }
func (s *Session) AllowRead(dir string) ([]string, error)  { return s.allow(dir, s.files.AllowRead) }

func (s *Session) allow(dir string, in func(string) ([]string, error)) ([]string, error) {
	if dir != "" {
		s.run.Busy.Lock()
		defer s.run.Busy.Unlock()
	}
	return in(dir)
}

// Complete reports whether src is a complete item, so that the prompt need not ask for more lines.
func (s *Session) Complete(src string) bool { return items.Complete(source.Parse, src) }

// Completions returns the possible completions of the word before pos, and the index in line where
// that word begins.
func (s *Session) Completions(line string, pos int) (words []string, from int) {
	return s.completer().Completions(line, pos)
}

// Prefetch starts to load in the background what Completions will need if the user continues to
// type after text.
func (s *Session) Prefetch(text string) { s.completer().Prefetch(text) }

// Signature returns the signature and a line of documentation for the function whose name the text
// ends with, or whose call encloses the end of the text. It returns "" if the function is unknown.
func (s *Session) Signature(text string) string { return s.completer().Signature(text) }

// serveEvery is the interval at which streams are checked for records.
const serveEvery = 50 * time.Millisecond

// Background serves streams and prints warnings in the background until ctx is cancelled.
func (s *Session) Background(ctx context.Context) {
	s.run.RecoverGoroutine(func() { s.background(ctx) })
}

func (s *Session) background(ctx context.Context) {
	warn, serve := time.NewTicker(warnEvery), time.NewTicker(serveEvery)
	defer warn.Stop()
	defer serve.Stop()
	for {
		select {
		case <-warn.C:
			s.run.UnlessBusy(func() { s.warnNew(); s.warnFill() })
		case <-serve.C:
			s.run.UnlessBusy(func() { s.serve(ctx) })
		case <-ctx.Done():
			return
		}
	}
}

// serve calls the callbacks of streams. It stops after half of serveEvery, so that the prompt stays
// responsive; the next call handles the remaining records.
func (s *Session) serve(ctx context.Context) {
	s.waits.background = true
	defer func() { s.waits.background = false }()
	until := time.Now().Add(serveEvery / 2)
	for _, st := range s.reg.streams() {
		err := st.Serve(ctx, until)
		if errors.Is(err, runner.ErrCallbackCancelled) || ctx.Err() != nil {
			return // let the waiting item run
		}
		if err != nil {
			s.out.ErrText(s.FormatError(err) + "\n    " + st.Name() + ".each() has ended\n")
		}
	}
}
