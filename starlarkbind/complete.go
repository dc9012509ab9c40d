package starlarkbind

import (
	"slices"
	"sort"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
	"github.com/bpfrepl/bpfrepl/internal/pathcomplete"
	"github.com/bpfrepl/bpfrepl/starlarkbind/items"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// Complete reports whether src is a complete item, so that the prompt need not ask for more lines.
func (s *Session) Complete(src string) bool { return items.Complete(source.Parse, src) }

// Completions returns the possible completions of the word before pos, and the index in line where
// that word begins. Inside a string these are probe specs, or files if the argument is a path;
// after a dot, attributes; elsewhere, names, and within a call also its keyword arguments.
func (s *Session) Completions(line string, pos int) (words []string, from int) {
	line = line[:pos]
	p := cursorAt(line)
	if i := p.quote; i >= 0 {
		for _, b := range slices.Backward(p.open) {
			if b.callee == "" {
				continue // a list that is an argument of a call
			}
			if name := s.parameter(b); name == "path" || name == "argv" {
				return pathcomplete.Complete(line[i:]), i
			}
			break
		}
		words, from, err := bpf.Complete(line[i:])
		if err != nil {
			return nil, i // completion reports no errors; probe() will
		}
		return words, i + from
	}
	word := dotted(line)
	if base, last, ok := cutLast(word); ok {
		return matching(s.attributes(line, base), last), len(line) - len(last)
	}
	from = len(line) - len(word)
	names := s.keywordsFor(line, p, from)
	if word != "" || len(names) == 0 {
		names = append(names, s.Names()...)
		names = append(names, "and", "break", "continue", "def", "elif", "else", "for", "if", "in", "lambda", "not", "or", "pass", "return", "while")
	}
	return matching(names, word), from
}

// Prefetch starts to load in the background what Completions will need if the user continues to type
// after text.
func (s *Session) Prefetch(text string) {
	if p := cursorAt(text); p.quote >= 0 {
		bpf.Prefetch(text[p.quote:])
	}
	for _, end := range []string{".args", ".task", "cast("} {
		if strings.HasSuffix(text, end) {
			go s.ktypes.Load() // the error is reported when a type is looked up
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
func (s *Session) attributes(line, path string) []string {
	parts := strings.Split(path, ".")
	if names, ok := s.localAttributes(line, parts); ok {
		return names
	}
	if isParameter(line, parts[0]) || s.Value(parts[0]) == nil && (parts[0] == "e" || parts[0] == "event") {
		return s.eventAttributes(line, parts)
	}
	if v, ok := s.dottedValue(path).(starlark.HasAttrs); ok {
		return v.AttrNames()
	}
	return nil
}

// dottedValue returns the value of a dotted name, or nil if there is none.
func (s *Session) dottedValue(path string) starlark.Value {
	parts := strings.Split(path, ".")
	v := s.Value(parts[0])
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

// SetOutput redirects all output. It must be called before anything is printed.
func (s *Session) SetOutput(out, errOut interface{ Write([]byte) (int, error) }) {
	s.out.SetWriters(out, errOut)
}
