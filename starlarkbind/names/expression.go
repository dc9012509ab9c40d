package names

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// Expression implements the builtin expression(text, params=["e"], name="expression"). Errors in
// the text, also those found when the function is compiled, have positions in it, whose file is
// name.
func (n *Namespace) Expression(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	text, name := "", b.Name()
	params := starlark.NewList([]starlark.Value{starlark.String("e")})
	if err := starlark.UnpackArgs(b.Name(), args, kw, "text", &text, "params?", &params, "name?", &name); err != nil {
		return nil, err
	}
	var names []string
	for i := range params.Len() {
		p, ok := starlark.AsString(params.Index(i))
		if !ok {
			return nil, fmt.Errorf("%s: params must be a list of strings, got %s", b.Name(), params)
		}
		names = append(names, p)
	}
	text = strings.TrimSpace(text) // space in front is indentation
	n.sources.Keep(name, []byte(text))
	n.params[name] = names
	f, parts, err := source.Expression(name, text, names)
	if err != nil {
		return nil, err
	}
	n.sources.Add(name, []byte(text), f)
	prog, err := starlark.FileProgram(f, n.Known)
	if err != nil {
		return nil, err
	}
	n.sources.Resolved(f)
	if err := source.CheckFormats(f); err != nil {
		return nil, err
	}
	globals, err := prog.Init(thread, n.Predeclared)
	if err != nil {
		return nil, err
	}
	var texts []starlark.Value
	for _, p := range parts {
		texts = append(texts, starlark.String(p))
	}
	return structs.New(b.Name(), structs.Field{Name: "function", Value: globals[source.FunctionName]}, structs.Field{Name: "texts", Value: starlark.NewList(texts)}), nil
}
