package compiler

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func (c *checker) block(stmts []syntax.Stmt) []stmt {
	var out []stmt
	for _, s := range stmts {
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
		if top := len(c.loops) - 1; s.Token == syntax.BREAK && top >= 0 {
			c.loops[top] = meet(c.loops[top], c.flow.clone())
		}
		c.flow.dead = true
		return []stmt{&sBranch{n, s.Token}}
	case *syntax.DefStmt:
		c.errorf(s.Def, "define it outside of the handler; it can be called from here all the same", "a function cannot be defined inside a handler")
	default:
		c.errorf(pos, "", "this statement is not supported in a handler")
	}
	return nil
}

func (c *checker) assign(s *syntax.AssignStmt) []stmt {
	if idx, ok := unparen(s.LHS).(*syntax.IndexExpr); ok {
		m := c.table(idx, "assign to")
		key, val := c.expr(idx.Y), c.expr(s.RHS)
		if m == nil {
			return nil
		}
		return []stmt{&sSet{stmtNode{idx.Lbrack}, m, c.useKey(m, key), c.useVal(m, val)}}
	}
	x := c.expr(s.RHS)
	return c.bind(s.LHS, x)
}

// table gives the table that is indexed, or reports what is wrong.
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
		c.errorf(idx.Lbrack, "use a table(), which kernel and script share", "a captured %s is constant in a handler: it cannot %s it", recv.typ(), verb)
	default:
		c.errorf(idx.Lbrack, "only elements of a table() can be assigned", "a handler cannot %s an element of a %s", verb, recv.typ())
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

// bind assigns x to a target: a local, or several that take a tuple apart.
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
		case !k.Storable():
			c.errorf(t.NamePos, "use it where it is wanted, or name it outside of the handler", "a %s cannot be held in a local", k)
			return nil
		}
		c.grow(v, x.typ(), t.NamePos)
		c.flow.assigned[v] = true
		delete(c.flow.notNone, v)
		if k := x.typ().Kind; k != types.Opt && k != types.None {
			c.flow.notNone[v] = true
		}
		return []stmt{&sAssign{stmtNode{t.NamePos}, v, c.convert(x, v.t)}}
	case *syntax.TupleExpr:
		return c.unpack(t.List, target, x)
	case *syntax.ListExpr:
		return c.unpack(t.List, target, x)
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
	if x.typ().Kind != types.Tuple {
		c.errorf(pos, "", "a %s cannot be taken apart into %d names", x.typ(), len(targets))
		return nil
	}
	if n := len(x.typ().Elems); n != len(targets) {
		c.errorf(pos, "", "a tuple of %d cannot be taken apart into %d names", n, len(targets))
		return nil
	}
	// all of the right side first: a, b = b, a
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
		if op == syntax.MINUS {
			val = c.unary(s.OpPos, syntax.MINUS, val)
		}
		if t := c.typing(m); t.val == nil {
			t.val = types.TInt
			c.mapsGrew = true
		} else if !t.val.IsInt() {
			c.errorf(s.OpPos, "", "table %q holds values of type %s: %s works on integers only", m.Name, t.val, s.Op)
			return nil
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
	return c.bind(id, c.binary(s.OpPos, op, x, y))
}

func (c *checker) ifStmt(s *syntax.IfStmt) []stmt {
	cond, yes, no := c.condition(s.Cond)
	before := c.flow
	c.flow = before.with(yes)
	t := c.block(s.True)
	after := c.flow
	c.flow = before.with(no)
	f := c.block(s.False)
	c.flow = meet(after, c.flow)
	return []stmt{&sIf{stmtNode{s.If}, cond, t, f}}
}

func (c *checker) returnStmt(s *syntax.ReturnStmt) []stmt {
	var x expr = &eConst{node: node{types.TNone, s.Return}}
	if s.Result != nil {
		x = c.expr(s.Result)
	}
	defer func() { c.flow.dead = true }()
	f := c.frame
	if f.up == nil && !x.typ().Storable() && x.typ().Kind != types.Invalid {
		c.errorf(x.position(), "", "a %s cannot be returned", x.typ())
		return nil
	}
	if x.typ().Kind == types.Invalid {
		return nil
	}
	if !x.typ().Storable() {
		c.errorf(x.position(), "", "a %s cannot be returned from a function that a handler calls", x.typ())
		return nil
	}
	c.returns(x.typ(), s.Return)
	return []stmt{&sReturn{stmtNode{s.Return}, c.convert(x, f.ret), f}}
}

func (c *checker) forStmt(s *syntax.ForStmt) []stmt {
	n := stmtNode{s.For}
	if call, ok := unparen(s.X).(*syntax.CallExpr); ok {
		if id, ok := call.Fn.(*syntax.Ident); ok && id.Name == "range" && c.local(id) == nil {
			return c.forRange(s, call)
		}
	}
	x := c.expr(s.X)
	k, ok := x.(*eConst)
	if !ok || x.typ().Kind == types.Invalid {
		if x.typ().Kind != types.Invalid {
			c.errorf(x.position(), "loop over range(n), or over a list or tuple from outside of the handler", "a handler cannot loop over a %s", x.typ())
		}
		c.skipLoop(s)
		return nil
	}
	var list []any
	switch v := k.v.(type) {
	case List:
		list = v
	case Tuple:
		list = v
	case Set:
		list = v
	case Dict:
		list = v.Keys
	default:
		c.errorf(x.position(), "loop over range(n), or over a list or tuple from outside of the handler", "a handler cannot loop over a %s", x.typ())
		c.skipLoop(s)
		return nil
	}
	if len(list) > maxUnroll {
		c.errorf(x.position(), "use `in`, which searches, or a table()", "the list has %d elements; a handler can loop over at most %d", len(list), maxUnroll)
		c.skipLoop(s)
		return nil
	}
	t := types.TInvalid
	for _, e := range list {
		et := constType(e)
		if et == nil || !et.Storable() && et.Kind != types.Invalid {
			c.errorf(x.position(), "", "the list holds a value that does not fit a handler: %s", constText(e))
			c.skipLoop(s)
			return nil
		}
		j := types.Join(t, et)
		if j == nil {
			c.errorf(x.position(), "", "the list holds values of several types: %s and %s", t, et)
			c.skipLoop(s)
			return nil
		}
		t = j
	}
	v := &local{name: "element", t: t}
	body := c.loopBody(s, v, len(list))
	return []stmt{&sEach{n, v, list, body}}
}

// skipLoop checks the body of a loop whose head is wrong, with the loop's variables unknown.
func (c *checker) skipLoop(s *syntax.ForStmt) {
	c.loopBody(s, &local{name: "element", t: types.TInvalid}, 1)
}

// hasIterators tells of a kernel that has iterators for loops of unknown length.
func (c *checker) hasIterators() bool {
	_, err := c.req.Kfunc(iterNext)
	return err == nil
}

// canLoop reports a loop whose length is not known when the handler is compiled, on a kernel that has no iterators for it.
func (c *checker) canLoop(pos syntax.Position, what string) bool {
	if c.hasIterators() {
		return true
	}
	c.errorf(pos, "use a constant bound and break: for i in range(64): if i >= n: break", "%s needs kernel 6.4 (bpf_iter_num)", what)
	return false
}

func (c *checker) whileStmt(s *syntax.WhileStmt) []stmt {
	ok := c.canLoop(s.While, "while")
	before := c.flow.clone()
	for b := range writes([]syntax.Stmt{s}) {
		if l := c.frame.locals[b]; l != nil {
			delete(before.notNone, l) // on the second round it may be what the first made of it
		}
	}
	c.flow = before.clone()
	cond, yes, no := c.condition(s.Cond)
	c.flow = before.with(yes)
	old := c.loops
	c.loops = append(c.loops, &flow{dead: true})
	body := c.block(s.Body)
	broken := c.loops[len(c.loops)-1]
	c.loops = old
	after := before.with(no)
	if k, isConst := cond.(*eConst); isConst && k.t.Kind == types.Bool && k.v.(bool) {
		after.dead = true // while True ends by break alone
	}
	c.flow = meet(after, broken)
	if !ok || cond.typ().Kind == types.Invalid {
		return nil
	}
	return []stmt{&sWhile{stmtNode{s.While}, cond, body}}
}

func (c *checker) forRange(s *syntax.ForStmt, call *syntax.CallExpr) []stmt {
	var bounds []expr
	var args []int64
	for _, a := range call.Args {
		x := c.wantInt(c.expr(a), "each argument of range()")
		if x.typ().Kind == types.Invalid {
			c.skipLoop(s)
			return nil
		}
		if k, ok := x.(*eConst); ok && k.t.Kind == types.Int {
			args = append(args, word(k.v))
		}
		bounds = append(bounds, x)
	}
	lo, hi, step := int64(0), int64(0), int64(1)
	switch {
	case len(bounds) < 1 || len(bounds) > 3:
		c.errorf(call.Lparen, "", "range takes 1 to 3 arguments, got %d", len(bounds))
		c.skipLoop(s)
		return nil
	case len(args) < len(bounds):
		return c.forCount(s, call, bounds)
	case len(args) == 1:
		hi = args[0]
	case len(args) == 2:
		lo, hi = args[0], args[1]
	default:
		lo, hi, step = args[0], args[1], args[2]
	}
	if step == 0 {
		c.errorf(call.Lparen, "", "the step of range must not be 0")
		c.skipLoop(s)
		return nil
	}
	count := int64(0)
	if step > 0 && hi > lo {
		count = int64((uint64(hi) - uint64(lo) + uint64(step) - 1) / uint64(step))
	} else if step < 0 && lo > hi {
		count = int64((uint64(lo) - uint64(hi) + uint64(-step) - 1) / uint64(-step))
	}
	if n := count * int64(c.iterations); count < 0 || n > maxIterations || n > maxWalked && c.hasIterators() {
		return c.forCount(s, call, bounds)
	}
	v := &local{name: "i", t: types.TInt}
	body := c.loopBody(s, v, int(count))
	if count == 0 {
		return nil
	}
	last := lo + (count-1)*step
	return []stmt{&sFor{stmtNode{s.For}, v, intConst(lo, s.For), intConst(last, s.For), step, body}}
}

// forCount is a loop over a range whose length the verifier cannot walk through.
func (c *checker) forCount(s *syntax.ForStmt, call *syntax.CallExpr, bounds []expr) []stmt {
	step := int64(1)
	if len(bounds) == 3 {
		k, ok := bounds[2].(*eConst)
		if !ok || word(k.v) == 0 {
			c.errorf(bounds[2].position(), "write a while loop", "the step of range must be a constant that is not 0")
			c.skipLoop(s)
			return nil
		}
		step = word(k.v)
	}
	var lo, hi expr = intConst(0, s.For), bounds[0]
	if len(bounds) > 1 {
		lo, hi = bounds[0], bounds[1]
	}
	v := &local{name: "i", t: types.TInt}
	ok := c.canLoop(call.Lparen, "range over a number that is not known before, or is large,")
	body := c.loopBody(s, v, 1)
	if !ok {
		return nil
	}
	return []stmt{&sCount{stmtNode{s.For}, v, lo, hi, step, body}}
}

// loopBody checks the body of a loop whose element is v.
func (c *checker) loopBody(s *syntax.ForStmt, v *local, count int) []stmt {
	before := c.flow.clone()
	for b := range writes([]syntax.Stmt{s}) {
		if l := c.frame.locals[b]; l != nil {
			delete(before.notNone, l) // on the second round it may be what the first made of it
		}
	}
	c.flow = before.clone()
	c.flow.assigned[v] = true
	old := c.iterations
	c.iterations *= max(count, 1)
	c.frame.loop++
	loops := c.loops
	c.loops = append(c.loops, &flow{dead: true})
	body := c.bind(s.Vars, &eVar{node{v.t, s.For}, v})
	body = append(body, c.block(s.Body)...)
	c.loops = loops
	c.frame.loop--
	c.iterations = old
	c.flow = before // the body may not have run at all
	return body
}
