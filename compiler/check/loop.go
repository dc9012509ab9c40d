package check

import (
	"math/big"
	"slices"
	"sort"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func (c *Checker) forStmt(s *syntax.ForStmt) []tree.Stmt {
	n := tree.StmtAt(s.For)
	if call, ok := unparen(s.X).(*syntax.CallExpr); ok {
		if id, ok := call.Fn.(*syntax.Ident); ok && id.Name == "range" && c.local(id) == nil {
			return c.forRange(s, call)
		}
	}
	if m, what := c.mapItems(s.X); m != nil {
		return c.forItems(s, m, what)
	}
	x := c.sequence(s.X)
	if x.Type().Kind == types.Tuple {
		return c.forTuple(s, x)
	}
	if o, ok := x.(*chosenExpr); ok {
		return c.forChosen(s, o)
	}
	k, ok := x.(*tree.ConstExpr)
	if !ok || x.Type().Kind == types.Invalid {
		if x.Type().Kind != types.Invalid {
			c.Errorf(x.Position(), "loop over range(n), or over a list or tuple from outside of the handler", "a handler cannot loop over %s", x.Type().WithArticle())
		}
		c.skipLoop(s)
		return nil
	}
	list, ok := tree.ConstElems(k.Value)
	if ok && unpacks(s.Vars) {
		list = innerTuples(list)
	}
	if !ok {
		c.Errorf(x.Position(), "loop over range(n), or over a list or tuple from outside of the handler", "a handler cannot loop over %s", x.Type().WithArticle())
		c.skipLoop(s)
		return nil
	}
	if len(list) > maxUnroll {
		c.Errorf(x.Position(), "use `in`, which searches, or a table()", "the list has %d elements; a handler can loop over at most %d", len(list), maxUnroll)
		c.skipLoop(s)
		return nil
	}
	t := types.TInvalid
	for _, e := range list {
		et := tree.ConstType(e)
		if tree.TrailingNUL(e) {
			c.badNUL(x.Position(), e)
			c.skipLoop(s)
			return nil
		}
		if et == nil {
			c.Errorf(x.Position(), "", "the list holds a value that cannot be used in a handler: %s", tree.ConstText(e))
			c.skipLoop(s)
			return nil
		}
		j := types.Join(t, et)
		if j == nil {
			c.Errorf(x.Position(), meetHint(t, et), "the list holds values of several types: %s and %s", t, et)
			c.skipLoop(s)
			return nil
		}
		t = j
	}
	if t.Kind != types.Invalid && !t.Storable() {
		return c.forCollections(s, t, list)
	}
	var elems []tree.Expr
	for _, e := range list {
		elems = append(elems, tree.Convert(&tree.ConstExpr{Node: tree.At(tree.ConstType(e), s.For), Value: e}, t))
	}
	v := &tree.Local{Name: "element", T: t}
	body := c.loopBody(s, v, len(list), len(list) > 0)
	return []tree.Stmt{&tree.EachStmt{StmtNode: n, Local: v, List: elems, Body: body}}
}

// innerTuples returns the elements of a list with tuples in place of lists. Unpacking treats both
// the same.
func innerTuples(list []any) []any {
	out := slices.Clone(list)
	for i, v := range out {
		if l, ok := v.(tree.List); ok {
			out[i] = tree.Tuple(l)
		}
	}
	return out
}

// skipLoop checks the body of a loop whose head is wrong. The types of the loop variables are
// unknown.
func (c *Checker) skipLoop(s *syntax.ForStmt) {
	c.loopBody(s, &tree.Local{Name: "element", T: types.TInvalid}, 1, true)
}

// forTuple checks a loop over a tuple. The elements are computed once, before the loop.
func (c *Checker) forTuple(s *syntax.ForStmt, x tree.Expr) []tree.Stmt {
	t := types.TInvalid
	for _, et := range x.Type().Elems {
		j := types.Join(t, et)
		if j == nil {
			c.Errorf(x.Position(), meetHint(t, et), "the tuple holds values of several types: %s and %s", t, et)
			c.skipLoop(s)
			return nil
		}
		t = j
	}
	var out []tree.Stmt
	if _, isConst := x.(*tree.ConstExpr); !isConst {
		tmp := &tree.Local{Name: "tuple", T: x.Type()}
		out = append(out, &tree.AssignStmt{StmtNode: tree.StmtAt(s.For), Local: tmp, X: x})
		x = &tree.VarExpr{Node: tree.At(tmp.T, s.For), Local: tmp}
	}
	var elems []tree.Expr
	for i := range x.Type().Elems {
		elems = append(elems, tree.Convert(c.elem(s.For, x, int64(i)), t))
	}
	v := &tree.Local{Name: "element", T: t}
	body := c.loopBody(s, v, len(elems), len(elems) > 0)
	return append(out, &tree.EachStmt{StmtNode: tree.StmtAt(s.For), Local: v, List: elems, Body: body})
}

// mapItems recognizes t, t.keys(), t.values() and t.items() of a map.
func (c *Checker) mapItems(x syntax.Expr) (*tree.Map, string) {
	what := "keys"
	x = unparen(x)
	if call, ok := x.(*syntax.CallExpr); ok && len(call.Args) == 0 {
		dot, ok := call.Fn.(*syntax.DotExpr)
		if !ok {
			return nil, ""
		}
		switch what = dot.Name.Name; what {
		case "keys", "values", "items":
			x = unparen(dot.X)
		default:
			return nil, ""
		}
	}
	id, ok := x.(*syntax.Ident)
	if !ok {
		return nil, ""
	}
	if v := c.local(id); v != nil && v.Static == nil {
		return nil, ""
	}
	if st, ok := c.expr(id).(*tree.StaticExpr); ok {
		if m, ok := st.Entity.(*tree.Map); ok {
			return m, what
		}
	}
	return nil, ""
}

func (c *Checker) forItems(s *syntax.ForStmt, m *tree.Map, what string) []tree.Stmt {
	pos, _ := s.X.Span()
	t := c.typing(m)
	switch {
	case m.Agg != nil && what != "keys" && !readable(m.Agg):
		c.Errorf(pos, "loop over its keys(), or over it in the script", "a handler cannot read the values of %s %q", m.Kind(), m.Name)
	case m.Agg != nil && what != "keys" && !c.Req.Features.PerCPULookup:
		c.Errorf(pos, "loop over it in the script", "a loop over the values of %s %q needs kernel 5.19 (bpf_map_lookup_percpu_elem)", m.Kind(), m.Name)
	case !c.Req.Features.ForEachElem:
		c.Errorf(pos, "loop over it in the script", "a loop over a table needs kernel 5.13 (bpf_for_each_map_elem)")
	case t.key.t == nil || t.val.t == nil:
		c.Errorf(pos, "use it first, in an earlier probe or from the script", "the types of %s %q are not known yet", m.Kind(), m.Name)
	case t.key.t.Kind == types.None:
		c.Errorf(pos, "read its value in the script", "%s %q has no keys to loop over", m.Kind(), m.Name)
	default:
		val := t.val.t
		if m.Agg != nil && m.Agg.Kind == agg.Count {
			val = types.TInt
		}
		key, val := t.key.t.Stored(), val.Stored()
		v := &tree.Local{Name: "element", T: map[string]*types.Type{"keys": key, "values": val, "items": types.TTuple(key, val)}[what]}
		body := c.loopBody(s, v, 1, false)
		return []tree.Stmt{&tree.ItemsStmt{StmtNode: tree.StmtAt(s.For), Local: v, Map: m, What: what, Body: body}}
	}
	c.skipLoop(s)
	return nil
}

// readable reports whether the value of an aggregation is a single number.
func readable(s *agg.Spec) bool {
	switch s.Kind {
	case agg.Count, agg.Sum, agg.Avg, agg.Min, agg.Max:
		return true
	}
	return false
}

// longLoops reports whether the kernel supports loops of unknown length.
func (c *Checker) longLoops() bool {
	return c.Req.Iterators() || c.Req.Features.Loop
}

// canLoop reports an error for a loop whose length is not known at compile time if the kernel does
// not support such loops.
func (c *Checker) canLoop(pos syntax.Position, what string) bool {
	if c.longLoops() {
		return true
	}
	c.Errorf(pos, "use a constant bound: for i in range(64): ..., with if i >= n: break in the loop", "%s needs kernel 5.17 (bpf_loop)", what)
	return false
}

func (c *Checker) whileStmt(s *syntax.WhileStmt) []tree.Stmt {
	ok := c.canLoop(s.While, "while")
	before := c.loopEntry(s)
	c.flow = before.clone()
	cond, yes, no := c.condition(s.Cond)
	truth, known := tree.KnownTruth(cond)
	if known && !truth {
		return nil
	}
	c.flow = before.with(yes)
	old := c.loops
	c.loops = append(c.loops, loopFlow{unreachable(), unreachable()})
	body := c.block(s.Body)
	broken := c.loops[len(c.loops)-1].brk
	c.loops = old
	after := before.with(no)
	if known {
		after.dead = true // only break ends while True
	}
	c.flow = joinFlows(after, broken)
	if !ok || cond.Type().Kind == types.Invalid {
		return nil
	}
	return []tree.Stmt{&tree.WhileStmt{StmtNode: tree.StmtAt(s.While), Cond: cond, Body: body, Kept: c.newlyAssigned(before)}}
}

// loopEntry returns what is known at the start of every iteration. Facts about variables that the
// body assigns are dropped, because after the first iteration they have other values.
func (c *Checker) loopEntry(s syntax.Stmt) *flow {
	before := c.flow.clone()
	for b := range writes([]syntax.Stmt{s}) {
		if l := c.frame.locals[b]; l != nil {
			before.forget(l)
		}
	}
	return before
}

// newlyAssigned returns the locals that are assigned here but not in before, sorted by name.
func (c *Checker) newlyAssigned(before *flow) []*tree.Local {
	var out []*tree.Local
	for _, v := range c.frame.locals {
		if c.flow.assigned[v] && !before.assigned[v] && v.Static == nil && !c.frame.chosen[v] {
			out = append(out, v)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func (c *Checker) forRange(s *syntax.ForStmt, call *syntax.CallExpr) []tree.Stmt {
	var bounds []tree.Expr
	var args []int64
	for _, a := range call.Args {
		x := c.WantInt(c.expr(a), "each argument of range()")
		if x.Type().Kind == types.Invalid {
			c.skipLoop(s)
			return nil
		}
		if k, ok := x.(*tree.ConstExpr); ok && k.T.Kind == types.Int {
			args = append(args, tree.Word(k.Value))
		}
		bounds = append(bounds, x)
	}
	if n := len(bounds); n >= 1 && n <= 3 && len(args) < n {
		return c.forCount(s, call, bounds, false)
	}
	lo, hi, step, ok := c.rangeOf(call, args)
	if !ok {
		c.skipLoop(s)
		return nil
	}
	count := rangeLen(lo, hi, step)
	if n := count * int64(c.iterations); count < 0 || n > maxIterations || n > c.Req.MaxWalked() && c.longLoops() {
		return c.forCount(s, call, bounds, count != 0)
	}
	v := &tree.Local{Name: "i", T: types.TInt}
	if step > 0 && lo >= 0 || step < 0 && hi >= -1 {
		v.T = types.TNat
	}
	body := c.loopBody(s, v, int(count), count > 0)
	if count == 0 {
		return nil
	}
	last := lo + (count-1)*step
	return []tree.Stmt{&tree.ForStmt{StmtNode: tree.StmtAt(s.For), Local: v, Lo: tree.IntConst(lo, s.For), Hi: tree.IntConst(last, s.For), Step: step, Body: body}}
}

// rangeOf returns the bounds of a range whose arguments are constants. ok is false after an error.
func (c *Checker) rangeOf(call *syntax.CallExpr, args []int64) (lo, hi, step int64, ok bool) {
	step = 1
	switch len(call.Args) {
	case 1:
		hi = args[0]
	case 2:
		lo, hi = args[0], args[1]
	case 3:
		lo, hi, step = args[0], args[1], args[2]
	default:
		c.Errorf(call.Lparen, "", "range takes 1 to 3 arguments, got %d", len(call.Args))
		return 0, 0, 0, false
	}
	if step == 0 {
		c.Errorf(call.Lparen, "", "the step of range must not be 0")
		return 0, 0, 0, false
	}
	return lo, hi, step, true
}

// rangeLen returns the number of elements of a range. It is negative if it exceeds 63 bits.
func rangeLen(lo, hi, step int64) int64 {
	switch {
	case step > 0 && hi > lo:
		return int64((uint64(hi)-uint64(lo)-1)/uint64(step) + 1)
	case step < 0 && lo > hi:
		return int64((uint64(lo)-uint64(hi)-1)/uint64(-step) + 1)
	}
	return 0
}

// forCount checks a loop over a range that is too long for the verifier to walk. If some is true,
// the loop runs at least once.
func (c *Checker) forCount(s *syntax.ForStmt, call *syntax.CallExpr, bounds []tree.Expr, some bool) []tree.Stmt {
	step := int64(1)
	if len(bounds) == 3 {
		k, ok := bounds[2].(*tree.ConstExpr)
		if !ok || tree.Word(k.Value) == 0 {
			c.Errorf(bounds[2].Position(), "write a while loop", "the step of range must be a constant that is not 0")
			c.skipLoop(s)
			return nil
		}
		step = tree.Word(k.Value)
	}
	var lo, hi tree.Expr = tree.IntConst(0, s.For), bounds[0]
	if len(bounds) > 1 {
		lo, hi = bounds[0], bounds[1]
	}
	v := &tree.Local{Name: "i", T: countType(lo, hi, step)}
	ok := c.canLoop(call.Lparen, "range over a large number or one known only at run time")
	before := c.flow.clone()
	body := c.loopBody(s, v, 1, some)
	if !ok {
		return nil
	}
	return []tree.Stmt{&tree.CountStmt{StmtNode: tree.StmtAt(s.For), Local: v, Lo: lo, Hi: hi, Step: step, Body: body, Kept: c.newlyAssigned(before)}}
}

// countType returns the type of the numbers from lo to hi. A loop has at most maxSteps iterations,
// so with a small step it cannot get from a signed number to one above 2**63.
func countType(lo, hi tree.Expr, step int64) *types.Type {
	unsigned := &types.Type{Kind: types.Uint, Addr: lo.Type().Addr}
	last, isConst := tree.ConstInt(hi)
	switch {
	case step < 0 && (tree.NeverNegative(hi) || isConst && last.Cmp(big.NewInt(-1)) >= 0):
		if lo.Type().Kind == types.Uint {
			return unsigned
		}
		return &types.Type{Kind: types.Int, NonNeg: true, Wraps: hi.Type().Wraps}
	case step > 0 && lo.Type().Kind == types.Uint:
		return unsigned
	case step > 0 && tree.NeverNegative(lo):
		first, isConst := tree.ConstInt(lo)
		if hi.Type().Kind == types.Uint && (step > 1<<32 || isConst && first.Cmp(big.NewInt(1<<62)) >= 0) {
			return unsigned
		}
		return &types.Type{Kind: types.Int, NonNeg: true, Wraps: lo.Type().Wraps}
	}
	return types.TInt
}

// loopBody checks the body of a loop with count iterations whose element is v. If some is true, the
// loop runs at least once.
func (c *Checker) loopBody(s *syntax.ForStmt, v *tree.Local, count int, some bool) []tree.Stmt {
	return c.loopBodyOf(s, v, &tree.VarExpr{Node: tree.At(v.T, s.For), Local: v}, count, some)
}

// loopBodyOf is loopBody for an element that is found by v.
func (c *Checker) loopBodyOf(s *syntax.ForStmt, v *tree.Local, elem tree.Expr, count int, some bool) []tree.Stmt {
	before := c.loopEntry(s)
	c.flow = before.clone()
	c.flow.assigned[v] = true
	old := c.iterations
	c.iterations *= max(count, 1)
	c.frame.loop++
	loops := c.loops
	c.loops = append(c.loops, loopFlow{unreachable(), unreachable()})
	body := c.bind(s.Vars, elem)
	body = append(body, c.block(s.Body)...)
	left := c.loops[len(c.loops)-1]
	c.loops = loops
	c.frame.loop--
	c.iterations = old
	if some {
		c.flow = joinFlows(joinFlows(c.flow, left.cont), left.brk)
	} else {
		c.flow = before // the body may not run at all
	}
	return body
}
