// Package runner runs scripts, items of the prompt and callbacks, one at a time, and ends them on
// Ctrl-C or after a panic. What the first Ctrl-C ends is not always the script: an operation such
// as run() or a loop over a stream registers itself with Interruptible, and a callback gets a short
// time to finish (callback.go). The package knows no probes and no maps.
//
//	runner.go    running a script or an item
//	callback.go  callbacks, and how Ctrl-C ends them
//	ending.go    operations that Ctrl-C ends instead of the script
//	panic.go     panics as errors
package runner

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// An Output prints what the script prints and what went wrong.
type Output interface {
	Line(text string)
	Warn(typ string, fields map[string]any, text string)
	ReportError(err error)
}

// A Runner runs the script: a file, an item of the prompt or a callback. It owns the context and
// the thread of what is running, and what Ctrl-C ends.
type Runner struct {
	out         Output
	interactive bool // Ctrl-C always ends the whole item
	quiet       bool // do not warn about cancelled callbacks

	Busy sync.Mutex // held while the script, an item or a callback runs

	mu             sync.Mutex      // guards the fields of this block
	ctx            context.Context // context of the current run or item
	thread         *starlark.Thread
	cancel         context.CancelFunc
	cancelCallback context.CancelCauseFunc // cancels the running callback; nil: none runs
	endings        []*Ending               // what Ctrl-C ends, innermost last

	InRun   atomic.Bool // run() or a callback of a stream is active
	broken  atomic.Bool // a goroutine of the session has panicked
	checked bool        // --check reached a loop over a stream
}

// New returns a runner in which nothing runs.
func New(out Output, interactive, quiet bool) *Runner {
	return &Runner{out: out, interactive: interactive, quiet: quiet, ctx: context.Background(), cancel: func() {}}
}

// ErrInterrupted is returned by a run that Ctrl-C ended.
var ErrInterrupted = errors.New("interrupted")

// ErrWatched ends an item of the prompt in which Ctrl-C ended a watch(). This is the normal way to
// end it, so no error is printed.
var ErrWatched = errors.New("Ctrl-C ended watch()")

// ErrStop ends a script that calls stop() at top level, outside run().
var ErrStop = errors.New("stop")

// ExecAlone runs fn on a thread of its own, which is cancelled when ctx ends. The caller holds
// busy.
func (r *Runner) ExecAlone(ctx context.Context, name string, fn func(*starlark.Thread) error) error {
	ctx, cancel := context.WithCancel(ctx)
	r.setContext(ctx, cancel)
	defer func() {
		r.setContext(context.Background(), func() {}) // values may still be printed
		cancel()
	}()
	thread := &starlark.Thread{Name: name, Print: func(_ *starlark.Thread, msg string) { r.out.Line(msg) }}
	stop := context.AfterFunc(ctx, func() { thread.Cancel("interrupted") })
	defer stop()
	r.mu.Lock()
	r.thread = thread
	r.mu.Unlock()
	err := RecoverPanic(func() error { return fn(thread) })
	var bug *BugError
	switch {
	case errors.As(err, &bug):
		return bug
	case err != nil && ctx.Err() != nil && r.broken.Load():
		return ErrBroken
	case errors.Is(err, ErrWatched):
		return nil
	case err != nil && ctx.Err() != nil:
		return ErrInterrupted
	}
	if errors.Is(err, ErrStop) || r.checked {
		return nil
	}
	return err
}

func (r *Runner) setContext(ctx context.Context, cancel context.CancelFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx, r.cancel = ctx, cancel
}

// Context returns the context of the current run or item, which Ctrl-C cancels.
func (r *Runner) Context() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ctx
}

// Cancelled reports whether the running code has to end. If so, the thread is cancelled, so that
// the script does not continue with an incomplete result.
func (r *Runner) Cancelled() bool {
	r.mu.Lock()
	ctx, thread := r.ctx, r.thread
	r.mu.Unlock()
	if ctx.Err() == nil {
		return false
	}
	if thread != nil {
		thread.Cancel("interrupted")
	}
	return true
}

// UnlessBusy calls fn unless an item is being executed: an item creates and reads the same maps,
// and run() prints warnings itself.
func (r *Runner) UnlessBusy(fn func()) {
	if r.Busy.TryLock() {
		defer r.Busy.Unlock()
		fn()
	}
}

// Position returns the position of the statement that the interpreter is executing. It is invalid
// if no script runs.
func (r *Runner) Position() syntax.Position {
	if r.thread == nil || r.thread.CallStackDepth() == 0 {
		return syntax.Position{}
	}
	return r.thread.CallFrame(0).Pos
}

// Current returns the context of the current run or item, and a function that cancels it.
func (r *Runner) Current() (context.Context, context.CancelFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ctx, r.cancel
}

// EndCheck ends a script of which --check has seen all that it can: the rest would wait for events.
func (r *Runner) EndCheck() {
	r.checked = true
	r.thread.Cancel("checked")
}

// Seconds converts a Starlark number of seconds to a duration. what is the builtin named in errors.
func Seconds(what string, v starlark.Value) (time.Duration, error) {
	f, ok := starlark.AsFloat(v)
	if !ok {
		return 0, fmt.Errorf("%s: seconds must be a number, got %s", what, v.Type())
	}
	if f < 0 || math.IsNaN(f) || f > 1e9 {
		return 0, fmt.Errorf("%s: seconds must be from 0 to 1e9, got %s", what, v)
	}
	return time.Duration(f * float64(time.Second)), nil
}

// RecoverGoroutine runs the body of a goroutine. A panic in it is reported and ends the running
// script, but not the process.
func (r *Runner) RecoverGoroutine(fn func()) {
	err := RecoverPanic(func() error { fn(); return nil })
	if err == nil {
		return
	}
	r.out.ReportError(err)
	r.broken.Store(true)
	r.mu.Lock()
	cancel := r.cancel
	r.mu.Unlock()
	cancel()
}
