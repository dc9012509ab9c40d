package check

import (
	"slices"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Tables has what a handler can call and read, and how that is checked. Package builtin has
// the rows.
type Tables struct {
	Builtins map[string]*Builtin
	Methods  []Method
	Fields   []Field
}

// Builtin is a function that a handler can call. The args of Check are in the order of its
// parameters; nil stands for an argument that the call omits.
type Builtin struct {
	Name, Sig string
	Check     func(c *Checker, row *Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr
}

// Method is a method, or an operator that is checked as one ("[]", "in"), of a kind of
// receiver.
type Method struct {
	Recv, Name, Sig string
	Check           func(c *Checker, e *tree.MethodExpr) tree.Expr
}

// Field is a builtin field of the event. Check is nil if every event has the field, with type T.
type Field struct {
	Name  string
	T     *types.Type
	Check func(c *Checker, pos syntax.Position) tree.Expr
}

// method returns the method of a kind of receiver, or nil.
func (r *Tables) method(recv, name string) *Method {
	i := slices.IndexFunc(r.Methods, func(m Method) bool { return m.Recv == recv && m.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Methods[i]
}
