package builtin

import (
	"cmp"
	"slices"
	"strings"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
)

var (
	builtins = slices.Concat(clockBuiltins(), randBuiltins(), stringBuiltins(), intBuiltins(), printBuiltins(),
		timeBuiltins(), stackBuiltins(), symBuiltins(), netBuiltins(), nameBuiltins(), taskBuiltins(), ctypeBuiltins(),
		pathBuiltins(), textBuiltins())
	methods = slices.Concat(methodRows(), dictMethods())
	fields  = eventFields()
)

// CheckRows and LowerRows are the halves of the rows for the checker and for the lowerer.
var (
	CheckRows = newCheckTables()
	LowerRows = newLowerTables()
)

// find returns the builtin of that name, or nil.
func find(name string) *builtin {
	i := slices.IndexFunc(builtins, func(b builtin) bool { return b.name == name })
	if i < 0 {
		return nil
	}
	return &builtins[i]
}

func newCheckTables() *check.Tables {
	t := &check.Tables{Builtins: map[string]*check.Builtin{}}
	for _, b := range builtins {
		t.Builtins[b.name] = &check.Builtin{Name: b.name, Sig: b.sig, Check: b.check}
	}
	for _, m := range methods {
		t.Methods = append(t.Methods, check.Method{Recv: m.recv, Name: m.name, Sig: m.sig, Check: m.check})
	}
	for _, f := range fields {
		t.Fields = append(t.Fields, check.Field{Name: f.name, T: f.t, Check: f.check})
	}
	return t
}

func newLowerTables() *lower.Tables {
	t := &lower.Tables{
		Builtins: map[string]func(*lower.Lowerer, *tree.BuiltinExpr) lower.Val{},
		Methods:  map[string]lower.Method{},
		Fields:   map[string]func(*lower.Lowerer) lower.Val{},
	}
	for _, b := range builtins {
		t.Builtins[b.name] = b.lower
	}
	for _, m := range methods {
		t.Methods[m.recv+"."+m.name] = lower.Method{Lower: m.lower, Jump: m.jump}
	}
	for _, f := range fields {
		t.Fields[f.name] = f.lower
	}
	return t
}

// Builtins lists the functions that a handler can call, in the order of the table.
func Builtins() []Doc {
	var out []Doc
	for _, b := range builtins {
		out = append(out, Doc{b.name, b.sig, b.doc, b.example, cmp.Or(b.probe, exampleProbe), b.kernelOnly})
	}
	return out
}

// CanCall reports whether a handler can call the builtin of that name.
func CanCall(name string) bool { return find(name) != nil }

// HostParams returns the parameters of a builtin that has a host half, and ok false for others. A
// name is followed by ? if the argument can be omitted, and by ?? if it can also be None.
func HostParams(name string) (names []string, ok bool) {
	row := find(name)
	if row == nil || row.host == nil {
		return nil, false
	}
	list := strings.Split(row.sig[strings.IndexByte(row.sig, '(')+1:len(row.sig)-1], ", ")
	for i, p := range check.Params(row.sig) {
		switch {
		case p.Required:
			names = append(names, p.Name)
		case strings.HasSuffix(list[i], "=None"):
			names = append(names, p.Name+"??")
		default:
			names = append(names, p.Name+"?")
		}
	}
	return names, true
}

// CallOnHost calls the host half of a builtin. There is one argument for each of its parameters,
// Omitted if the call does not have it.
func CallOnHost(name string, c Caller, args []any) (any, error) {
	row := find(name)
	h := &hostCall{Caller: c, rows: CheckRows, name: name, params: check.Params(row.sig), args: args}
	v, err := row.host(h)
	if h.err != nil {
		return nil, h.err
	}
	return v, err
}

// Methods lists the methods that a handler can call. Name is "aggregation.add" and so on.
func Methods() []Doc {
	var out []Doc
	for _, m := range methods {
		out = append(out, Doc{m.recv + "." + m.name, m.sig, m.doc, m.example, exampleProbe, ""})
	}
	return out
}

// EventFields lists the name and the description of each builtin field of an event.
func EventFields() [][2]string {
	var out [][2]string
	for _, f := range fields {
		out = append(out, [2]string{f.name, f.doc})
	}
	return out
}
