package starlarkbind

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/complete"
	"github.com/bpfrepl/bpfrepl/starlarkbind/items"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// Complete reports whether src is a complete item, so that the prompt need not ask for more lines.
func (s *Session) Complete(src string) bool { return items.Complete(source.Parse, src) }

// Completions returns the possible completions of the word before pos, and the index in line where
// that word begins.
func (s *Session) Completions(line string, pos int) (words []string, from int) {
	return s.completer().Completions(line, pos)
}

// Prefetch starts to load in the background what Completions will need if the user continues to type
// after text.
func (s *Session) Prefetch(text string) { s.completer().Prefetch(text) }

// Signature returns the signature and a line of documentation for the function whose name the text
// ends with, or whose call encloses the end of the text. It returns "" if the function is unknown.
func (s *Session) Signature(text string) string { return s.completer().Signature(text) }

func (s *Session) completer() *complete.Completer {
	return &complete.Completer{Types: s.ktypes, Session: completed{s}}
}

// completed implements complete.Session, from the same tables as help().
type completed struct{ *Session }

// Function implements complete.Session.
func (c completed) Function(name string) (sig, doc string, ok bool) {
	all := Topics()
	for _, of := range []string{"", "handler"} {
		if i := slices.IndexFunc(all, func(t Topic) bool { return t.Of == of && t.Name == name }); i >= 0 {
			return all[i].Sig, all[i].Doc, true
		}
	}
	return "", "", false
}

// Method implements complete.Session.
func (c completed) Method(v starlark.Value, name string) (sig, doc string, ok bool) {
	of := ""
	switch v.(type) {
	case *maps.Aggregation:
		of = "aggregation"
	case *maps.Table:
		of = "table"
	case *Stream:
		of = "stream"
	case *Probe:
		of = "probe"
	default:
		return "", "", false
	}
	for _, t := range Topics() {
		if strings.TrimPrefix(t.Of, "handler ") == of && t.Name == name {
			return t.Sig, t.Doc, true
		}
	}
	return "", "", false
}

// LatestSpec implements complete.Session.
func (c completed) LatestSpec() string {
	ps := c.reg.allProbes()
	if len(ps) == 0 {
		return ""
	}
	return ps[len(ps)-1].spec[0]
}
