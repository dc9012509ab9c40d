// Package complete completes what is typed at the prompt, and finds the signature of the call that
// the cursor is in. It works on the text up to the cursor, which need not be valid Starlark:
// cursorAt (call.go) finds the brackets and the string that are open there. In a handler, the
// fields of the event and the members of kernel structs come from the probe that the text names
// (event.go). Probe specs are completed by bpf/kinds (kinds.Complete).
//
//	complete.go  Completions: what kind of word is at the cursor, and its candidates
//	call.go      open brackets, keyword arguments, signatures
//	event.go     fields of the event, members of structs
package complete

import (
	"slices"
	"sort"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
	"github.com/bpfrepl/bpfrepl/internal/pathcomplete"
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
	// LatestSpec returns the spec of the probe that was created last, or "".
	LatestSpec() string
}

// Completions returns the possible completions of the word before pos, and the index in line where
// that word begins. Inside a string these are probe specs, or files if the argument is a path;
// after a dot, attributes; elsewhere, names, and within a call also its keyword arguments.
func (c *Completer) Completions(line string, pos int) (words []string, from int) {
	line = line[:pos]
	p := cursorAt(line)
	if i := p.quote; i >= 0 {
		for _, b := range slices.Backward(p.open) {
			if b.callee == "" {
				continue // a list that is an argument of a call
			}
			if name := c.parameter(b); name == "path" || name == "argv" {
				return pathcomplete.Complete(line[i:]), i
			}
			break
		}
		words, from, err := kinds.Complete(line[i:])
		if err != nil {
			return nil, i // completion reports no errors; probe() will
		}
		return words, i + from
	}
	word := dotted(line)
	if base, last, ok := cutLast(word); ok {
		return matching(c.attributes(line, base), last), len(line) - len(last)
	}
	from = len(line) - len(word)
	names := c.keywordsFor(line, p, from)
	if word != "" || len(names) == 0 {
		names = append(names, c.Session.Names()...)
		names = append(names, "and", "break", "continue", "def", "elif", "else", "for", "if", "in", "lambda", "not", "or", "pass", "return", "while")
	}
	return matching(names, word), from
}

// Prefetch starts to load in the background what Completions will need if the user continues to
// type after text.
func (c *Completer) Prefetch(text string) {
	if p := cursorAt(text); p.quote >= 0 {
		kinds.Prefetch(text[p.quote:])
	}
	for _, end := range []string{".args", ".task", "cast("} {
		if strings.HasSuffix(text, end) {
			go c.Types.Load() // the error is reported when a type is looked up
		}
	}
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func matching(names []string, prefix string) []string {
	var out []string
	for _, n := range names {
		if strings.HasPrefix(n, prefix) && !strings.HasPrefix(n, "(") {
			out = append(out, n)
		}
	}
	sort.Strings(out)
	return out
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
