package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/internal/suggest"
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

// errorAt gives an error of a search its position.
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

// cycle returns the error for a load of the file id, which is being read.
func (r *reader) cycle(id string, st *syntax.LoadStmt) error {
	first := slices.IndexFunc(r.stack, func(m *module) bool { return m.id == id })
	var b strings.Builder
	fmt.Fprintf(&b, "cannot load %q: ", st.ModuleName())
	for i, m := range r.stack[first:] {
		switch i {
		case 0:
			b.WriteString(m.file + " loads ")
		default:
			b.WriteString(m.file + ", which loads ")
		}
	}
	if len(r.stack) == first+1 {
		b.WriteString("itself")
	} else {
		b.WriteString(r.stack[first].file)
	}
	return &Error{Pos: st.Module.TokenPos, Msg: b.String(), Hint: "move what both need into a file that both load"}
}

// lacks returns an error if the module does not define a name that is loaded from it.
func (m *module) lacks(from *syntax.Ident) error {
	if slices.Contains(m.defines, from.Name) || strings.HasPrefix(from.Name, "_") { // the resolver reports names with _
		return nil
	}
	e := &Error{Pos: from.NamePos, Msg: fmt.Sprintf("%s does not define %s", m.file, from.Name)}
	near := suggest.Nearest(from.Name, m.defines, 1)
	switch other := m.passed[from.Name]; {
	case other != "":
		e.Hint = fmt.Sprintf("%s loads it from %q; load it from there", m.file, other)
	case near != nil:
		e.Hint = fmt.Sprintf("did you mean %s?", near[0])
	case len(m.defines) > 0:
		e.Hint = "it defines " + strings.Join(m.defines, ", ")
	}
	return e
}
