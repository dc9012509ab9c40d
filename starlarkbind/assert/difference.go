package assert

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
)

// firstDifference is the label of what difference returns.
const firstDifference = "first difference"

// difference returns a text that says where two unequal values first differ, or "" if the values
// themselves say it best.
func (e *Env) difference(got, want starlark.Value) (string, error) {
	path := ""
	for depth := 0; depth < starlark.CompareLimit; depth++ {
		step, x, y := first(got, want)
		if step == "" {
			break
		}
		_, text := got.(starlark.String)
		path, got, want = path+step, x, y
		if got == nil || want == nil || text {
			break
		}
	}
	path = strings.TrimSpace(path)
	switch {
	case path == "":
		return "", nil
	case want == nil:
		return path + " is not wanted", nil
	case got == nil:
		return path + " is missing", nil
	}
	x, err := e.show(got)
	if err != nil {
		return "", err
	}
	y, err := e.show(want)
	return fmt.Sprintf("%s: got %s, want %s", path, x, y), err
}

// first returns the first element in which two values differ: how to get to it, and both elements,
// of which one is nil if the other value has no such element. It returns "" for values without
// elements.
func first(got, want starlark.Value) (step string, x, y starlark.Value) {
	if got.Type() != want.Type() {
		return "", nil, nil
	}
	switch got := got.(type) {
	case starlark.String:
		return firstLine(string(got), string(want.(starlark.String)))
	case starlark.Indexable: // a list or a tuple
		other, ok := want.(starlark.Indexable)
		if !ok {
			return "", nil, nil
		}
		for i := range max(got.Len(), other.Len()) {
			step := fmt.Sprintf("[%d]", i)
			switch {
			case i >= got.Len():
				return step, nil, other.Index(i)
			case i >= other.Len():
				return step, got.Index(i), nil
			}
			if differ(got.Index(i), other.Index(i)) {
				return step, got.Index(i), other.Index(i)
			}
		}
	case starlark.IterableMapping:
		other, ok := want.(starlark.IterableMapping)
		if !ok {
			return "", nil, nil
		}
		for _, item := range got.Items() {
			step := "[" + item[0].String() + "]"
			v, found, err := other.Get(item[0])
			switch {
			case err != nil:
				return "", nil, nil
			case !found:
				return step, item[1], nil
			case differ(item[1], v):
				return step, item[1], v
			}
		}
		for _, item := range other.Items() {
			if _, found, err := got.Get(item[0]); err == nil && !found {
				return "[" + item[0].String() + "]", nil, item[1]
			}
		}
	case starlark.HasAttrs: // a struct
		return firstField(got, want)
	}
	return "", nil, nil
}

// firstLine is first for strings of several lines.
func firstLine(got, want string) (step string, x, y starlark.Value) {
	a, b := strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")
	if len(a) == 1 && len(b) == 1 {
		return "", nil, nil
	}
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf(" line %d", i+1), starlark.String(x), starlark.String(y)
		}
	}
	return "", nil, nil
}

// firstField is first for structs.
func firstField(got starlark.HasAttrs, want starlark.Value) (step string, x, y starlark.Value) {
	other, ok := want.(starlark.HasAttrs)
	if !ok || got.Type() != "struct" {
		return "", nil, nil
	}
	for _, name := range append(got.AttrNames(), other.AttrNames()...) {
		x, err := got.Attr(name)
		y, err2 := other.Attr(name)
		if err == nil && err2 == nil && (x == nil || y == nil || differ(x, y)) {
			return "." + name, x, y
		}
	}
	return "", nil, nil
}

func differ(x, y starlark.Value) bool {
	same, err := starlark.Equal(x, y)
	return err == nil && !same
}
