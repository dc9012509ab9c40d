package check

import (
	"fmt"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
)

// A handler that reads an element of a table, adds to it and stores the result loses what another
// CPU adds in between. The checker warns about such a store, and suggests add(), which is atomic.

// A tableRead is the syntax of t[k] or t.get(k, ...).
type tableRead struct {
	table, key syntax.Expr
	at         syntax.Position
}

// readOf returns the table read that an expression is, and whether it is one.
func readOf(x syntax.Expr) (tableRead, bool) {
	at, _ := x.Span()
	switch x := unparen(x).(type) {
	case *syntax.IndexExpr:
		return tableRead{x.X, x.Y, at}, true
	case *syntax.CallExpr:
		if dot, ok := unparen(x.Fn).(*syntax.DotExpr); ok && dot.Name.Name == "get" && len(x.Args) > 0 {
			return tableRead{dot.X, x.Args[0], at}, true
		}
	}
	return tableRead{}, false
}

// noteRead records the table element that a local was read from.
func (c *Checker) noteRead(s *syntax.AssignStmt) {
	id, ok := unparen(s.LHS).(*syntax.Ident)
	if !ok {
		return
	}
	b, _ := id.Binding.(*resolve.Binding)
	if r, ok := readOf(s.RHS); ok && b != nil {
		if c.frame.reads == nil {
			c.frame.reads = map[*resolve.Binding]tableRead{}
		}
		c.frame.reads[b] = r
	}
}

// warnRace warns about t[k] = t[k] + n.
func (c *Checker) warnRace(s *syntax.AssignStmt) {
	to, ok := unparen(s.LHS).(*syntax.IndexExpr)
	if !ok || ownElement(to.Y) {
		return
	}
	op, ok := unparen(s.RHS).(*syntax.BinaryExpr)
	if !ok || op.Op != syntax.PLUS && op.Op != syntax.MINUS {
		return
	}
	other := op.Y
	read, ok := c.reads(op.X, to)
	if !ok {
		other = op.X
		if read, ok = c.reads(op.Y, to); !ok || op.Op == syntax.MINUS {
			return
		}
	}
	recv, ok := c.quiet(to.X).(*tree.StaticExpr)
	if !ok {
		return
	}
	m, ok := recv.Entity.(*tree.Map)
	if !ok || m.Agg != nil {
		return
	}
	if t := c.typing(m); t.val.t != nil && !t.val.t.IsInt() {
		return
	}
	name, key, n := exprText(to.X), exprText(to.Y), exprText(other)
	hint := fmt.Sprintf("write %s.add(%s, by=%s), which adds in one step", name, n, key)
	switch {
	case op.Op == syntax.MINUS:
		hint = fmt.Sprintf("write %s[%s] -= %s, which subtracts in one step", name, key, n)
	case n == "1":
		hint = fmt.Sprintf("write %s.add(by=%s), which adds in one step", name, key)
	}
	pos, _ := s.LHS.Span()
	c.warnf(pos, hint, "%s[%s] is read and stored in two steps: an update by another CPU in between is lost", name, key)
	if read.at.Line != pos.Line {
		c.pointAt(c.warnings, read.at, "read here")
	}
}

// reads returns the read that x is of the element that is stored to, directly or through a local,
// and whether it is one.
func (c *Checker) reads(x syntax.Expr, to *syntax.IndexExpr) (tableRead, bool) {
	r, ok := readOf(x)
	if id, isName := unparen(x).(*syntax.Ident); isName {
		b, _ := id.Binding.(*resolve.Binding)
		r, ok = c.frame.reads[b]
	}
	return r, ok && exprText(r.table) == exprText(to.X) && exprText(r.key) == exprText(to.Y)
}

// ownElement reports whether a key names the running thread or CPU, so that no other CPU uses the
// element.
func ownElement(key syntax.Expr) bool {
	own := false
	syntax.Walk(key, func(n syntax.Node) bool {
		if dot, ok := n.(*syntax.DotExpr); ok && (dot.Name.Name == "tid" || dot.Name.Name == "cpu") {
			own = true
		}
		return true
	})
	return own
}

// exprText returns an expression as written in a script. It returns "..." for syntax that is
// unusual in keys and numbers.
func exprText(x syntax.Expr) string {
	list := func(xs []syntax.Expr) string {
		var out []string
		for _, x := range xs {
			out = append(out, exprText(x))
		}
		return strings.Join(out, ", ")
	}
	switch x := x.(type) {
	case *syntax.Ident:
		return x.Name
	case *syntax.Literal:
		return x.Raw
	case *syntax.ParenExpr:
		if _, ok := x.X.(*syntax.TupleExpr); ok {
			return exprText(x.X)
		}
		return "(" + exprText(x.X) + ")"
	case *syntax.TupleExpr:
		return "(" + list(x.List) + ")"
	case *syntax.DotExpr:
		return exprText(x.X) + "." + x.Name.Name
	case *syntax.IndexExpr:
		return exprText(x.X) + "[" + exprText(x.Y) + "]"
	case *syntax.CallExpr:
		return exprText(x.Fn) + "(" + list(x.Args) + ")"
	case *syntax.UnaryExpr:
		return x.Op.String() + exprText(x.X)
	case *syntax.BinaryExpr:
		return exprText(x.X) + " " + x.Op.String() + " " + exprText(x.Y)
	}
	return "..."
}

// quiet checks an expression again without reporting anything.
func (c *Checker) quiet(x syntax.Expr) tree.Expr {
	n, w := len(c.Diags), len(c.warnings)
	defer func() { c.Diags, c.warnings = c.Diags[:n], c.warnings[:w] }()
	return c.expr(x)
}
