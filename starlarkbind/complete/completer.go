package complete

import (
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
	"github.com/bpfrepl/bpfrepl/starlarkbind/ktypes"
)

// A Completer completes text for a session.
type Completer struct {
	Types   *ktypes.Types
	Session Session
}

// A Session has the names that a user can type.
type Session interface {
	// Names returns the names that are defined.
	Names() []string
	// Value returns the value of a name, or nil if it is not defined.
	Value(name string) starlark.Value
	// Function returns the signature and the description of a builtin of scripts or handlers.
	Function(name string) (sig, doc string, ok bool)
	// Method is like Function, for a method of a value.
	Method(v starlark.Value, name string) (sig, doc string, ok bool)
	// Loadable returns the names of files for load() that begin with a prefix.
	Loadable(prefix string) []string
	// Module returns the tree of the file that load(name, ...) would load.
	Module(name string) (*syntax.File, error)
	// LatestSpec returns the spec of the probe that was created last, or "".
	LatestSpec() string
}

// attributes returns the attribute names of the value of a dotted name, or of the event inside a
// handler. It calls no functions.
func (c *Completer) attributes(line, path string) []string {
	parts := strings.Split(path, ".")
	if names, ok := c.localAttributes(line, parts); ok {
		return names
	}
	if isParameter(line, parts[0]) || c.Session.Value(parts[0]) == nil && (parts[0] == "e" || parts[0] == "event") {
		return c.eventAttributes(line, parts)
	}
	if v, ok := c.dottedValue(path).(starlark.HasAttrs); ok {
		return v.AttrNames()
	}
	return nil
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// dottedValue returns the value of a dotted name, or nil if there is none.
func (c *Completer) dottedValue(path string) starlark.Value {
	parts := strings.Split(path, ".")
	v := c.Session.Value(parts[0])
	for _, p := range parts[1:] {
		a, ok := v.(starlark.HasAttrs)
		if !ok {
			return nil
		}
		next, err := a.Attr(p)
		if err != nil || next == nil {
			return nil
		}
		v = next
	}
	return v
}

// isParameter reports whether name is the parameter of the last handler in a line.
func isParameter(line, name string) bool {
	m := lambdaOf().FindAllStringSubmatch(line, -1)
	return m != nil && m[len(m)-1][1] == name
}

var lambdaOf = lazyregexp.Regexp(`(?:\blambda|\bdef\s+\w+\s*\()\s*(\w+)\s*[:)]`)
