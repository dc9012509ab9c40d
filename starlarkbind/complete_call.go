package starlarkbind

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
)

// Completion inside the parentheses of a call, and the signatures shown for it, use the same tables
// as help().

// A bracket is an opening bracket that is not closed at the end of a text.
type bracket struct {
	callee   string // the dotted name before it, if it begins a call
	given    int    // number of arguments before the last one
	keywords []string
	argAt    int // index at which the last argument begins
}

// A cursor describes the position at the end of a text.
type cursor struct {
	quote int // index after a quote that is still open, or -1
	open  []bracket
}

var keyword = lazyregexp.Regexp(`^\s*(\w+)\s*=(?:[^=]|$)`)

// cursorAt returns the cursor at the end of text.
func cursorAt(text string) cursor {
	p := cursor{quote: -1}
	quote := byte(0)
	argument := func(end int) {
		top := &p.open[len(p.open)-1]
		if m := keyword().FindStringSubmatch(text[top.argAt:end]); m != nil {
			top.keywords = append(top.keywords, m[1])
		}
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote, p.quote = 0, -1
			}
		case c == '"' || c == '\'':
			quote, p.quote = c, i+1
		case c == '#':
			if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(text)
			}
		case c == '(' || c == '[' || c == '{':
			b := bracket{argAt: i + 1}
			if c == '(' {
				b.callee = dotted(text[:i])
			}
			p.open = append(p.open, b)
		case len(p.open) == 0:
		case c == ')' || c == ']' || c == '}':
			p.open = p.open[:len(p.open)-1]
		case c == ',':
			argument(i)
			top := &p.open[len(p.open)-1]
			top.given, top.argAt = top.given+1, i+1
		}
	}
	if len(p.open) > 0 {
		argument(len(text))
	}
	return p
}

// dotted returns the name, possibly with dots, at the end of text.
func dotted(text string) string {
	i := len(text)
	for i > 0 && (isWord(text[i-1]) || text[i-1] == '.') {
		i--
	}
	return text[i:]
}

// called returns the help topic of the function that a text calls by this name. It returns false if
// the function is unknown.
func (s *Session) called(name string) (Topic, bool) {
	base, method, isMethod := cutLast(name)
	if !isMethod {
		if f, ok := s.Value(name).(*starlark.Function); ok {
			return Topic{Name: name, Sig: signatureOf(f), Doc: f.Doc()}, true
		}
		all := Topics()
		for _, of := range []string{"", "handler"} {
			if i := slices.IndexFunc(all, func(t Topic) bool { return t.Of == of && t.Name == name }); i >= 0 {
				return all[i], true
			}
		}
		return Topic{}, false
	}
	of := ""
	switch s.dottedValue(base).(type) {
	case *maps.Aggregation:
		of = "aggregation"
	case *maps.Table:
		of = "table"
	case *Stream:
		of = "stream"
	case *Probe:
		of = "probe"
	}
	for _, t := range Topics() {
		if of != "" && strings.TrimPrefix(t.Of, "handler ") == of && t.Name == method {
			t.Sig = base + "." + t.Sig
			return t, true
		}
	}
	return Topic{}, false
}

func cutLast(name string) (base, last string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", name, false
	}
	return name[:i], name[i+1:], true
}

// signatureOf returns the signature of a function of the script.
func signatureOf(f *starlark.Function) string {
	named := f.NumParams() // *args and **kwargs come last
	var any []string
	if f.HasKwargs() {
		named--
		name, _ := f.Param(named)
		any = append(any, "**"+name)
	}
	var params []string
	for i := range named {
		p, _ := f.Param(i)
		if d := f.ParamDefault(i); d != nil {
			p += "=" + d.String()
		}
		params = append(params, p)
	}
	if f.HasVarargs() {
		name, _ := f.Param(named - 1)
		params = slices.Insert(params[:named-1], named-1-f.NumKwonlyParams(), "*"+name)
	}
	return fmt.Sprintf("%s(%s)", f.Name(), strings.Join(append(params, any...), ", "))
}

// parameters returns the names of the parameters in a signature, in order, without *args and
// **kwargs.
func parameters(sig string) []string {
	_, list, ok := strings.Cut(sig, "(")
	if !ok {
		return nil
	}
	list = list[:max(strings.LastIndexByte(list, ')'), 0)]
	var out []string
	for _, p := range strings.Split(list, ", ") {
		name, _, _ := strings.Cut(p, "=")
		if name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" {
			out = append(out, name)
		}
	}
	return out
}

// parameter returns the name of the parameter that the last argument of a call is for, or "".
func (s *Session) parameter(b bracket) string {
	t, ok := s.called(b.callee)
	if !ok {
		return ""
	}
	if n := len(b.keywords); n > 0 {
		return b.keywords[n-1]
	}
	if ps := parameters(t.Sig); b.given < len(ps) {
		return ps[b.given]
	}
	return ""
}

// keywordsFor returns the keyword arguments that can still be added to a call, if the text ends at
// the beginning of an argument.
func (s *Session) keywordsFor(text string, p cursor, from int) []string {
	if len(p.open) == 0 {
		return nil
	}
	b := p.open[len(p.open)-1]
	t, ok := s.called(b.callee)
	if !ok || b.argAt > from || strings.TrimSpace(text[b.argAt:from]) != "" {
		return nil
	}
	var out []string
	for i, name := range parameters(t.Sig) {
		if i >= b.given-len(b.keywords) && !slices.Contains(b.keywords, name) {
			out = append(out, name+"=")
		}
	}
	return out
}

// Signature returns the signature and a line of documentation for the function whose name the text
// ends with, or whose call encloses the end of the text. It returns "" if the function is unknown.
func (s *Session) Signature(text string) string {
	p := cursorAt(text)
	var names []string
	if p.quote < 0 {
		names = append(names, dotted(text))
	}
	for _, b := range slices.Backward(p.open) {
		names = append(names, b.callee)
	}
	for _, n := range names {
		if t, ok := s.called(n); ok && n != "" {
			doc, _, _ := strings.Cut(t.Doc, "\n")
			return strings.TrimRight(t.Sig+"\n"+doc, "\n")
		}
	}
	return ""
}
