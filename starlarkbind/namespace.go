package starlarkbind

import (
	"strings"

	"github.com/bpfrepl/bpfrepl/starlarkbind/items"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"go.starlark.net/starlark"
)

// A namespace holds the names that a script or a prompt can use.
type namespace struct {
	sources *source.Files
	ktypes  *kernelTypes

	predeclared starlark.StringDict
	globals     starlark.StringDict // globals of the prompt
	items       *items.Namespace    // of the prompt; nil before its first item
}

// all returns the names that are defined at the prompt, in no particular order.
func (n *namespace) all() []string {
	seen := map[string]bool{}
	var out []string
	for _, d := range []starlark.StringDict{n.predeclared, n.globals, starlark.Universe} {
		for name := range d {
			if !seen[name] && !strings.Contains(name, "@") {
				seen[name] = true
				out = append(out, name)
			}
		}
	}
	return out
}

// value returns the value of a name at the prompt, or nil if it is not defined.
func (n *namespace) value(name string) starlark.Value {
	for _, d := range []starlark.StringDict{n.globals, n.predeclared, starlark.Universe} {
		if v, ok := d[name]; ok {
			return v
		}
	}
	return nil
}
