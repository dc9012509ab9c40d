package complete

import (
	"slices"
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
)

// Inside a handler, Tab after "e." offers the fields of the event, after "e.args." the arguments of
// the probe, and further on the members of kernel structs. The probe is the last one named in the
// line, else the one that was created last.

var quoted = lazyregexp.Regexp(`"([^"\\]*:[^"\\]*)"|'([^'\\]*:[^'\\]*)'`)

// eventAttributes returns what can follow a dotted name, split into parts, whose first part is the
// event. line is the text up to that name.
func (c *Completer) eventAttributes(line string, parts []string) []string {
	if len(parts) == 1 {
		var out []string
		for _, f := range compiler.EventFields() {
			out = append(out, f[0])
		}
		return out
	}
	var t *ctype.Type
	rest := parts[2:]
	switch parts[1] {
	case "task":
		t = c.structType("struct task_struct")
	case "args":
		args := c.arguments(line)
		if len(rest) == 0 {
			var out []string
			for _, a := range args {
				out = append(out, a.name)
			}
			return out
		}
		for _, a := range args {
			if a.name == rest[0] {
				t = a.typ()
			}
		}
		rest = rest[1:]
	}
	return members(t, rest)
}

// local matches an assignment in a handler whose value has members: part of the event, or a cast.
var local = lazyregexp.Regexp(`(?m)\b(\w+)\s*=\s*(?:(\w+(?:\.\w+)+)|cast\(.*,\s*["']([^"']+)["']\))\s*$`)

// localAttributes returns what can follow parts if the first of them is a variable that the text
// assigns; ok reports whether it is.
func (c *Completer) localAttributes(text string, parts []string) (names []string, ok bool) {
	for _, at := range slices.Backward(local().FindAllStringSubmatchIndex(text, -1)) {
		switch {
		case text[at[2]:at[3]] != parts[0]:
		case at[6] >= 0:
			return members(c.structType(text[at[6]:at[7]]), parts[1:]), true
		default: // the value may itself be a variable assigned earlier
			return c.attributes(text[:at[0]], strings.Join(append([]string{text[at[4]:at[5]]}, parts[1:]...), ".")), true
		}
	}
	return nil, false
}

// members returns the member names of a struct or union, or of the one reached from it by following
// names.
func members(t *ctype.Type, names []string) []string {
	for _, name := range names {
		if t = record(t); t == nil {
			return nil
		}
		p, ok := t.Find(name)
		if !ok {
			return nil
		}
		t = p.Type
	}
	if t = record(t); t == nil {
		return nil
	}
	return t.MemberNames()
}

// record returns t if it is a struct or union, its target if it is a pointer to one, else nil.
func record(t *ctype.Type) *ctype.Type {
	if t != nil && t.Kind == ctype.Pointer {
		t = t.Elem()
	}
	if t == nil || !t.IsRecord() {
		return nil
	}
	return t
}

// structType returns a struct of the kernel, or nil if there is none of that name or the kernel
// does not describe its types.
func (c *Completer) structType(name string) *ctype.Type {
	t, err := c.Types.Lookup(name)
	if err != nil {
		return nil
	}
	return t
}

// An argument is one of e.args. typ returns its type if that is a struct or a pointer to one, else
// nil. It is a function because reading the kernel's types takes time.
type argument struct {
	name string
	typ  func() *ctype.Type
}

// arguments returns the arguments of the last probe named in the line, else of the one created
// last.
func (c *Completer) arguments(line string) []argument {
	spec := ""
	if all := quoted().FindAllStringSubmatch(line, -1); all != nil {
		last := all[len(all)-1]
		spec = last[1] + last[2]
	} else {
		spec = c.Session.LatestSpec()
	}
	ts, err := kinds.Resolve(spec)
	if err != nil || len(ts) == 0 {
		return nil // completion reports no errors; probe() will
	}
	var out []argument
	if ts[0].Driver.TracepointTypes {
		fields, err := c.Types.TracepointArgs(ts[0].Parts[0])
		if err != nil {
			return nil
		}
		for _, f := range fields {
			out = append(out, argument{f.Name, func() *ctype.Type { return f.C }})
		}
		return out
	}
	ev, err := ts[0].Event()
	if err != nil {
		return nil
	}
	for _, f := range ev.NamedArgs() {
		out = append(out, argument{f.Name, func() *ctype.Type {
			if base, ok := strings.CutSuffix(f.CType, "*"); ok {
				return c.structType(strings.TrimSpace(base))
			}
			return nil
		}})
	}
	return out
}
