package starlarkbind

import (
	"slices"
	"sort"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/internal/filenames"
	"github.com/bpfrepl/bpfrepl/internal/lazy"
	"github.com/bpfrepl/bpfrepl/starlarkbind/items"
)

// Complete tells whether the text is a whole item.
func (s *Session) Complete(src string) bool { return items.Complete(parse, src) }

// Completions lists what the word before pos can become: inside a string a probe spec, or a file where a path is wanted; an attribute
// behind a dot; else a name, and in a call the names of its arguments.
func (s *Session) Completions(line string, pos int) (words []string, from int) {
	line = line[:pos]
	p := cursorAt(line)
	if i := p.quote; i >= 0 {
		for _, b := range slices.Backward(p.open) {
			if b.callee == "" {
				continue // the list that a call is given
			}
			if name := s.parameter(b); name == "path" || name == "argv" {
				return filenames.Complete(line[i:]), i
			}
			break
		}
		words, from, err := bpf.Complete(line[i:])
		if err != nil {
			return nil, i // who completes is told nothing: the probe() will say it
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

// Ahead begins to read in the background what Completions will need if the text goes on like this.
func (s *Session) Ahead(text string) {
	if p := cursorAt(text); p.quote >= 0 {
		bpf.Prefetch(text[p.quote:])
	}
	for _, end := range []string{".args", ".task", "cast("} {
		if strings.HasSuffix(text, end) {
			go s.ktypes.load() // who asks for a type will be told of an error
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

// attributes lists those of a dotted name's value, without calling anything; of the event inside a handler.
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

// dottedValue gives the value of a name with dots in it, nil where there is none.
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

// isParameter tells of the name of a handler's parameter in a line.
func isParameter(line, name string) bool {
	m := lambdaOf().FindAllStringSubmatch(line, -1)
	return m != nil && m[len(m)-1][1] == name
}

var lambdaOf = lazy.Regexp(`(?:\blambda|\bdef\s+\w+\s*\()\s*(\w+)\s*[:)]`)

// SetOutput makes everything be printed elsewhere; it is called before anything is.
func (s *Session) SetOutput(out, errOut interface{ Write([]byte) (int, error) }) {
	s.out.w, s.out.errw = out, errOut
}
