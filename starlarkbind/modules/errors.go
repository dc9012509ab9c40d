package modules

import (
	"errors"
	"fmt"
	"io/fs"

	"go.starlark.net/syntax"
)

// An Error is a load that is impossible.
type Error struct {
	Pos  syntax.Position
	Msg  string
	Hint string // "" if there is none
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Pos, e.Msg) }

// InModule is an error in the text of a module.
type InModule struct {
	Err    error
	Loaded syntax.Position // where the module is loaded
}

func (e *InModule) Error() string { return e.Err.Error() }
func (e *InModule) Unwrap() error { return e.Err }

// A RunError is an error that the top level of a module returned. The interpreter wraps it in one
// that says that the module cannot be loaded.
type RunError struct{ Err error }

func (e *RunError) Error() string { return e.Err.Error() }
func (e *RunError) Unwrap() error { return e.Err }

// Cause returns the error that the top level of a module returned, if that is the reason for err,
// else err.
func Cause(err error) error {
	var e *RunError
	for errors.As(err, &e) {
		err = e.Err
	}
	return err
}

// errorAt adds the position to an error of a search.
func errorAt(pos syntax.Position, err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.Pos = pos
	}
	return err
}

// cannotLoad returns the error for a module that is there but cannot be read.
func cannotLoad(name string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return &Error{Msg: fmt.Sprintf("cannot load %q: %v", name, err)}
}

// plain returns an error of a search without a position, as one line.
func plain(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Hint == "" {
		return errors.New(e.Msg)
	}
	return fmt.Errorf("%s; %s", e.Msg, e.Hint)
}
