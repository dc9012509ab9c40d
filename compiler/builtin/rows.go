package builtin

import (
	"slices"

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
