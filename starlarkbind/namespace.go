package starlarkbind

import (
	"strings"

	"github.com/bpfrepl/bpfrepl/starlarkbind/items"
	"github.com/bpfrepl/bpfrepl/starlarkbind/ktypes"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"go.starlark.net/starlark"
)

// A namespace holds the names that a script or a prompt can use.
type namespace struct {
	sources *source.Files
	ktypes  *ktypes.Types

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

// enumerator returns the value of a kernel enumerator, or nil if there is none of that name.
func (n *namespace) enumerator(name string) starlark.Value {
	if v, ok := n.ktypes.Enumerator(name); ok {
		return starlark.MakeInt64(v)
	}
	return nil
}

// known reports to the resolver whether name is predeclared. Kernel enumerators become predeclared
// when they are first used.
func (n *namespace) known(name string) bool {
	if n.predeclared.Has(name) {
		return true
	}
	if starlark.Universe.Has(name) {
		return false
	}
	v := n.enumerator(name)
	if v != nil {
		n.predeclared[name] = v
	}
	return v != nil
}
