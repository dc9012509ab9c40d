package hostrun

import (
	"fmt"
	"reflect"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// valid reports whether the outer names still have the values for which the copy was made.
func (c *funcCopy) valid() bool {
	for _, n := range c.outer {
		if !sameValue(n.lookup(), n.was) {
			return false
		}
	}
	return true
}

// sameValue reports whether two values are the same one: tuples by their storage, others by Go's
// ==.
func sameValue(a, b starlark.Value) bool {
	if x, ok := a.(starlark.Tuple); ok {
		y, ok := b.(starlark.Tuple)
		return ok && len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0])
	}
	return a != nil && reflect.TypeOf(a).Comparable() && a == b
}

// call calls the copy.
func (c *funcCopy) call(t *starlark.Thread, args starlark.Tuple) (starlark.Value, error) {
	env := make(starlark.StringDict, len(c.outer))
	for name, n := range c.outer {
		env[name] = n.was
	}
	globals, err := c.prog.Init(t, env)
	if err != nil {
		return nil, err
	}
	return starlark.Call(t, globals[c.name], args, nil)
}

// copyFunc copies a function. Its types are those of req, or of the event if req is nil. If the
// function cannot be copied, the result has no prog.
func (h *Handlers) copyFunc(fn *starlark.Function, req *compiler.Request, e *event) *funcCopy {
	out := &funcCopy{outer: map[string]*outerName{}}
	c := &copier{env: &h.env, file: &syntax.File{Path: fn.Position().Filename(), Options: source.Options}, copy: out, made: map[copyKey]string{}}
	f, err := h.env.Function(fn)
	if err != nil {
		return out
	}
	if req == nil {
		req = h.env.EventRequest(f, e.fieldTypes())
	}
	r := *req
	r.Handler, r.Filter, r.PIDFilter = f, nil, nil
	a, err := compiler.CheckArithmetic(&r)
	if err != nil {
		a = nil // the error shows when the operation is computed
	}
	name, err := c.function(fn, a)
	if err != nil {
		return out
	}
	prog, err := starlark.FileProgram(c.file, func(name string) bool { return out.outer[name] != nil })
	if err != nil {
		return out
	}
	out.name, out.prog = name, prog
	return out
}

// A copier copies functions into a new file.
type copier struct {
	env  *Env
	file *syntax.File
	copy *funcCopy
	made map[copyKey]string // names of the copies
	// The fields below belong to the function that is being copied.
	fn    *starlark.Function
	tree  *resolve.Function
	n     int
	arith *compiler.Arithmetic // nil: types are unknown
	err   error
}

type copyKey struct {
	fn    *starlark.Function
	arith *compiler.Arithmetic
}

// function copies fn, unless it has been copied with these types already, and returns the name of
// the copy.
func (c *copier) function(fn *starlark.Function, a *compiler.Arithmetic) (string, error) {
	if name, ok := c.made[copyKey{fn, a}]; ok {
		return name, nil
	}
	tree, err := c.env.Sources.Function(fn)
	if err != nil {
		return "", err
	}
	in := *c
	in.fn, in.tree, in.arith, in.n, in.err = fn, tree, a, len(c.made), nil
	name := fmt.Sprintf("%s@%d", strings.ReplaceAll(fn.Name(), "lambda", "function"), in.n)
	c.made[copyKey{fn, a}] = name // before the body, which may be recursive
	def := &syntax.DefStmt{Def: tree.Pos, Name: &syntax.Ident{NamePos: tree.Pos, Name: name}}
	for i, p := range tree.Params {
		switch p := p.(type) {
		case *syntax.Ident:
			def.Params = append(def.Params, in.local(p))
		case *syntax.BinaryExpr: // name=default
			id, ok := p.X.(*syntax.Ident)
			if !ok {
				return "", errNotCopied
			}
			v := fn.ParamDefault(i)
			def.Params = append(def.Params, &syntax.BinaryExpr{X: in.local(id), OpPos: p.OpPos, Op: p.Op,
				Y: &syntax.Ident{NamePos: p.OpPos, Name: in.outer(id.Name+"=", func() starlark.Value { return v })}})
		default:
			return "", errNotCopied
		}
	}
	def.Body = in.block(tree.Body)
	if in.err != nil {
		delete(c.made, copyKey{fn, a})
		return "", in.err
	}
	c.file.Stmts = append(c.file.Stmts, def)
	return name, nil
}

// errNotCopied is returned for code that no handler can contain: nested functions, variable numbers
// of parameters.
var errNotCopied = fmt.Errorf("not copied")

// outer returns the name by which the copy refers to a value from outside the function.
func (c *copier) outer(name string, lookup func() starlark.Value) string {
	name = fmt.Sprintf("%s@%d", name, c.n)
	if c.copy.outer[name] == nil {
		c.copy.outer[name] = &outerName{lookup, lookup()}
	}
	return name
}

func (c *copier) local(id *syntax.Ident) *syntax.Ident {
	return &syntax.Ident{NamePos: id.NamePos, Name: id.Name}
}

// ident copies a use of a name. Functions of the script are copied too, with the types a.
func (c *copier) ident(id *syntax.Ident, a *compiler.Arithmetic) syntax.Expr {
	b, _ := id.Binding.(*resolve.Binding)
	if b != nil && (b.Scope == resolve.Local || b.Scope == resolve.Cell) {
		return c.local(id)
	}
	in := c.fn
	lookup := func() starlark.Value { return c.env.Value(in, id) }
	v := lookup()
	name := c.outer(id.Name, lookup)
	if fn, ok := v.(*starlark.Function); ok {
		if copied, err := c.function(fn, a); err == nil {
			name = copied
		}
	}
	if v == nil {
		c.err = errNotCopied // running the original reports the error
	}
	return &syntax.Ident{NamePos: id.NamePos, Name: name}
}

// op returns a call to the builtin that computes an operation with the types known for its
// position.
func (c *copier) op(pos syntax.Position, op syntax.Token, args ...syntax.Expr) syntax.Expr {
	w := byOperands
	if c.arith != nil {
		w = wrappingOf(c.arith.Results[pos])
	}
	f := w.builtin(op)
	name := c.outer(f.Name(), func() starlark.Value { return nil })
	c.copy.outer[name] = &outerName{func() starlark.Value { return f }, f}
	return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: pos, Name: name}, Lparen: pos, Args: args, Rparen: pos}
}

// text wraps x, which indexes or slices a value, in a call that trims trailing NULs if the result
// is a string: in a handler strings have none.
func (c *copier) text(pos syntax.Position, x syntax.Expr) syntax.Expr {
	if c.arith == nil || c.arith.Results[pos] == nil || c.arith.Results[pos].Kind != types.Str {
		return x
	}
	return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: pos, Name: c.outer("(trim)", func() starlark.Value { return trimNULs })}, Lparen: pos, Args: []syntax.Expr{x}, Rparen: pos}
}

var trimNULs = starlark.NewBuiltin("trim", func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	if s, ok := starlark.AsString(a[0]); ok {
		return starlark.String(strings.TrimRight(s, "\x00")), nil
	}
	return a[0], nil
})

// arithmetic is the set of operators whose results wrap.
var arithmetic = map[syntax.Token]bool{syntax.PLUS: true, syntax.MINUS: true, syntax.STAR: true, syntax.SLASHSLASH: true, syntax.PERCENT: true,
	syntax.AMP: true, syntax.PIPE: true, syntax.CIRCUMFLEX: true, syntax.LTLT: true, syntax.GTGT: true}

// augmented maps augmented assignments to their operators.
var augmented = map[syntax.Token]syntax.Token{syntax.PLUS_EQ: syntax.PLUS, syntax.MINUS_EQ: syntax.MINUS, syntax.STAR_EQ: syntax.STAR,
	syntax.SLASHSLASH_EQ: syntax.SLASHSLASH, syntax.PERCENT_EQ: syntax.PERCENT, syntax.AMP_EQ: syntax.AMP, syntax.PIPE_EQ: syntax.PIPE,
	syntax.CIRCUMFLEX_EQ: syntax.CIRCUMFLEX, syntax.LTLT_EQ: syntax.LTLT, syntax.GTGT_EQ: syntax.GTGT}

func (c *copier) block(stmts []syntax.Stmt) []syntax.Stmt {
	var out []syntax.Stmt
	for _, s := range stmts {
		out = append(out, c.stmt(s))
	}
	return out
}

func (c *copier) stmt(s syntax.Stmt) syntax.Stmt {
	switch s := s.(type) {
	case *syntax.AssignStmt:
		return c.assign(s)
	case *syntax.BranchStmt:
		return &syntax.BranchStmt{Token: s.Token, TokenPos: s.TokenPos}
	case *syntax.ExprStmt:
		return &syntax.ExprStmt{X: c.expr(s.X)}
	case *syntax.ForStmt:
		return &syntax.ForStmt{For: s.For, Vars: c.expr(s.Vars), X: c.expr(s.X), Body: c.block(s.Body)}
	case *syntax.WhileStmt:
		return &syntax.WhileStmt{While: s.While, Cond: c.expr(s.Cond), Body: c.block(s.Body)}
	case *syntax.IfStmt:
		return &syntax.IfStmt{If: s.If, Cond: c.expr(s.Cond), True: c.block(s.True), ElsePos: s.ElsePos, False: c.block(s.False)}
	case *syntax.ReturnStmt:
		return &syntax.ReturnStmt{Return: s.Return, Result: c.expr(s.Result)}
	}
	c.err = errNotCopied
	return s
}

func (c *copier) assign(s *syntax.AssignStmt) syntax.Stmt {
	op, wraps := augmented[s.Op]
	if !wraps {
		return &syntax.AssignStmt{OpPos: s.OpPos, Op: s.Op, LHS: c.expr(s.LHS), RHS: c.expr(s.RHS)}
	}
	lhs := s.LHS
	for {
		p, ok := lhs.(*syntax.ParenExpr)
		if !ok {
			break
		}
		lhs = p.X
	}
	switch x := lhs.(type) {
	case *syntax.Ident:
		return &syntax.AssignStmt{OpPos: s.OpPos, Op: syntax.EQ, LHS: c.expr(x), RHS: c.op(s.OpPos, op, c.expr(x), c.expr(s.RHS))}
	case *syntax.IndexExpr:
		return &syntax.ExprStmt{X: c.op(s.OpPos, op, c.element(s.OpPos, x), c.expr(s.RHS))}
	}
	c.err = errNotCopied
	return s
}

// element returns the element that an augmented assignment at pos changes.
func (c *copier) element(pos syntax.Position, x *syntax.IndexExpr) syntax.Expr {
	name := c.outer("(element)", func() starlark.Value { return elementOf })
	return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: pos, Name: name}, Lparen: pos, Args: []syntax.Expr{c.expr(x.X), c.expr(x.Y)}, Rparen: pos}
}

func (c *copier) exprs(xs []syntax.Expr) []syntax.Expr {
	var out []syntax.Expr
	for _, x := range xs {
		out = append(out, c.expr(x))
	}
	return out
}

func (c *copier) expr(x syntax.Expr) syntax.Expr {
	switch x := x.(type) {
	case nil:
		return nil
	case *syntax.BinaryExpr:
		if arithmetic[x.Op] && !c.constant(x.OpPos) {
			return c.op(x.OpPos, x.Op, c.expr(x.X), c.expr(x.Y))
		}
		return &syntax.BinaryExpr{X: c.expr(x.X), OpPos: x.OpPos, Op: x.Op, Y: c.expr(x.Y)}
	case *syntax.UnaryExpr:
		if x.Op == syntax.MINUS || x.Op == syntax.TILDE {
			return c.op(x.OpPos, x.Op, c.expr(x.X))
		}
		return &syntax.UnaryExpr{OpPos: x.OpPos, Op: x.Op, X: c.expr(x.X)}
	case *syntax.CallExpr:
		return c.call(x)
	case *syntax.Comprehension:
		return c.comprehension(x)
	case *syntax.CondExpr:
		return &syntax.CondExpr{If: x.If, Cond: c.expr(x.Cond), True: c.expr(x.True), ElsePos: x.ElsePos, False: c.expr(x.False)}
	case *syntax.DictExpr:
		return &syntax.DictExpr{Lbrace: x.Lbrace, List: c.exprs(x.List), Rbrace: x.Rbrace}
	case *syntax.DictEntry:
		return &syntax.DictEntry{Key: c.expr(x.Key), Colon: x.Colon, Value: c.expr(x.Value)}
	case *syntax.DotExpr:
		return &syntax.DotExpr{X: c.expr(x.X), Dot: x.Dot, NamePos: x.NamePos, Name: c.local(x.Name)}
	case *syntax.Ident:
		return c.ident(x, nil)
	case *syntax.IndexExpr:
		return c.text(x.Lbrack, &syntax.IndexExpr{X: c.expr(x.X), Lbrack: x.Lbrack, Y: c.expr(x.Y), Rbrack: x.Rbrack})
	case *syntax.SliceExpr:
		return c.text(x.Lbrack, &syntax.SliceExpr{X: c.expr(x.X), Lbrack: x.Lbrack, Lo: c.expr(x.Lo), Hi: c.expr(x.Hi), Step: c.expr(x.Step), Rbrack: x.Rbrack})
	case *syntax.ListExpr:
		return &syntax.ListExpr{Lbrack: x.Lbrack, List: c.exprs(x.List), Rbrack: x.Rbrack}
	case *syntax.Literal:
		l := *x
		return &l
	case *syntax.ParenExpr:
		return &syntax.ParenExpr{Lparen: x.Lparen, X: c.expr(x.X), Rparen: x.Rparen}
	case *syntax.TupleExpr:
		return &syntax.TupleExpr{Lparen: x.Lparen, List: c.exprs(x.List), Rparen: x.Rparen}
	}
	c.err = errNotCopied
	return x
}

func (c *copier) comprehension(x *syntax.Comprehension) syntax.Expr {
	out := &syntax.Comprehension{Curly: x.Curly, Lbrack: x.Lbrack, Rbrack: x.Rbrack}
	for _, cl := range x.Clauses {
		switch cl := cl.(type) {
		case *syntax.ForClause:
			out.Clauses = append(out.Clauses, &syntax.ForClause{For: cl.For, Vars: c.expr(cl.Vars), In: cl.In, X: c.expr(cl.X)})
		case *syntax.IfClause:
			out.Clauses = append(out.Clauses, &syntax.IfClause{If: cl.If, Cond: c.expr(cl.Cond)})
		}
	}
	out.Body = c.expr(x.Body)
	return out
}

// constant reports whether the result at a position is not a number but a string in memory, which
// is a concatenation of constants.
func (c *copier) constant(pos syntax.Position) bool {
	return c.arith != nil && c.arith.Results[pos] != nil && c.arith.Results[pos].InMemory()
}

func (c *copier) call(x *syntax.CallExpr) syntax.Expr {
	out := &syntax.CallExpr{Fn: nil, Lparen: x.Lparen, Rparen: x.Rparen}
	id, _ := x.Fn.(*syntax.Ident)
	if id != nil && c.arith != nil {
		out.Fn = c.ident(id, c.arith.Calls[x.Lparen])
	} else {
		out.Fn = c.expr(x.Fn)
	}
	for _, arg := range x.Args {
		switch a := arg.(type) {
		case *syntax.BinaryExpr:
			if name, ok := a.X.(*syntax.Ident); ok && a.Op == syntax.EQ {
				arg = &syntax.BinaryExpr{X: c.local(name), OpPos: a.OpPos, Op: a.Op, Y: c.expr(a.Y)}
				break
			}
			arg = c.expr(a)
		default:
			arg = c.expr(a)
		}
		out.Args = append(out.Args, arg)
	}
	if id != nil && id.Name == "abs" {
		return c.op(x.Lparen, 0, out)
	}
	return out
}
