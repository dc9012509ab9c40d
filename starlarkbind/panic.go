package starlarkbind

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// A BugError is a panic in our own code. It ends the script as any error does, so that what was counted is still printed and
// everything is detached in order.
type BugError struct {
	Value any
	Stack []byte
}

func (e *BugError) Error() string {
	return fmt.Sprintf("bug in bpfrepl: %v\n%splease report this", e.Value, e.Stack)
}

// ErrBroken is what a script gives that a bug in another goroutine has ended, which was reported then.
var ErrBroken = errors.New("ended by the bug that was reported above")

// recoverPanic calls fn, and gives a panic in it as an error.
func recoverPanic(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &BugError{Value: p, Stack: debug.Stack()}
		}
	}()
	return fn()
}

// recoverGoroutine runs the body of a goroutine: a panic in it is reported and ends the script that is under way, not the process.
func (s *Session) recoverGoroutine(fn func()) {
	err := recoverPanic(func() error { fn(); return nil })
	if err == nil {
		return
	}
	s.reportError(err)
	s.broken.Store(true)
	s.mu.Lock()
	cancel := s.cancel
	s.mu.Unlock()
	cancel()
}
