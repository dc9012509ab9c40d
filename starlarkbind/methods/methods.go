// Package methods holds the methods of Starlark values as tables, from which calls, completion and
// help are served.
package methods

import (
	"sort"

	"go.starlark.net/starlark"
)

// A Row is a method of the values of type T.
type Row[T any] struct {
	Name, Sig, Doc, Example string

	call Func[T]
}

// A Func implements a method.
type Func[T any] func(recv T, thread *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error)

// New returns a row.
func New[T any](name, sig, doc, example string, call Func[T]) Row[T] {
	return Row[T]{name, sig, doc, example, call}
}

// Attr returns the field or method of the given name, or nil if there is none.
func Attr[T any](recv T, name string, methods []Row[T], field func(string) (starlark.Value, error)) (starlark.Value, error) {
	if v, err := field(name); v != nil || err != nil {
		return v, err
	}
	for _, m := range methods {
		if m.Name == name {
			return starlark.NewBuiltin(name, func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
				return m.call(recv, thread, args, kwargs)
			}), nil
		}
	}
	return nil, nil // Starlark then words the error, with "did you mean"
}

// Names returns the names of fields and methods, sorted.
func Names[T any](methods []Row[T], fields ...string) []string {
	out := append([]string{}, fields...)
	for _, m := range methods {
		out = append(out, m.Name)
	}
	sort.Strings(out)
	return out
}
