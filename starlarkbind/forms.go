package starlarkbind

import (
	"fmt"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A form is how the host shows a value that the kernel holds as numbers (types.Form): one row.
type form struct {
	// show makes the value that the script sees of what the kernel holds: an int, or a tuple of ints.
	show func(s *Session, f *types.Form, v starlark.Value) starlark.Value
	// read is the way back; nil where one string can stand for several values of the kernel.
	read func(s *Session, f *types.Form, v starlark.Value) (starlark.Value, bool)
}

var forms = map[string]form{
	"probe": {
		func(s *Session, _ *types.Form, v starlark.Value) starlark.Value {
			return starlark.String(s.probeName(word(v)))
		},
		text(func(s *Session, _ *types.Form, name string) (starlark.Value, bool) {
			return starlark.MakeUint64(s.probeID(name)), true
		}),
	},
	"enum": {
		func(_ *Session, f *types.Form, v starlark.Value) starlark.Value {
			if name, ok := f.Names[int64(word(v))]; ok {
				return starlark.String(name)
			}
			return starlark.String(v.String())
		},
		text(func(_ *Session, f *types.Form, name string) (starlark.Value, bool) {
			for n, x := range f.Names {
				if x == name {
					return starlark.MakeInt64(n), true
				}
			}
			return nil, false
		}),
	},
}

// text makes the read of a form that is shown as a string.
func text(parse func(*Session, *types.Form, string) (starlark.Value, bool)) func(*Session, *types.Form, starlark.Value) (starlark.Value, bool) {
	return func(s *Session, f *types.Form, v starlark.Value) (starlark.Value, bool) {
		str, ok := v.(starlark.String)
		if !ok {
			return nil, false
		}
		return parse(s, f, string(str))
	}
}

// show gives the script's side of a value.
func (s *Session) show(f *types.Form, v starlark.Value) starlark.Value {
	row, ok := forms[f.Name]
	if !ok {
		return v
	}
	return row.show(s, f, v)
}

// unshow gives the kernel's side of a value.
func (s *Session) unshow(f *types.Form, v starlark.Value) (starlark.Value, error) {
	if _, ok := v.(starlark.Int); ok && f.Number {
		return v, nil
	}
	if row := forms[f.Name]; row.read != nil {
		if n, ok := row.read(s, f, v); ok {
			return n, nil
		}
		return nil, fmt.Errorf("%s is no %s", v, f.Noun)
	}
	return nil, fmt.Errorf("a %s cannot be made from %s in the script", f.Noun, v)
}

// word is the 64 bits of an int.
func word(v starlark.Value) uint64 {
	i, ok := v.(starlark.Int)
	if !ok {
		return 0
	}
	if n, ok := i.Int64(); ok {
		return uint64(n)
	}
	n, _ := i.Uint64()
	return n
}
