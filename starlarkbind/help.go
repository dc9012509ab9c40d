package starlarkbind

import (
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/starlarkbind/assert"
	"github.com/bpfrepl/bpfrepl/starlarkbind/complete"
	"github.com/bpfrepl/bpfrepl/starlarkbind/help"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
	"github.com/bpfrepl/bpfrepl/starlarkbind/records"
	"github.com/bpfrepl/bpfrepl/starlarkbind/std"
)

// This file gives packages help and complete the tables of functions and methods, and the names of
// the session.

// topics returns the topics of help.
func topics() help.Topics {
	var out help.Topics
	for _, b := range Builtins {
		out = append(out, help.Topic{Name: b.Name, Sig: b.Sig, Doc: b.Doc, Example: b.Example})
	}
	out = append(out, help.Methods("aggregation", maps.AggregationMethods)...)
	out = append(out, help.Methods("table", maps.TableMethods)...)
	out = append(out, help.Methods("stream", records.StreamMethods)...)
	out = append(out, help.Methods("probe", probeMethods)...)
	for _, r := range assert.Rows {
		out = append(out, help.Topic{Of: "assert", Name: r.Name, Sig: r.Sig, Doc: r.Doc, Example: r.Example})
	}
	out = append(out, help.Members()...)
	out = append(out, help.Topic{Name: "load", Sig: "load(file, *names, **renamed)", Example: `load("std/names.star", "signal_name")`,
		Doc: "make names of another file available, which is searched relative to this one, in the folders of -I and of $BPFREPL_PATH; std/ is the standard library: " + strings.Join(std.Names(), ", ") + `; help("std/names.star") describes a file`})
	out = append(out, help.Topic{Name: "std", Sig: "std/", Example: `help("std/names.star")`,
		Doc: "the standard library, modules for load(): " + strings.Join(std.Names(), ", ")})
	return append(out, help.Handlers()...)
}

// lookup implements help.Session and complete.Session.
type lookup struct{ *Session }

// Global implements help.Session.
func (l lookup) Global(name string) starlark.Value { return l.names.Globals[name] }

// IsModule implements help.Session.
func (l lookup) IsModule(file string) bool { return l.names.IsModule(file) }

// Module implements help.Session.
func (l lookup) Module(name string) (*syntax.File, error) { return l.modules.Tree(name) }

// Loadable implements complete.Session.
func (l lookup) Loadable(prefix string) []string { return l.modules.Complete(prefix) }

// Subject implements help.Session.
func (l lookup) Subject(v starlark.Value) (help.Subject, bool) {
	switch v := v.(type) {
	case *maps.Aggregation:
		return help.Subject{Of: "aggregation", Name: v.Name(), Type: v.Type()}, true
	case *maps.Table:
		return help.Subject{Of: "table", Name: v.Name(), Type: v.Type()}, true
	case *records.Stream:
		return help.Subject{Of: "stream", Name: v.Name(), Type: v.Type()}, true
	case *Probe:
		sub := help.Subject{Of: "probe", Name: v.name, Type: v.Type()}
		if len(v.spec) == 1 {
			sub.Spec = v.spec[0]
		}
		return sub, true
	}
	return help.Subject{}, false
}

// Function implements complete.Session.
func (l lookup) Function(name string) (sig, doc string, ok bool) { return l.help.Topics.Function(name) }

// Method implements complete.Session.
func (l lookup) Method(v starlark.Value, name string) (sig, doc string, ok bool) {
	sub, ok := l.Subject(v)
	if module := help.ModuleName(v); module != "" {
		return l.help.Topics.Method(module, name)
	}
	if !ok {
		return "", "", false
	}
	return l.help.Topics.Method(sub.Of, name)
}

// LatestSpec implements complete.Session.
func (l lookup) LatestSpec() string {
	ps := l.reg.allProbes()
	if len(ps) == 0 {
		return ""
	}
	return ps[len(ps)-1].spec[0]
}

// builtinHelp implements help(x=None).
func (s *Session) builtinHelp(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value = starlark.None
	if err := starlark.UnpackArgs("help", args, kw, "x?", &x); err != nil {
		return nil, err
	}
	text, err := s.help.On(x)
	if err != nil {
		return nil, scriptError(err)
	}
	s.out.Text(text)
	return starlark.None, s.out.Failed()
}

// completer returns what Tab completes with.
func (s *Session) completer() *complete.Completer {
	return &complete.Completer{Types: s.ktypes, Session: lookup{s}}
}
