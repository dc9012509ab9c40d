package starlarkbind

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.starlark.net/starlark"
)

// Ctrl-C ends run(), not the script: what was counted is still to be printed. A callback of run() that is under way is left to
// come to its end for a moment; one that does not is ended too.

const (
	callbackGrace = 50 * time.Millisecond // how long a callback may go on after Ctrl-C
	grace         = time.Second           // how long it may go on when run() is over
)

// errCallbackCancelled ends the callback that Ctrl-C found under way.
var errCallbackCancelled = errors.New("a callback was ended by Ctrl-C")

// callback calls a function of the script during run(). The error is errCallbackCancelled if the callback was ended, and run() is to return.
func (s *Session) callback(thread *starlark.Thread, fn starlark.Callable, args starlark.Tuple) error {
	called := false
	return s.callbacks(thread, fn, func() (starlark.Tuple, bool, error) {
		defer func() { called = true }()
		return args, !called, nil
	})
}

// callbacks is callback for many calls, until next returns false. What makes a call interruptible takes longer than a short call.
func (s *Session) callbacks(thread *starlark.Thread, fn starlark.Callable, next func() (args starlark.Tuple, ok bool, err error)) error {
	outer := s.context()
	ctx, cut := context.WithCancelCause(outer)
	defer cut(nil)
	s.mu.Lock()
	s.ctx, s.cancelCallback = ctx, cut
	s.mu.Unlock()
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
	s.mu.Lock()
	s.ctx, s.cancelCallback = outer, nil
	s.mu.Unlock()
	if stop() {
		return err
	}
	<-cancelled
	if outer.Err() != nil { // the script is to end
		if err == nil {
			err = ErrInterrupted
		}
		return err
	}
	thread.Uncancel()
	if err == nil { // it came between two calls
		return errCallbackCancelled
	}
	if s.opt.Warnings != WarnNone {
		s.out.warn("callback_ended", map[string]any{"callback": fn.Name()},
			fmt.Sprintf("%v while %s was called, and it went on for too long: it was ended, and what it had under way is missing from what follows", context.Cause(ctx), fn.Name()))
	}
	return errCallbackCancelled
}

// A cutReason is what came while a callback was called that was ended then.
type cutReason string

const (
	cutByInterrupt cutReason = "Ctrl-C came"
	cutByEnd       cutReason = "run() was over"
)

func (r cutReason) Error() string { return string(r) }

// interrupted tells, now and then in a loop of our own, that Ctrl-C has ended what is under way.
func interrupted(ctx context.Context, i int) error {
	if i%1024 == 0 && ctx.Err() != nil {
		return ErrInterrupted
	}
	return nil
}

// manyRows is how many rows of a table take so long to set that Ctrl-C should not wait for them.
const manyRows = 10000

// unlessInterrupted gives what fn gives for so many rows, or "" as soon as Ctrl-C has ended what is under way.
func (s *Session) unlessInterrupted(rows int, fn func() string) string {
	if rows < manyRows {
		return fn()
	}
	done := make(chan string, 1)
	ctx := s.context()
	go s.recoverGoroutine(func() { done <- fn() })
	select {
	case text := <-done:
		return text
	case <-ctx.Done():
		return ""
	}
}

// cancelRunningCallback ends the callback that is under way, if one is.
func (s *Session) cancelRunningCallback(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancelCallback != nil {
		s.cancelCallback(why)
	}
}
