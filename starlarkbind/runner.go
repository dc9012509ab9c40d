package starlarkbind

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/bpfrepl/bpfrepl/starlarkbind/proc"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A runner runs the script: a file, an item of the prompt or a callback. It owns the context and the
// thread of what is running, and what Ctrl-C ends.
type runner struct {
	opt *Options
	out *output

	busy sync.Mutex // held while the script, an item or a callback runs

	mu             sync.Mutex      // guards the fields of this block
	ctx            context.Context // context of the current run or item
	thread         *starlark.Thread
	cancel         context.CancelFunc
	cancelCallback context.CancelCauseFunc // cancels the running callback; nil: none runs
	endings        []*ending               // what Ctrl-C ends, innermost last

	timers  []*timer
	procs   []*proc.Process
	halt    chan struct{} // a handler called stop(), perhaps one attached during run()
	stopped bool          // the script called stop()
	inRun   atomic.Bool
	broken  atomic.Bool // a goroutine of the session has panicked
	checked bool        // --check reached a loop over a stream
	file    string      // of %run
}

func newRunner(opt *Options, out *output) *runner {
	r := &runner{opt: opt, out: out, ctx: context.Background(), cancel: func() {}, halt: make(chan struct{}, 1)}
	if opt.Command != nil {
		r.procs = append(r.procs, opt.Command)
	}
	return r
}

// milestones record how far the script has come.
type milestones struct {
	waited   bool // it called run() or waited for records
	exported bool // it called to_csv() or to_json()
	ended    bool // it ran to its end
	failed   bool // an error ended it
	aborted  bool // Ctrl-C ended it
}

// ErrInterrupted is returned by a run that Ctrl-C ended.
var ErrInterrupted = errors.New("interrupted")

// errStop ends a script that calls stop() at top level, outside run().
var errStop = errors.New("stop")

// execAlone runs fn on a thread of its own, which is cancelled when ctx ends. The caller holds busy.
func (r *runner) execAlone(ctx context.Context, name string, fn func(*starlark.Thread) error) error {
	ctx, cancel := context.WithCancel(ctx)
	r.setContext(ctx, cancel)
	defer func() {
		r.setContext(context.Background(), func() {}) // values may still be printed
		cancel()
	}()
	thread := &starlark.Thread{Name: name, Print: func(_ *starlark.Thread, msg string) { r.out.line(msg) }}
	stop := context.AfterFunc(ctx, func() { thread.Cancel("interrupted") })
	defer stop()
	r.mu.Lock()
	r.thread = thread
	r.mu.Unlock()
	err := recoverPanic(func() error { return fn(thread) })
	var bug *BugError
	switch {
	case errors.As(err, &bug):
		return bug
	case err != nil && ctx.Err() != nil && r.broken.Load():
		return ErrBroken
	case errors.Is(err, errWatched):
		return nil
	case err != nil && ctx.Err() != nil:
		return ErrInterrupted
	}
	if errors.Is(err, errStop) || r.checked {
		return nil
	}
	return err
}

func (r *runner) setContext(ctx context.Context, cancel context.CancelFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx, r.cancel = ctx, cancel
}

// context returns the context of the current run or item, which Ctrl-C cancels.
func (r *runner) context() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ctx
}

// cancelled reports whether the running code has to end. If so, the thread is cancelled, so that
// the script does not continue with an incomplete result.
func (r *runner) cancelled() bool {
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

// unlessBusy calls fn unless an item is being executed: an item creates and reads the same maps,
// and run() prints warnings itself.
func (r *runner) unlessBusy(fn func()) {
	if r.busy.TryLock() {
		defer r.busy.Unlock()
		fn()
	}
}

// position returns the position of the statement that the interpreter is executing. It is invalid
// if no script runs.
func (r *runner) position() syntax.Position {
	if r.thread == nil || r.thread.CallStackDepth() == 0 {
		return syntax.Position{}
	}
	return r.thread.CallFrame(0).Pos
}
