package check

import (
	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func (c *Checker) block(stmts []syntax.Stmt) []tree.Stmt {
	var out []tree.Stmt
	for _, s := range stmts {
		if c.flow.dead {
			break // unreachable code is not checked
		}
		out = append(out, c.stmt(s)...)
	}
	return out
}

func (c *Checker) stmt(s syntax.Stmt) []tree.Stmt {
	pos, _ := s.Span()
	n := tree.StmtAt(pos)
	switch s := s.(type) {
	case *syntax.ExprStmt:
		if lit, ok := s.X.(*syntax.Literal); ok && lit.Token == syntax.STRING {
			return nil // a docstring
		}
		x := c.expr(s.X)
		if o, ok := x.(*chosenExpr); ok {
			x, _ = o.ordinal() // which may be missing
		}
		if x.Type().IsText() {
			c.warnf(x.Position(), "print it: print(x)", "the text is not used")
		}
		return []tree.Stmt{&tree.ExprStmt{StmtNode: n, X: x}}
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
		return []tree.Stmt{&tree.BranchStmt{StmtNode: n, Tok: s.Token}}
	case *syntax.DefStmt:
		c.Errorf(s.Def, "define it outside of the handler; the handler can still call it", "a function cannot be defined inside a handler")
	default:
		c.Errorf(pos, "", "this statement is not supported in a handler")
	}
	return nil
}

func (c *Checker) assign(s *syntax.AssignStmt) []tree.Stmt {
	c.noteRead(s)
	c.warnRace(s)
	id, ok := unparen(s.LHS).(*syntax.Ident)
	if unpacks(s.LHS) {
		if l, isList := unparen(s.RHS).(*syntax.ListExpr); isList {
			return c.bind(s.LHS, c.sequence(l))
		}
	}
	if !ok {
		return c.bind(s.LHS, c.held(s.RHS))
	}
	if _, ok := unparen(s.RHS).(*syntax.TupleExpr); ok {
		return c.bind(id, c.held(s.RHS))
	}
	x, yes, no := c.valueFacts(s.RHS)
	out := c.bind(id, c.AddressOf(x))
	if v := c.optional(id); v != nil && !yes.about(v) && !no.about(v) {
		c.flow.when[v] = implied{yes, no}
	}
	return out
}

// table returns the table that is indexed, or reports what is wrong and returns nil.
func (c *Checker) table(idx *syntax.IndexExpr, verb string) *tree.Map {
	recv := c.expr(idx.X)
	st, ok := recv.(*tree.StaticExpr)
	if ok {
		if m, ok := st.Entity.(*tree.Map); ok {
			if m.Agg == nil {
				return m
			}
			c.Errorf(idx.Lbrack, "write "+m.Name+".add(value, by=key)", "a handler cannot %s an element of %s %q", verb, m.Kind(), m.Name)
			return nil
		}
	}
	switch recv.Type().Kind {
	case types.Invalid:
	case types.List, types.Dict, types.Set:
		c.Errorf(idx.Lbrack, "use a table(), which kernel and script share", "%s is constant in a handler: it cannot %s it", recv.Type().WithArticle(), verb)
	default:
		c.Errorf(idx.Lbrack, "only elements of a table() can be assigned", "a handler cannot %s an element of %s", verb, recv.Type().WithArticle())
	}
	return nil
}

// bind assigns x to a target: a local, or several that unpack a tuple.
func (c *Checker) bind(target syntax.Expr, x tree.Expr) []tree.Stmt {
	switch t := unparen(target).(type) {
	case *syntax.Ident:
		v := c.local(t)
		if v == nil {
			c.Errorf(t.NamePos, "", "%s is not a local of the handler", t.Name)
			return nil
		}
		o, isChosen := x.(*chosenExpr)
		switch k := x.Type(); {
		case k.Kind == types.Invalid:
			c.flow.assigned[v] = true
			return nil
		case isChosen:
			return c.bindChosen(v, o)
		case c.frame.writes[t.Binding.(*resolve.Binding)] == 1 && tree.IsConst(x) && !k.Storable():
			v.Static = x // a named constant collection, or a struct or a tuple of some
			c.flow.assigned[v] = true
			return nil
		case !k.Storable():
			hint := StoreHint(x)
			if k.Kind == types.List || k.Kind == types.Dict || k.Kind == types.Set || hint == "" {
				hint = "use it where it is needed, or name it outside of the handler"
			}
			c.Errorf(t.NamePos, hint, "%s cannot be assigned to a local variable", k.WithArticle())
			c.flow.assigned[v] = true // one error is enough
			return nil
		}
		c.grow(v, x.Type(), t.NamePos)
		c.flow.assigned[v] = true
		c.flow.forget(v)
		if c.frame.chosen[v] {
			c.flow.chosen[v] = nil
		}
		if k := x.Type().Kind; k != types.Opt && k != types.None {
			c.flow.known[fact{v: v}] = true
		}
		if t := x.Type(); t.Kind == types.Int && t.NonNeg {
			c.flow.known[fact{v: v, nonNeg: true}] = true
		}
		return []tree.Stmt{&tree.AssignStmt{StmtNode: tree.StmtAt(t.NamePos), Local: v, X: tree.Convert(x, v.T)}}
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
		return []tree.Stmt{&tree.SetStmt{StmtNode: tree.StmtAt(t.Lbrack), Map: m, Key: c.useKey(m, key), Val: c.useVal(m, x)}}
	}
	c.notAssignable(target)
	return nil
}

// notAssignable reports an assignment to something that is not a name or an element of a table.
func (c *Checker) notAssignable(target syntax.Expr) {
	pos, _ := target.Span()
	if dot, ok := unparen(target).(*syntax.DotExpr); ok {
		if t := c.expr(dot.X).Type(); t.Kind == types.Invalid {
			return
		} else if t.IsStruct() || t.Kind == types.Opt && t.Elem.IsStruct() {
			c.Errorf(pos, "make a new one, with the fields that stay: t[k] = struct(a=1, b=v.b)", "a struct cannot be changed")
			return
		}
	}
	c.Errorf(pos, "assign to a name, to several, or to an element of a table", "a handler cannot assign to this")
}

func (c *Checker) unpack(targets []syntax.Expr, at syntax.Expr, x tree.Expr) []tree.Stmt {
	pos, _ := at.Span()
	if out, ok := c.unpackConst(targets, at, x); ok {
		return out
	}
	if x.Type().Kind == types.Invalid {
		for _, t := range targets {
			c.bind(t, x)
		}
		return nil
	}
	switch n := len(x.Type().Elems); {
	case x.Type().Kind != types.Tuple:
		c.Errorf(pos, UsageHint(x.Type()), "%s cannot be unpacked into %d names", x.Type().WithArticle(), len(targets))
		return c.unpack(targets, at, tree.Invalid(pos))
	case n != len(targets):
		c.Errorf(pos, "write as many names as it has elements", "a tuple of %d cannot be unpacked into %d names", n, len(targets))
		return c.unpack(targets, at, tree.Invalid(pos))
	}
	// Evaluate the whole right side first: a, b = b, a.
	tmp := &tree.Local{Name: "tuple", T: x.Type()}
	out := []tree.Stmt{&tree.AssignStmt{StmtNode: tree.StmtAt(pos), Local: tmp, X: x}}
	for i, t := range targets {
		n := tree.At(x.Type().Elems[i], pos)
		out = append(out, c.bind(t, &tree.ElemExpr{Node: n, X: &tree.VarExpr{Node: tree.At(x.Type(), pos), Local: tmp}, I: i})...)
	}
	return out
}

// unpackConst binds the elements of a constant list, or of a list or tuple that the handler
// chooses. It returns false for other values.
func (c *Checker) unpackConst(targets []syntax.Expr, at syntax.Expr, x tree.Expr) ([]tree.Stmt, bool) {
	pos, _ := at.Span()
	var out []tree.Stmt
	var elem func(i int64) tree.Expr
	switch x := x.(type) {
	case *chosenExpr:
		for _, v := range x.vals {
			if n, ok := tree.ConstLen(v); !ok || n != len(targets) || x.T.Kind == types.Dict || x.T.Kind == types.Set {
				return nil, false
			}
		}
		held, assign := c.hold(x)
		out = assign
		elem = func(i int64) tree.Expr { return c.chosenIndex(pos, held, tree.IntConst(i, pos), nil) }
	case *tree.ConstExpr:
		list, ok := x.Value.(tree.List)
		if !ok || len(list) != len(targets) {
			return nil, false
		}
		elem = func(i int64) tree.Expr { return c.elem(pos, x, i) }
	default:
		return nil, false
	}
	for i, t := range targets {
		out = append(out, c.bind(t, elem(int64(i)))...)
	}
	return out, true
}

var augmentOps = map[syntax.Token]syntax.Token{syntax.PLUS_EQ: syntax.PLUS, syntax.MINUS_EQ: syntax.MINUS, syntax.STAR_EQ: syntax.STAR,
	syntax.SLASH_EQ: syntax.SLASH, syntax.SLASHSLASH_EQ: syntax.SLASHSLASH, syntax.PERCENT_EQ: syntax.PERCENT, syntax.AMP_EQ: syntax.AMP,
	syntax.PIPE_EQ: syntax.PIPE, syntax.CIRCUMFLEX_EQ: syntax.CIRCUMFLEX, syntax.LTLT_EQ: syntax.LTLT, syntax.GTGT_EQ: syntax.GTGT}

func (c *Checker) augment(s *syntax.AssignStmt) []tree.Stmt {
	op := augmentOps[s.Op]
	if idx, ok := unparen(s.LHS).(*syntax.IndexExpr); ok {
		m := c.table(idx, "change")
		key, val := c.expr(idx.Y), c.expr(s.RHS)
		if m == nil {
			return nil
		}
		if op != syntax.PLUS && op != syntax.MINUS {
			c.Errorf(s.OpPos, "write t[k] = t[k] "+op.String()+" x, which is not atomic", "only += and -= change an element of a table in place")
			return nil
		}
		key = c.useKey(m, key)
		val = c.WantInt(val, "the right side of "+s.Op.String())
		if val.Type().Kind == types.Invalid || c.addTo(m, val, op == syntax.MINUS, s.Op.String(), s.OpPos) {
			return nil
		}
		if op == syntax.MINUS {
			val = c.unary(s.OpPos, syntax.MINUS, val)
		}
		return []tree.Stmt{&tree.AugmentStmt{StmtNode: tree.StmtAt(idx.Lbrack), Map: m, Key: key, Val: val}}
	}
	id, ok := unparen(s.LHS).(*syntax.Ident)
	if !ok {
		c.notAssignable(s.LHS)
		return nil
	}
	x := c.expr(id)
	y := c.expr(s.RHS)
	z := c.binary(s.OpPos, op, x, y)
	if b, ok := z.(*tree.BinaryExpr); ok && x.Type().Kind == types.Uint && (op == syntax.MINUS && tree.NeverNegative(y) || op == syntax.AMP) {
		// n -= 1 counts down: n stays unsigned, and wraps below 0. n &= n-1 is at most n.
		b.T = x.Type()
	}
	return c.bind(id, c.note(s.OpPos, z))
}

func (c *Checker) ifStmt(s *syntax.IfStmt) []tree.Stmt {
	cond, yes, no := c.condition(s.Cond)
	if truth, known := tree.KnownTruth(cond); known && truth {
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
	return []tree.Stmt{&tree.IfStmt{StmtNode: tree.StmtAt(s.If), Cond: cond, True: t, False: f}}
}

func (c *Checker) returnStmt(s *syntax.ReturnStmt) []tree.Stmt {
	var x tree.Expr = &tree.ConstExpr{Node: tree.At(types.TNone, s.Return)}
	if s.Result != nil {
		x = c.held(s.Result)
	}
	defer func() { c.flow.dead = true }()
	f := c.frame
	if f.up == nil && !x.Type().Storable() && x.Type().Kind != types.Invalid {
		hint := ""
		if x.Type().Kind == types.List {
			hint = "return a tuple: (a, b)"
		}
		c.Errorf(x.Position(), hint, "%s cannot be returned", x.Type().WithArticle())
		return nil
	}
	if x.Type().Kind == types.Invalid {
		return nil
	}
	if !x.Type().Storable() {
		c.Errorf(x.Position(), "return one of its elements, or use it by its name where it is needed", "%s cannot be returned from a function that a handler calls", x.Type().WithArticle())
		return nil
	}
	c.returns(x.Type(), s.Return)
	return []tree.Stmt{&tree.ReturnStmt{StmtNode: tree.StmtAt(s.Return), X: tree.Convert(x, f.ret), Call: f.call}}
}
