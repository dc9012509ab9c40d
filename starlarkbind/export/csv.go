package export

import (
	"fmt"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
)

// ToCSV implements to_csv(x, header=None, raw=False).
func (e *Exporter) ToCSV(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	var names starlark.Iterable
	raw := false
	if err := starlark.UnpackArgs("to_csv", args, kw, "x", &x, "header??", &names, "raw?", &raw); err != nil {
		return nil, err
	}
	header, err := stringsOf("to_csv: header", names)
	if err != nil {
		return nil, err
	}
	e.Used = true
	text, err := render.CSV(terminal.PlainValue(x), header, raw, e.run.Interrupted)
	if err != nil {
		return nil, err
	}
	return starlark.String(text), nil
}

// stringsOf returns the strings of a list, or nil if list is nil. what names the argument in
// errors.
func stringsOf(what string, list starlark.Iterable) ([]string, error) {
	if list == nil {
		return nil, nil
	}
	out := []string{}
	iter := list.Iterate()
	defer iter.Done()
	var v starlark.Value
	for iter.Next(&v) {
		s, ok := starlark.AsString(v)
		if !ok {
			return nil, fmt.Errorf("%s: want strings, got %s", what, v.Type())
		}
		out = append(out, s)
	}
	return out, nil
}
