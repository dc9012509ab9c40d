package export

import (
	"fmt"
	"slices"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/flame"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
)

// Flamegraph implements flamegraph(agg, path, title="").
func (e *Exporter) Flamegraph(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var m starlark.Value
	var path, title string
	if err := starlark.UnpackArgs("flamegraph", args, kw, "agg", &m, "path", &path, "title?", &title); err != nil {
		return nil, err
	}
	items, err := stackItems("flamegraph", m)
	if err != nil {
		return nil, err
	}
	if n, ok := m.(interface{ Name() string }); ok && title == "" {
		title = n.Name()
	}
	var samples []flame.Sample
	for _, it := range items {
		n, ok := render.SortKey(it[1]).(starlark.Int)
		if !ok {
			return nil, fmt.Errorf("flamegraph: the values must be numbers, got %s", it[1].Type())
		}
		count, _ := n.Int64()
		samples = append(samples, flame.Sample{Frames: frames(it[0]), N: count})
	}
	return starlark.None, e.files.Write("flamegraph", path, flame.SVG(title, samples))
}

// stackItems returns the items of m, which the builtin fn writes.
func stackItems(fn string, m starlark.Value) ([]starlark.Tuple, error) {
	d, ok := terminal.PlainValue(m).(starlark.IterableMapping)
	if !ok {
		return nil, fmt.Errorf("%s: want an aggregation whose keys are stacks, or a dict of them, got %s", fn, m.Type())
	}
	return d.Items(), nil
}

// frames returns the frames of a key, outermost first. For a tuple these are the parts that are not
// stacks, then the user stacks, then the kernel stacks, which user stacks lead into.
func frames(key starlark.Value) []string {
	parts := []starlark.Value{key}
	if t, ok := key.(starlark.Tuple); ok {
		parts = t
	}
	var names, user, kernel []string
	for _, p := range parts {
		k, ok := p.(*codec.Stack)
		if !ok {
			names = append(names, render.Cell(p))
			continue
		}
		lines := k.FrameLines()
		slices.Reverse(lines)
		if k.User {
			user = append(user, lines...)
		} else {
			kernel = append(kernel, lines...)
		}
	}
	return slices.Concat(names, user, kernel)
}
