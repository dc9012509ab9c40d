// Package names says what a name means: to the script and its prompt (namespace.go), to the
// compiler in a handler (scope.go), where a name can also be defined further down (infer.go), and
// in an expression that the script has as text (expression.go).
package names

import (
	"strings"

	"github.com/bpfrepl/bpfrepl/starlarkbind/items"
	"github.com/bpfrepl/bpfrepl/starlarkbind/ktypes"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A Namespace holds the names that a script or a prompt can use.
type Namespace struct {
	sources *source.Files
	ktypes  *ktypes.Types

	Predeclared starlark.StringDict
	Globals     starlark.StringDict // globals of the prompt
	// Check is called with each item of the prompt before it runs. If it returns an error, the item
	// does not run.
	Check  func(f *syntax.File) error
	prompt *items.Namespace // nil before the first item of the prompt

	params  map[string][]string                   // the parameters of the functions of expressions, by file
	modules map[string]bool                       // the files that are modules
	running map[string]func() starlark.StringDict // the globals of files that have started to run
}

// New returns a namespace for scripts of these sources.
func New(sources *source.Files, types *ktypes.Types) *Namespace {
	return &Namespace{sources: sources, ktypes: types, Globals: starlark.StringDict{}, params: map[string][]string{}, modules: map[string]bool{}, running: map[string]func() starlark.StringDict{}}
}

// AddModule declares that a file is a module: its functions do not see the globals of the prompt.
func (n *Namespace) AddModule(file string) { n.modules[file] = true }

// IsModule reports whether a file is a module.
func (n *Namespace) IsModule(file string) bool { return n.modules[file] }

// SetGlobals makes the globals of a file known, which has at least started to run.
func (n *Namespace) SetGlobals(file string, globals func() starlark.StringDict) {
	n.running[file] = globals
}

// outer returns the names defined outside a file that its functions see before the predeclared
// ones: the globals of the prompt, or nothing.
func (n *Namespace) outer(file string) starlark.StringDict {
	if n.modules[file] {
		return nil
	}
	return n.Globals
}

// Prompt returns the namespace in which the items of the prompt run. The first call moves the
// globals there.
func (n *Namespace) Prompt() *items.Namespace {
	if n.prompt == nil {
		n.prompt = items.New(source.Parse, n.Predeclared)
		for name, v := range n.Globals {
			n.prompt.Globals[name] = v
		}
		n.Globals = n.prompt.Globals
		n.prompt.OnFile = n.sources.Add
		n.prompt.Check = n.Check
		n.prompt.OnResolved = n.sources.Resolved
	}
	return n.prompt
}

// Reset forgets the globals that the script has defined. At the prompt, the predeclared names get
// back the values that they had.
func (n *Namespace) Reset() {
	for name, v := range n.Globals {
		if v != n.Predeclared[name] {
			delete(n.Globals, name)
		}
	}
	if n.prompt != nil {
		for name, v := range n.Predeclared {
			n.Globals[name] = v
		}
	}
}

// All returns the names that are defined at the prompt, in no particular order.
func (n *Namespace) All() []string { return visible(n.Predeclared, n.Globals, starlark.Universe) }

// Visible returns the names that a file can use without defining them, in no particular order. For
// scripts these include the names that scripts define.
func (n *Namespace) Visible(file string) []string {
	if params, ok := n.params[file]; ok {
		return append(visible(n.Predeclared, starlark.Universe), params...)
	}
	return n.All()
}

// visible returns the names in dicts that a script can write.
func visible(dicts ...starlark.StringDict) []string {
	seen := map[string]bool{}
	var out []string
	for _, d := range dicts {
		for name := range d {
			if !seen[name] && !strings.Contains(name, "@") {
				seen[name] = true
				out = append(out, name)
			}
		}
	}
	return out
}

// Value returns the value of a name at the prompt, or nil if it is not defined.
func (n *Namespace) Value(name string) starlark.Value {
	for _, d := range []starlark.StringDict{n.Globals, n.Predeclared, starlark.Universe} {
		if v, ok := d[name]; ok {
			return v
		}
	}
	return nil
}

// enumerator returns the value of a kernel enumerator, or nil if the kernel has no such enumerator.
func (n *Namespace) enumerator(name string) starlark.Value {
	if v, ok := n.ktypes.Enumerator(name); ok {
		return starlark.MakeInt64(v)
	}
	return nil
}

// Known reports to the resolver whether name is predeclared. Kernel enumerators become predeclared
// when they are first used.
func (n *Namespace) Known(name string) bool {
	if n.Predeclared.Has(name) {
		return true
	}
	if starlark.Universe.Has(name) {
		return false
	}
	v := n.enumerator(name)
	if v != nil {
		n.Predeclared[name] = v
	}
	return v != nil
}
