// Package complete completes what is typed at the prompt, and finds the signature of the call that
// the cursor is in. It works on the text up to the cursor, which need not be valid Starlark:
// cursorAt (call.go) finds the brackets and the string that are open there. In a handler, the
// fields of the event and the members of kernel structs come from the probe that the text names
// (event.go). Probe specs are completed by bpf/kinds (kinds.Complete).
//
//	complete.go   Completions: what kind of word is at the cursor, and its candidates
//	completer.go  the Completer, attributes of values
//	call.go       open brackets, keyword arguments, signatures
//	event.go      fields of the event, members of structs
package complete

import (
	"slices"
	"sort"
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
	"github.com/bpfrepl/bpfrepl/internal/pathcomplete"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

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
			if b.callee == "load" {
				return c.loadable(line, b, line[i:]), i
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

var firstString = lazyregexp.Regexp(`^\s*["']([^"']*)["']`)

// loadable returns the completions of a string in the parentheses of load: of the file, which comes
// first, or of a name that it defines.
func (c *Completer) loadable(line string, b bracket, prefix string) []string {
	open := strings.LastIndex(line, "load(")
	if b.given == 0 || open < 0 {
		return c.Session.Loadable(prefix)
	}
	m := firstString().FindStringSubmatch(line[open+len("load("):])
	if m == nil {
		return nil
	}
	f, err := c.Session.Module(m[1])
	if err != nil {
		return nil // load() will report it
	}
	return matching(source.Defines(f), prefix)
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
