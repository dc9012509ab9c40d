package complete

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
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

// called returns the signature and the description of the function that a text calls by this name.
// It returns false if the function is unknown.
func (c *Completer) called(name string) (sig, doc string, ok bool) {
	if base, method, ok := cutLast(name); ok {
		sig, doc, ok := c.Session.Method(c.dottedValue(base), method)
		return base + "." + sig, doc, ok
	}
	if f, ok := c.Session.Value(name).(*starlark.Function); ok {
		return signatureOf(f), f.Doc(), true
	}
	return c.Session.Function(name)
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
func (c *Completer) parameter(b bracket) string {
	sig, _, ok := c.called(b.callee)
	if !ok {
		return ""
	}
	if n := len(b.keywords); n > 0 {
		return b.keywords[n-1]
	}
	if ps := parameters(sig); b.given < len(ps) {
		return ps[b.given]
	}
	return ""
}

// keywordsFor returns the keyword arguments that can still be added to a call, if the text ends at
// the beginning of an argument.
func (c *Completer) keywordsFor(text string, p cursor, from int) []string {
	if len(p.open) == 0 {
		return nil
	}
	b := p.open[len(p.open)-1]
	sig, _, ok := c.called(b.callee)
	if !ok || b.argAt > from || strings.TrimSpace(text[b.argAt:from]) != "" {
		return nil
	}
	var out []string
	for i, name := range parameters(sig) {
		if i >= b.given-len(b.keywords) && !slices.Contains(b.keywords, name) {
			out = append(out, name+"=")
		}
	}
	return out
}

// Signature returns the signature and a line of documentation for the function whose name the text
// ends with, or whose call encloses the end of the text. It returns "" if the function is unknown.
func (c *Completer) Signature(text string) string {
	p := cursorAt(text)
	var names []string
	if p.quote < 0 {
		names = append(names, dotted(text))
	}
	for _, b := range slices.Backward(p.open) {
		names = append(names, b.callee)
	}
	for _, n := range names {
		if sig, doc, ok := c.called(n); ok && n != "" {
			first, _, _ := strings.Cut(doc, "\n")
			return strings.TrimRight(sig+"\n"+first, "\n")
		}
	}
	return ""
}
