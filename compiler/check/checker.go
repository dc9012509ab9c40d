package check

import (
	"fmt"
	"slices"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// A Checker checks one request. Functions that check a row call its methods.
type Checker struct {
	Req   *tree.Request
	Diags diag.List  // the errors so far
	Facts tree.Facts // what the handler has been found to use

	rows               *Tables
	warnings           diag.List
	frame              *frame
	flow               *flow
	maps               map[*tree.Map]*mapTyping
	mapsGrew, everGrew bool
	inferring          bool        // unknown types are to be inferred: see Infer
	noting             bool        // record an Arithmetic for each frame
	arith              *Arithmetic // of the handler, if noting
	capturedSeen       map[string]bool
	typed              []abi.Field // result of Event.Typed
	typedErr           error
	fields             map[string]bool // arguments read by name
	enums              map[*ctype.Type]*types.Type
	calls              int
	iterations         int        // product of the lengths of the enclosing loops
	loops              []loopFlow // the enclosing loops
}

// A frame is one function being checked.
type frame struct {
	fn     *tree.Func
	up     *frame
	call   *tree.CallExpr
	locals map[*resolve.Binding]*tree.Local
	ret    *types.Type     // join of all results; nil before the first
	retAt  syntax.Position // of the result that determined ret
	loop   int
	grew   bool
	writes map[*resolve.Binding]int       // number of statements in the body that assign the variable
	reads  map[*resolve.Binding]tableRead // locals that were read from an element of a table
	arith  *Arithmetic                    // nil if not recorded
	chosen map[*tree.Local]bool           // locals that stand for a collection somewhere: see flow.chosen
}

const maxWalks = 12 // of one function: a type can grow only a few times

// New returns a checker for a request. rows has what a handler can call and read.
func New(rows *Tables, req *tree.Request) *Checker {
	return &Checker{rows: rows, Req: req, maps: map[*tree.Map]*mapTyping{}, capturedSeen: map[string]bool{}, enums: map[*ctype.Type]*types.Type{}, iterations: 1, flow: newFlow()}
}

// Errorf reports an error at pos. hint says what to write instead, or is "".
func (c *Checker) Errorf(pos syntax.Position, hint, format string, args ...any) {
	c.Diags = append(c.Diags, &diag.Diagnostic{Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint, Line: c.Req.Source(pos)})
}

// pointAt makes the last diagnostic of a list point at a second place, if that is known.
func (c *Checker) pointAt(list diag.List, pos syntax.Position, format string, args ...any) {
	if d := list[len(list)-1]; pos.IsValid() && pos != d.Pos {
		d.Also = diag.Place{Pos: pos, Label: fmt.Sprintf(format, args...), Line: c.Req.Source(pos)}
	}
}

// warnf reports code that the kernel accepts but that is most likely a mistake.
func (c *Checker) warnf(pos syntax.Position, hint, format string, args ...any) {
	c.warnings = append(c.warnings, &diag.Diagnostic{Severity: diag.Warning, Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint, Line: c.Req.Source(pos)})
}

// Bad reports an error and returns an expression of unknown type, which causes no follow-up errors.
func (c *Checker) Bad(pos syntax.Position, hint, format string, args ...any) tree.Expr {
	c.Errorf(pos, hint, format, args...)
	return tree.Invalid(pos)
}

// badNUL reports a constant with a string that ends in a NUL.
func (c *Checker) badNUL(pos syntax.Position, v any) tree.Expr {
	return c.Bad(pos, `bytes keep trailing NULs: b"..."`, "a string in a handler cannot end in a NUL: %s", tree.ConstText(v))
}

// atCompileTime reports whether a function may use this argument where a constant is required.
func atCompileTime(x tree.Expr) bool {
	switch x := x.(type) {
	case *tree.ConstExpr:
		return x.T.Kind != types.Invalid
	case *tree.StaticExpr:
		return true
	}
	return false
}

// local returns the variable that an identifier refers to, or nil for a name from outside the
// function.
func (c *Checker) local(id *syntax.Ident) *tree.Local {
	b, ok := id.Binding.(*resolve.Binding)
	if !ok || b.Scope != resolve.Local && b.Scope != resolve.Cell {
		return nil
	}
	v := c.frame.locals[b]
	if v == nil {
		v = &tree.Local{Name: id.Name, T: types.TInvalid}
		c.frame.locals[b] = v
	}
	return v
}

func unparen(x syntax.Expr) syntax.Expr {
	for {
		p, ok := x.(*syntax.ParenExpr)
		if !ok {
			return x
		}
		x = p.X
	}
}

// unpacks reports whether a target takes a value apart.
func unpacks(target syntax.Expr) bool {
	switch unparen(target).(type) {
	case *syntax.TupleExpr, *syntax.ListExpr:
		return true
	}
	return false
}

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
