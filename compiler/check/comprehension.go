package check

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A comprehension over constants is evaluated when the handler is compiled: it makes a list or a
// dict, as if that were written out.

// maxMade is the maximum number of elements that a comprehension visits.
const maxMade = maxSearch

// made has what a comprehension has made so far.
type made struct {
	elems  []tree.Expr // of a list
	dict   tree.Dict
	at     map[string]int // the indexes of the keys
	steps  int
	failed bool
}

// comprehension checks [body for x in list if cond] and {key: value for ...}.
func (c *Checker) comprehension(x *syntax.Comprehension, read bool) tree.Expr {
	m := &made{at: map[string]int{}}
	c.clauses(x, x.Clauses, m)
	switch {
	case m.failed:
		return tree.Invalid(x.Lbrack)
	case x.Curly:
		return &tree.ConstExpr{Node: tree.At(types.TDict, x.Lbrack), Value: m.dict}
	}
	return c.listOf(x.Lbrack, m.elems, read)
}

// clauses evaluates the clauses of a comprehension from the first one on, and its body.
func (c *Checker) clauses(x *syntax.Comprehension, clauses []syntax.Node, m *made) {
	if m.failed {
		return
	}
	if len(clauses) == 0 {
		c.make(x.Body, m)
		return
	}
	bad := func(pos syntax.Position, hint, format string, args ...any) {
		m.failed = true
		c.Errorf(pos, hint, format, args...)
	}
	switch cl := clauses[0].(type) {
	case *syntax.IfClause:
		cond, _, _ := c.condition(cl.Cond)
		truth, known := tree.KnownTruth(cond)
		switch {
		case cond.Type().Kind == types.Invalid:
			m.failed = true
		case !known:
			bad(cond.Position(), "write a for loop with if", "the condition of a comprehension in a handler must be a constant")
		case truth:
			c.clauses(x, clauses[1:], m)
		}
	case *syntax.ForClause:
		list, ok := c.visited(cl.X)
		if !ok {
			m.failed = true
			return
		}
		for _, v := range list {
			if m.steps++; m.steps > maxMade {
				bad(cl.For, "make the list outside of the handler", "a comprehension in a handler can visit at most %d elements", maxMade)
				return
			}
			if e := c.Constant(v, cl.For, "the element"); !c.bindConst(cl.Vars, e) {
				m.failed = true
			}
			if c.clauses(x, clauses[1:], m); m.failed {
				return
			}
		}
	}
}

// visited returns the constants that a clause of a comprehension visits.
func (c *Checker) visited(x syntax.Expr) ([]any, bool) {
	if call, ok := unparen(x).(*syntax.CallExpr); ok {
		if id, ok := call.Fn.(*syntax.Ident); ok && id.Name == "range" && c.local(id) == nil {
			return c.constRange(call)
		}
	}
	e := c.sequence(x)
	if e.Type().Kind == types.Invalid {
		return nil, false
	}
	if k, ok := e.(*tree.ConstExpr); ok {
		if list, ok := tree.ConstElems(k.Value); ok {
			return list, true
		}
	}
	c.Errorf(e.Position(), "write a for loop", "a comprehension in a handler can visit constants only, not %s", e.Type().WithArticle())
	return nil, false
}

// constRange returns the numbers of a range with constant bounds.
func (c *Checker) constRange(call *syntax.CallExpr) ([]any, bool) {
	var args []int64
	for _, a := range call.Args {
		e := c.WantInt(c.expr(a), "each argument of range()")
		n, ok := tree.ConstInt(e)
		if !ok || !n.IsInt64() {
			if e.Type().Kind != types.Invalid {
				c.Errorf(e.Position(), "write a for loop", "a comprehension in a handler can visit constants only")
			}
			return nil, false
		}
		args = append(args, n.Int64())
	}
	lo, hi, step, ok := c.rangeOf(call, args)
	if !ok {
		return nil, false
	}
	n := rangeLen(lo, hi, step)
	if n < 0 || n > maxMade {
		n = maxMade + 1 // the visit reports it
	}
	out := make([]any, n)
	for i := range out {
		out[i] = tree.IntConst(lo+int64(i)*step, call.Lparen).Value
	}
	return out, true
}

// bindConst makes the variables of a clause stand for a constant, and reports whether it could.
func (c *Checker) bindConst(target syntax.Expr, x tree.Expr) bool {
	if x.Type().Kind == types.Invalid {
		return false
	}
	var targets []syntax.Expr
	switch t := unparen(target).(type) {
	case *syntax.Ident:
		v := c.local(t)
		v.Static = x
		c.flow.assigned[v] = true
		return true
	case *syntax.TupleExpr:
		targets = t.List
	case *syntax.ListExpr:
		targets = t.List
	}
	pos, _ := target.Span()
	list, ok := tree.ConstElems(x.(*tree.ConstExpr).Value)
	if !ok || len(list) != len(targets) {
		c.Errorf(pos, "write as many names as it has elements", "%s cannot be unpacked into %d names", tree.ConstText(x.(*tree.ConstExpr).Value), len(targets))
		return false
	}
	for i, t := range targets {
		if !c.bindConst(t, c.Constant(list[i], pos, "the element")) {
			return false
		}
	}
	return true
}

// make evaluates the body of a comprehension.
func (c *Checker) make(body syntax.Expr, m *made) {
	entry, ok := body.(*syntax.DictEntry)
	if !ok {
		e := c.expr(body)
		m.failed = e.Type().Kind == types.Invalid
		m.elems = append(m.elems, e)
		return
	}
	k, v, ok := c.constEntry(entry)
	if !ok {
		m.failed = true
		return
	}
	text := tree.ConstRepr(k)
	if at, seen := m.at[text]; seen {
		m.dict.Vals[at] = v
		return
	}
	m.at[text] = len(m.dict.Keys)
	m.dict.Keys, m.dict.Vals = append(m.dict.Keys, k), append(m.dict.Vals, v)
}
