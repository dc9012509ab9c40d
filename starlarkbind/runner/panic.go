package runner

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// A BugError reports a panic in bpfrepl's own code. It ends the script like any other error, so
// that what was counted is still printed and everything is detached in order.
type BugError struct {
	Value any
	Stack []byte
}

func (e *BugError) Error() string {
	return fmt.Sprintf("bug in bpfrepl: %v\n%splease report this", e.Value, e.Stack)
}

// ErrBroken is returned when a panic in another goroutine, reported at the time, aborted the
// script.
var ErrBroken = errors.New("stopped by the bug reported above")

// RecoverPanic calls fn and returns a panic in it as a BugError.
func RecoverPanic(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &BugError{Value: p, Stack: debug.Stack()}
		}
	}()
	return fn()
}
