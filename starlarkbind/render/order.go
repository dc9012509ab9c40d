package render

import (
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// SortKey returns the value by which v is sorted: the count of a struct or histogram, else v
// itself.
func SortKey(v starlark.Value) starlark.Value {
	if a, ok := v.(starlark.HasAttrs); ok {
		if n, err := a.Attr("count"); err == nil && n != nil {
			return n
		}
	}
	return v
}

// CompareValues orders values for display: by Starlark's ordering if the values have one, else by
// type and text. The result is -1, 0 or 1.
func CompareValues(a, b starlark.Value) int {
	if a.Type() == b.Type() {
		if _, ok := a.(starlark.NoneType); ok {
			return 0
		}
		if lt, err := starlark.Compare(syntax.LT, a, b); err == nil {
			if lt {
				return -1
			}
			if eq, err := starlark.Equal(a, b); err == nil && eq {
				return 0
			}
			return 1
		}
	}
	x, y := a.Type()+a.String(), b.Type()+b.String()
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}
