package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.starlark.net/starlark"
)

// Ctrl-C ends run(), not the script, which still has to print what was counted. A callback of run()
// that is running at that moment gets a short time to finish, after which it is cancelled as well.

const (
	CallbackGrace = 50 * time.Millisecond // how long a callback may continue after Ctrl-C
	Grace         = time.Second           // how long it may continue once run() is over
)

// ErrCallbackCancelled is returned for a callback that was cancelled.
var ErrCallbackCancelled = errors.New("a callback was cancelled by Ctrl-C")

// Callback calls a function of the script during run(). It returns ErrCallbackCancelled if the
// callback was cancelled; run() must then return.
func (r *Runner) Callback(thread *starlark.Thread, fn starlark.Callable, args starlark.Tuple) error {
	called := false
	return r.Callbacks(thread, fn, func() (starlark.Tuple, bool, error) {
		defer func() { called = true }()
		return args, !called, nil
	})
}

// Callbacks is like Callback, but calls fn with the arguments that next returns until it returns
// false. Making calls interruptible takes longer than a short call, so it is done once for all of
// them.
func (r *Runner) Callbacks(thread *starlark.Thread, fn starlark.Callable, next func() (args starlark.Tuple, ok bool, err error)) error {
	outer := r.Context()
	ctx, cut := context.WithCancelCause(outer)
	defer cut(nil)
	r.mu.Lock()
	r.ctx, r.cancelCallback = ctx, cut
	r.mu.Unlock()
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		thread.Cancel("interrupted")
		close(cancelled)
	})
	var err error
	underWay := false
	for err == nil && ctx.Err() == nil {
		var args starlark.Tuple
		if args, underWay, err = next(); err == nil && underWay {
			_, err = starlark.Call(thread, fn, args, nil)
		}
		if !underWay {
			break
		}
	}
	r.mu.Lock()
	r.ctx, r.cancelCallback = outer, nil
	r.mu.Unlock()
	if stop() {
		return err
	}
	<-cancelled
	if outer.Err() != nil { // the script is being stopped
		if err == nil {
			err = ErrInterrupted
		}
		return err
	}
	thread.Uncancel()
	if err == nil { // cancelled between two calls
		return ErrCallbackCancelled
	}
	if !r.quiet {
		r.out.Warn("callback_ended", map[string]any{"callback": fn.Name()},
			fmt.Sprintf("%s did not return soon enough after %v and was cancelled: its unfinished work is missing from what follows", fn.Name(), context.Cause(ctx)))
	}
	return ErrCallbackCancelled
}

// A CutReason says why a running callback was cancelled. It appears in the warning.
type CutReason string

const (
	CutByInterrupt CutReason = "Ctrl-C"
	CutByEnd       CutReason = "the end of run()"
)

func (r CutReason) Error() string { return string(r) }

// Interrupted returns ErrInterrupted if ctx is cancelled. Loops call it with their index i; it
// checks ctx only once in 1024 iterations.
func Interrupted(ctx context.Context, i int) error {
	if i%1024 == 0 && ctx.Err() != nil {
		return ErrInterrupted
	}
	return nil
}

// Interrupted returns ErrInterrupted if the current run or item is cancelled. Loops call it with
// their index i.
func (r *Runner) Interrupted(i int) error {
	if i%1024 == 0 && r.Context().Err() != nil {
		return ErrInterrupted
	}
	return nil
}

// manyRows is the number of rows from which laying out a table must be interruptible by Ctrl-C,
// because it takes too long.
const manyRows = 10000

// UnlessInterrupted returns the result of fn, or "" as soon as Ctrl-C interrupts the script. It
// waits for fn in any case if the number of rows is small.
func (r *Runner) UnlessInterrupted(rows int, fn func() string) string {
	if rows < manyRows {
		return fn()
	}
	done := make(chan string, 1)
	ctx := r.Context()
	go r.RecoverGoroutine(func() { done <- fn() })
	select {
	case text := <-done:
		return text
	case <-ctx.Done():
		return ""
	}
}

// CancelCallback cancels the callback that is running, if any.
func (r *Runner) CancelCallback(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancelCallback != nil {
		r.cancelCallback(why)
	}
}
