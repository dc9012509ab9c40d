package help

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/methods"
)

// A Topic is one entry of help.
type Topic struct {
	// Of is the type of a method ("aggregation", or "handler aggregation" in handlers), "handler",
	// "event", or "" for a function of scripts.
	Of      string
	Name    string
	Sig     string // the signature
	Doc     string
	Example string
}

// Topics are what help can show, except the kinds of probes.
type Topics []Topic

// Handlers returns the topics of handlers: functions, methods, and the fields of the event.
func Handlers() Topics {
	var out Topics
	for _, d := range compiler.Builtins() {
		out = append(out, Topic{"handler", d.Name, d.Sig, d.Text, d.Example})
	}
	for _, d := range compiler.Methods() {
		of, name, ok := strings.Cut(d.Name, ".")
		if !ok {
			of, name = "", d.Name
		}
		out = append(out, Topic{strings.TrimSpace("handler " + of), name, d.Sig, d.Text, d.Example})
	}
	for _, f := range compiler.EventFields() {
		out = append(out, Topic{"event", f[0], "e." + f[0], f[1], fieldExample(f[0])})
	}
	return out
}

// fieldExample returns an example that uses a field of the event.
func fieldExample(name string) string {
	switch name {
	case "args":
		return `probe("tracepoint:syscalls:sys_enter_openat", lambda e: opened.add(by=str(e.args.filename)))`
	case "ret":
		return `probe("tracepoint:syscalls:sys_exit_read", lambda e: sizes.add(e.ret))`
	case "task":
		return "parents.add(by=e.task.real_parent.comm)"
	}
	return fmt.Sprintf("hits.add(by=e.%s)", name)
}

// Methods returns the topics of the methods of a type.
func Methods[T any](of string, ms []methods.Row[T]) (out Topics) {
	for _, m := range ms {
		out = append(out, Topic{of, m.Name, m.Sig, m.Doc, m.Example})
	}
	return out
}

// Function returns the signature and the description of a function of scripts, or else of handlers.
func (ts Topics) Function(name string) (sig, doc string, ok bool) {
	for _, of := range []string{"", "handler"} {
		if i := slices.IndexFunc(ts, func(t Topic) bool { return t.Of == of && t.Name == name }); i >= 0 {
			return ts[i].Sig, ts[i].Doc, true
		}
	}
	return "", "", false
}

// Method is like Function, for a method of a Subject whose methods are of the given topics.
func (ts Topics) Method(of, name string) (sig, doc string, ok bool) {
	i := slices.IndexFunc(ts, func(t Topic) bool { return strings.TrimPrefix(t.Of, "handler ") == of && t.Name == name })
	if i < 0 {
		return "", "", false
	}
	return ts[i].Sig, ts[i].Doc, true
}

// text returns the topic as help prints it.
func (t Topic) text() string {
	sig := t.Sig
	where := ""
	switch of := strings.TrimPrefix(t.Of, "handler "); {
	case t.Of == "handler":
		where = " (in a handler)"
	case t.Of == "event":
	case of != t.Of:
		sig, where = method(of, sig), " (in a handler)"
	case of != "":
		sig = method(of, sig)
	}
	text := signature(sig+where) + prose(t.Doc)
	if t.Example != "" {
		text += "\n" + indented(t.Example)
	}
	return text
}

// method returns the signature of a method, with its type in front unless it is an operator.
func method(of, sig string) string {
	if strings.ContainsAny(sig, "[ ") && !strings.Contains(sig, "(") {
		return sig // t[key], key in t
	}
	return of + "." + sig
}
