package starlarkbind

import (
	"context"
	"regexp"
	"sort"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/starlarkbind/items"
)

// Complete tells whether the text is a whole item.
func (s *Session) Complete(src string) bool { return items.Complete(fileOptions, src) }

// Completions lists what the word before pos can become: a probe spec inside a string, an attribute behind a dot, else
// a name.
func (s *Session) Completions(line string, pos int) (words []string, from int) {
	line = line[:pos]
	if i := openQuote(line); i >= 0 {
		return s.specs(line[i:]), i
	}
	from = len(line)
	for from > 0 && isWord(line[from-1]) {
		from--
	}
	word := line[from:]
	if from > 0 && line[from-1] == '.' {
		start := from - 1
		for start > 0 && (isWord(line[start-1]) || line[start-1] == '.') {
			start--
		}
		return matching(s.attributes(line, line[start:from-1]), word), from
	}
	names := append(s.Names(), "and", "break", "continue", "def", "elif", "else", "for", "if", "in", "lambda", "not", "or", "pass", "return", "while")
	return matching(names, word), from
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

// openQuote gives the index behind a quote that is still open, or -1.
func openQuote(line string) int {
	at, quote := -1, byte(0)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote, at = 0, -1
		case quote == 0 && (c == '"' || c == '\''):
			quote, at = c, i+1
		}
	}
	return at
}

// attributes lists those of a dotted name's value, without calling anything; of the event inside a handler.
func (s *Session) attributes(line, path string) []string {
	parts := strings.Split(path, ".")
	v := s.Value(parts[0])
	if parameter(line, parts[0]) || v == nil && (parts[0] == "e" || parts[0] == "event") {
		return s.eventAttributes(line, parts)
	}
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
	switch v := v.(type) {
	case starlark.HasAttrs:
		return v.AttrNames()
	}
	return nil
}

// parameter tells of the name of a handler's parameter in a line.
func parameter(line, name string) bool {
	m := lambdaOf.FindAllStringSubmatch(line, -1)
	return m != nil && m[len(m)-1][1] == name
}

var lambdaOf = regexp.MustCompile(`(?:\blambda|\bdef\s+\w+\s*\()\s*(\w+)\s*[:)]`)

// specs completes a probe spec, a part at a time.
func (s *Session) specs(prefix string) []string {
	if !strings.Contains(prefix, ":") {
		var out []string
		for _, p := range bpf.Providers() {
			name := p.Kind
			if strings.Contains(p.Syntax, ":") {
				name += ":"
			}
			out = append(out, name)
		}
		return matching(out, prefix)
	}
	ts, err := bpf.List(prefix + "*")
	if err != nil {
		return nil
	}
	seen := map[string]bool{}
	var out []string
	for _, t := range ts {
		w := t.Name
		if i := strings.IndexByte(w[len(prefix):], ':'); i >= 0 {
			w = w[:len(prefix)+i+1]
		}
		if !seen[w] {
			seen[w] = true
			out = append(out, w)
		}
	}
	return matching(out, prefix)
}

// Watch warns of new errors while the prompt waits, until ctx ends.
func (s *Session) Watch(ctx context.Context) { s.guarded(func() { s.watch(ctx) }) }

func (s *Session) watch(ctx context.Context) {
	t := time.NewTicker(warnEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.warnNew()
			s.warnFill()
		case <-ctx.Done():
			return
		}
	}
}

// SetOutput makes everything be printed elsewhere; it is called before anything is.
func (s *Session) SetOutput(out, errOut interface{ Write([]byte) (int, error) }) {
	s.out.w, s.out.errw = out, errOut
}
