package compiler

import (
	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func (c *checker) block(stmts []syntax.Stmt) []stmt {
	var out []stmt
	for _, s := range stmts {
		if c.flow.dead {
			break // unreachable code is not checked
		}
		out = append(out, c.stmt(s)...)
	}
	return out
}

func (c *checker) stmt(s syntax.Stmt) []stmt {
	pos, _ := s.Span()
	n := stmtNode{pos}
	switch s := s.(type) {
	case *syntax.ExprStmt:
		if lit, ok := s.X.(*syntax.Literal); ok && lit.Token == syntax.STRING {
			return nil // a docstring
		}
		return []stmt{&sExpr{n, c.expr(s.X)}}
	case *syntax.AssignStmt:
		if s.Op == syntax.EQ {
			return c.assign(s)
		}
		return c.augment(s)
	case *syntax.IfStmt:
		return c.ifStmt(s)
	case *syntax.ForStmt:
		return c.forStmt(s)
	case *syntax.WhileStmt:
		return c.whileStmt(s)
	case *syntax.ReturnStmt:
		return c.returnStmt(s)
	case *syntax.BranchStmt:
		switch s.Token {
		case syntax.PASS:
			return nil
		}
		if top := len(c.loops) - 1; top >= 0 {
			to := &c.loops[top].cont
			if s.Token == syntax.BREAK {
				to = &c.loops[top].brk
			}
			*to = joinFlows(*to, c.flow.clone())
		}
		c.flow.dead = true
		return []stmt{&sBranch{n, s.Token}}
	case *syntax.DefStmt:
		c.errorf(s.Def, "define it outside of the handler; the handler can still call it", "a function cannot be defined inside a handler")
	default:
		c.errorf(pos, "", "this statement is not supported in a handler")
	}
	return nil
}

func (c *checker) assign(s *syntax.AssignStmt) []stmt {
	c.noteRead(s)
	c.warnRace(s)
	id, ok := unparen(s.LHS).(*syntax.Ident)
	if l, isList := unparen(s.RHS).(*syntax.ListExpr); isList && !ok {
		return c.bind(s.LHS, c.sequence(l)) // unpacked immediately
	}
	if !ok {
		return c.bind(s.LHS, c.held(s.RHS))
	}
	if _, ok := unparen(s.RHS).(*syntax.TupleExpr); ok {
		return c.bind(id, c.held(s.RHS))
	}
	x, yes, no := c.valueFacts(s.RHS)
	out := c.bind(id, c.addressOf(x))
	if v := c.optional(id); v != nil && !yes.about(v) && !no.about(v) {
		c.flow.when[v] = implied{yes, no}
	}
	return out
}

// table returns the table that is indexed, or reports what is wrong and returns nil.
func (c *checker) table(idx *syntax.IndexExpr, verb string) *Map {
	recv := c.expr(idx.X)
	st, ok := recv.(*eStatic)
	if ok {
		if m, ok := st.ent.(*Map); ok {
			if m.Agg == nil {
				return m
			}
			c.errorf(idx.Lbrack, "write "+m.Name+".add(value, by=key)", "a handler cannot %s an element of %s %q", verb, m.Kind(), m.Name)
			return nil
		}
	}
	switch recv.typ().Kind {
	case types.Invalid:
	case types.List, types.Dict, types.Set:
		c.errorf(idx.Lbrack, "use a table(), which kernel and script share", "%s is constant in a handler: it cannot %s it", recv.typ().WithArticle(), verb)
	default:
		c.errorf(idx.Lbrack, "only elements of a table() can be assigned", "a handler cannot %s an element of %s", verb, recv.typ().WithArticle())
	}
	return nil
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

// bind assigns x to a target: a local, or several that unpack a tuple.
func (c *checker) bind(target syntax.Expr, x expr) []stmt {
	switch t := unparen(target).(type) {
	case *syntax.Ident:
		v := c.local(t)
		if v == nil {
			c.errorf(t.NamePos, "", "%s is not a local of the handler", t.Name)
			return nil
		}
		switch k := x.typ(); {
		case k.Kind == types.Invalid:
			c.flow.assigned[v] = true
			return nil
		case c.frame.writes[t.Binding.(*resolve.Binding)] == 1 && (k.Kind == types.List || k.Kind == types.Dict || k.Kind == types.Set):
			v.static = x // a named constant collection
			c.flow.assigned[v] = true
			return nil
		case !k.Storable():
			hint := storeHint(x)
			if k.Kind == types.List || k.Kind == types.Dict || k.Kind == types.Set || hint == "" {
				hint = "use it where it is needed, or name it outside of the handler"
			}
			c.errorf(t.NamePos, hint, "%s cannot be assigned to a local variable", k.WithArticle())
			c.flow.assigned[v] = true // one error is enough
			return nil
		}
		c.grow(v, x.typ(), t.NamePos)
		c.flow.assigned[v] = true
		c.flow.forget(v)
		if k := x.typ().Kind; k != types.Opt && k != types.None {
			c.flow.known[fact{v: v}] = true
		}
		if t := x.typ(); t.Kind == types.Int && t.NonNeg {
			c.flow.known[fact{v: v, nonNeg: true}] = true
		}
		return []stmt{&sAssign{stmtNode{t.NamePos}, v, convert(x, v.t)}}
	case *syntax.TupleExpr:
		return c.unpack(t.List, target, x)
	case *syntax.ListExpr:
		return c.unpack(t.List, target, x)
	case *syntax.IndexExpr:
		m := c.table(t, "assign to")
		key := c.expr(t.Y)
		if m == nil {
			return nil
		}
		return []stmt{&sSet{stmtNode{t.Lbrack}, m, c.useKey(m, key), c.useVal(m, x)}}
	}
	pos, _ := target.Span()
	c.errorf(pos, "assign to a name, to several, or to an element of a table", "a handler cannot assign to this")
	return nil
}

func (c *checker) unpack(targets []syntax.Expr, at syntax.Expr, x expr) []stmt {
	pos, _ := at.Span()
	if x.typ().Kind == types.Invalid {
		for _, t := range targets {
			c.bind(t, x)
		}
		return nil
	}
	switch n := len(x.typ().Elems); {
	case x.typ().Kind != types.Tuple:
		c.errorf(pos, usage(x.typ()), "%s cannot be unpacked into %d names", x.typ().WithArticle(), len(targets))
		return c.unpack(targets, at, invalid(pos))
	case n != len(targets):
		c.errorf(pos, "write as many names as it has elements", "a tuple of %d cannot be unpacked into %d names", n, len(targets))
		return c.unpack(targets, at, invalid(pos))
	}
	// Evaluate the whole right side first: a, b = b, a.
	tmp := &local{name: "tuple", t: x.typ()}
	out := []stmt{&sAssign{stmtNode{pos}, tmp, x}}
	for i, t := range targets {
		n := node{x.typ().Elems[i], pos}
		out = append(out, c.bind(t, &eElem{n, &eVar{node{x.typ(), pos}, tmp}, i})...)
	}
	return out
}

var augmentOps = map[syntax.Token]syntax.Token{syntax.PLUS_EQ: syntax.PLUS, syntax.MINUS_EQ: syntax.MINUS, syntax.STAR_EQ: syntax.STAR,
	syntax.SLASH_EQ: syntax.SLASH, syntax.SLASHSLASH_EQ: syntax.SLASHSLASH, syntax.PERCENT_EQ: syntax.PERCENT, syntax.AMP_EQ: syntax.AMP,
	syntax.PIPE_EQ: syntax.PIPE, syntax.CIRCUMFLEX_EQ: syntax.CIRCUMFLEX, syntax.LTLT_EQ: syntax.LTLT, syntax.GTGT_EQ: syntax.GTGT}

func (c *checker) augment(s *syntax.AssignStmt) []stmt {
	op := augmentOps[s.Op]
	if idx, ok := unparen(s.LHS).(*syntax.IndexExpr); ok {
		m := c.table(idx, "change")
		key, val := c.expr(idx.Y), c.expr(s.RHS)
		if m == nil {
			return nil
		}
		if op != syntax.PLUS && op != syntax.MINUS {
			c.errorf(s.OpPos, "write t[k] = t[k] "+op.String()+" x, which is not atomic", "only += and -= change an element of a table in place")
			return nil
		}
		key = c.useKey(m, key)
		val = c.wantInt(val, "the right side of "+s.Op.String())
		if val.typ().Kind == types.Invalid || c.addTo(m, val, op == syntax.MINUS, s.Op.String(), s.OpPos) {
			return nil
		}
		if op == syntax.MINUS {
			val = c.unary(s.OpPos, syntax.MINUS, val)
		}
		return []stmt{&sAugment{stmtNode{idx.Lbrack}, m, key, val}}
	}
	id, ok := unparen(s.LHS).(*syntax.Ident)
	if !ok {
		c.errorf(s.OpPos, "", "a handler cannot assign to this")
		return nil
	}
	x := c.expr(id)
	y := c.expr(s.RHS)
	z := c.binary(s.OpPos, op, x, y)
	if b, ok := z.(*eBinary); ok && x.typ().Kind == types.Uint && (op == syntax.MINUS && neverNegative(y) || op == syntax.AMP) {
		// n -= 1 counts down: n stays unsigned, and wraps below 0. n &= n-1 is at most n.
		b.t = x.typ()
	}
	return c.bind(id, c.note(s.OpPos, z))
}

func (c *checker) ifStmt(s *syntax.IfStmt) []stmt {
	cond, yes, no := c.condition(s.Cond)
	if truth, known := knownTruth(cond); known && truth {
		return c.block(s.True)
	} else if known {
		return c.block(s.False)
	}
	before := c.flow
	c.flow = before.with(yes)
	t := c.block(s.True)
	after := c.flow
	c.flow = before.with(no)
	f := c.block(s.False)
	c.flow = joinFlows(after, c.flow)
	return []stmt{&sIf{stmtNode{s.If}, cond, t, f}}
}

func (c *checker) returnStmt(s *syntax.ReturnStmt) []stmt {
	var x expr = &eConst{node: node{types.TNone, s.Return}}
	if s.Result != nil {
		x = c.held(s.Result)
	}
	defer func() { c.flow.dead = true }()
	f := c.frame
	if f.up == nil && !x.typ().Storable() && x.typ().Kind != types.Invalid {
		hint := ""
		if x.typ().Kind == types.List {
			hint = "return a tuple: (a, b)"
		}
		c.errorf(x.position(), hint, "%s cannot be returned", x.typ().WithArticle())
		return nil
	}
	if x.typ().Kind == types.Invalid {
		return nil
	}
	if !x.typ().Storable() {
		c.errorf(x.position(), "", "%s cannot be returned from a function that a handler calls", x.typ().WithArticle())
		return nil
	}
	c.returns(x.typ(), s.Return)
	return []stmt{&sReturn{stmtNode{s.Return}, convert(x, f.ret), f.call}}
}
