package compiler

import (
	"fmt"
	"math"
	"math/big"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/wordlist"
)

func intConst(n int64, pos syntax.Position) *eConst {
	return &eConst{node{constType(big.NewInt(n)), pos}, big.NewInt(n)}
}

func boolConst(b bool, pos syntax.Position) *eConst { return &eConst{node{types.TBool, pos}, b} }

// constant returns an expression for a captured or literal value, or reports that it does not fit.
func (c *checker) constant(v any, pos syntax.Position, what string) expr {
	t := constType(v)
	if trailingNUL(v) {
		return c.badNUL(pos, v)
	}
	if t == nil {
		return c.bad(pos, "", "%s does not fit in 64 bits: %s", what, constText(v))
	}
	return &eConst{node{t, pos}, v}
}

func (c *checker) expr(x syntax.Expr) expr {
	switch x := x.(type) {
	case *syntax.ParenExpr:
		return c.expr(x.X)
	case *syntax.Literal:
		return c.literal(x)
	case *syntax.Ident:
		return c.ident(x)
	case *syntax.UnaryExpr:
		if x.Op == syntax.NOT {
			e, _, _ := c.condition(x)
			return e
		}
		if x.X == nil {
			return c.bad(x.OpPos, "", "* is not allowed here")
		}
		return c.note(x.OpPos, c.unary(x.OpPos, x.Op, c.expr(x.X)))
	case *syntax.BinaryExpr:
		return c.binaryExpr(x)
	case *syntax.CondExpr:
		return c.condExpr(x)
	case *syntax.TupleExpr:
		return c.tuple(x, x.List, c.expr)
	case *syntax.ListExpr:
		return c.listDisplay(x, false)
	case *syntax.DictExpr:
		return c.dictDisplay(x)
	case *syntax.DotExpr:
		return c.dot(x)
	case *syntax.IndexExpr:
		return c.note(x.Lbrack, c.index(x))
	case *syntax.SliceExpr:
		return c.note(x.Lbrack, c.slice(x))
	case *syntax.CallExpr:
		return c.note(x.Lparen, c.callExpr(x))
	}
	return c.unsupported(x)
}

// condExpr checks x.True if x.Cond else x.False. A side that is never taken is not checked: both
// outcomes of the condition, which is evaluated all the same, then have the other side.
func (c *checker) condExpr(x *syntax.CondExpr) expr {
	cond, yes, no := c.condition(x.Cond)
	if truth, known := knownTruth(cond); known && truth {
		return c.expr(x.True)
	} else if known {
		return c.expr(x.False)
	}
	before := c.flow
	defer func() { c.flow = before }()
	side := func(x syntax.Expr, fs facts) expr {
		c.flow = before.with(fs)
		return c.expr(x)
	}
	if !yes.never && !no.never {
		t := side(x.True, yes)
		return c.choice(x.If, cond, t, side(x.False, no))
	}
	taken, fs := x.True, yes
	if yes.never {
		taken, fs = x.False, no
	}
	t := side(taken, fs)
	if t.typ().Kind == types.Invalid {
		return t
	}
	warned := len(c.warnings)
	f := side(taken, fs)
	c.warnings = c.warnings[:warned] // they stand twice
	return c.choice(x.If, cond, t, f)
}

func (c *checker) unsupported(x syntax.Expr) expr {
	pos, _ := x.Span()
	switch x.(type) {
	case *syntax.Comprehension:
		return c.bad(pos, "build it outside of the handler, or write a for loop", "a comprehension is not allowed in a handler")
	case *syntax.LambdaExpr:
		return c.bad(pos, "define it outside of the handler", "a function cannot be defined inside a handler")
	}
	return c.bad(pos, "", "this expression is not supported in a handler")
}

func (c *checker) literal(x *syntax.Literal) expr {
	switch v := x.Value.(type) {
	case string:
		if x.Token == syntax.BYTES {
			return c.constant(Bytes(v), x.TokenPos, "the bytes")
		}
		return c.constant(v, x.TokenPos, "the string")
	case int64:
		return intConst(v, x.TokenPos)
	case *big.Int:
		return c.constant(v, x.TokenPos, "the number")
	}
	return c.bad(x.TokenPos, "count in a smaller unit: nanoseconds, thousandths", "floats are not supported in a handler")
}

func (c *checker) ident(id *syntax.Ident) expr {
	if v := c.local(id); v != nil {
		return c.readLocal(v, id.NamePos)
	}
	var ent Entity
	if _, ok := id.Binding.(*resolve.Binding); ok || id.Binding == nil {
		ent = c.frame.fn.Scope.Lookup(id)
	}
	return c.entity(id, ent)
}

func (c *checker) readLocal(v *local, pos syntax.Position) expr {
	if !c.flow.dead && !c.flow.assigned[v] {
		c.flow.assigned[v] = true // one error is enough
		if outer := c.frame.fn.Scope.Lookup(&syntax.Ident{NamePos: pos, Name: v.name}); outer != nil && outer != Entity(Builtin{v.name}) {
			return c.bad(pos, fmt.Sprintf("write %s.add() here, with %s = count() outside of the handler", v.name, v.name),
				"%s is assigned in this function, which makes it a local variable: a handler cannot assign to a global", v.name)
		}
		return c.bad(pos, "assign it on every path to this point", "%s may be used before it is assigned", v.name)
	}
	if v.static != nil {
		return at(v.static, pos)
	}
	e := &eVar{node{v.t, pos}, v}
	if v.t.Kind == types.Opt && (c.flow.known[fact{v: v}] || c.flow.dead) {
		return &eNarrow{node{c.narrowInt(e, v.t.Elem), pos}, e}
	}
	e.t = c.narrowInt(e, v.t)
	return e
}

// at returns x with another position.
func at(x expr, pos syntax.Position) expr {
	switch x := x.(type) {
	case *eConst:
		return &eConst{node{x.t, pos}, x.v}
	case *eStatic:
		return &eStatic{node{x.t, pos}, x.ent}
	}
	return x
}

func (c *checker) entity(id *syntax.Ident, ent Entity) expr {
	n := node{types.TFunc, id.NamePos}
	switch ent := ent.(type) {
	case nil:
		return c.bad(id.NamePos, wordHint(wordlist.Name(id.Name)), "%s has no value yet", id.Name)
	case Const:
		if !c.capturedSeen[id.Name] && !universal(id.Name) {
			c.capturedSeen[id.Name] = true
			c.captured = append(c.captured, Captured{id.Name, constText(ent.V)})
		}
		if constType(ent.V) == nil {
			return c.bad(id.NamePos, "", "%s does not fit in 64 bits: %s", id.Name, constText(ent.V))
		}
		if t := constType(ent.V); t.Kind == types.Invalid {
			return c.bad(id.NamePos, "", "%s holds a value that cannot be used in a handler", id.Name)
		}
		if trailingNUL(ent.V) {
			return c.badNUL(id.NamePos, ent.V)
		}
		return &eConst{node{constType(ent.V), id.NamePos}, ent.V}
	case *Map:
		return &eStatic{node{types.TMap, id.NamePos}, ent}
	case *Stream:
		return &eStatic{node{types.TStream, id.NamePos}, ent}
	case *Func, Builtin:
		return &eStatic{n, ent}
	case Opaque:
		hint := "captured values are ints, strings, bytes, bools, None, and tuples, lists and dicts of these"
		if ent.Type == "float" {
			hint = "write " + id.Name + " = int(" + id.Name + ") outside of the handler, which has no floats"
		}
		if w := wordlist.Name(id.Name); w != nil {
			hint = w.Hint()
		}
		return c.bad(id.NamePos, hint, "%s is a %s, which cannot be used in a handler", id.Name, ent.Type)
	}
	return c.bad(id.NamePos, "", "%s cannot be used in a handler", id.Name)
}

// universal reports whether name refers to the same value everywhere.
func universal(name string) bool { return name == "None" || name == "True" || name == "False" }

// tuple checks a tuple of these elements.
func (c *checker) tuple(x syntax.Expr, list []syntax.Expr, elem func(syntax.Expr) expr) expr {
	pos, _ := x.Span()
	elems := make([]expr, len(list))
	for i, el := range list {
		elems[i] = elem(el)
	}
	return c.tupleOf(pos, elems)
}

func (c *checker) tupleOf(pos syntax.Position, elems []expr) expr {
	e := &eTuple{node: node{&types.Type{Kind: types.Tuple}, pos}}
	consts := Tuple{}
	for _, v := range elems {
		if k, ok := v.(*eConst); ok {
			consts = append(consts, k.v)
		}
		if v.typ().Kind == types.Invalid {
			if !c.inferring {
				e.t = types.TInvalid
			}
		} else if !v.typ().Storable() {
			c.errorf(v.position(), storeHint(v), "a %s cannot be an element of a tuple in a handler", v.typ())
			e.t = types.TInvalid
		}
		e.elems = append(e.elems, v)
		if e.t.Kind == types.Tuple {
			e.t.Elems = append(e.t.Elems, v.typ())
		}
	}
	if e.t.Kind == types.Tuple && len(consts) == len(e.elems) {
		return &eConst{e.node, consts}
	}
	return e
}

// unknownSide returns the result of an operation on two operands, one of which has an unknown type.
// While types are inferred, that is the other operand.
func (c *checker) unknownSide(pos syntax.Position, x, y expr) expr {
	switch {
	case !c.inferring:
		return invalid(pos)
	case x.typ().Kind == types.Invalid:
		return y
	}
	return x
}

// choice checks t if cond else f.
func (c *checker) choice(pos syntax.Position, cond, t, f expr) expr {
	j := types.Join(t.typ(), f.typ())
	if t.typ().Kind == types.Invalid || f.typ().Kind == types.Invalid {
		return c.unknownSide(pos, t, f)
	}
	if j == nil || !j.Storable() {
		return c.bad(pos, meetHint(t.typ(), f.typ()), "the two sides of if/else have different types: %s and %s", t.typ(), f.typ())
	}
	return &eCond{node{j, pos}, cond, c.convert(t, j), c.convert(f, j)}
}

// convert converts x to type t, which holds all values of x's type.
func (c *checker) convert(x expr, t *types.Type) expr {
	if x.typ().Equal(t) || x.typ().Kind == types.Invalid || t.Kind == types.Invalid {
		return x
	}
	if x.typ().IsInt() && t.IsInt() {
		if k, ok := x.(*eConst); ok {
			return &eConst{node{t, k.pos}, k.v}
		}
	}
	return &eConvert{node{t, x.position()}, x}
}

func (c *checker) wantInt(x expr, what string) expr {
	switch {
	case x.typ().IsInt(), x.typ().Kind == types.Invalid:
		return x
	case x.typ().Kind == types.Ptr:
		return &eConvert{node{types.TUint, x.position()}, x}
	case x.typ().IsNumber():
		return number(x)
	case x.typ().Kind == types.Opt:
		return c.bad(x.position(), "compare it with None first: if x != None: ...", "%s may be None", what)
	case x.typ().Kind == types.Bool:
		return c.bad(x.position(), "write int(x)", "%s must be an int, not a bool", what)
	}
	return c.bad(x.position(), "", "%s must be an int, not a %s", what, x.typ())
}

func (c *checker) unary(pos syntax.Position, op syntax.Token, x expr) expr {
	x = c.wantInt(x, "the operand of "+op.String())
	if x.typ().Kind == types.Invalid || op == syntax.PLUS {
		return x
	}
	if k, ok := x.(*eConst); ok {
		n := new(big.Int)
		if op == syntax.MINUS {
			n.Neg(k.v.(*big.Int))
		} else {
			n.Not(k.v.(*big.Int))
		}
		return c.constant(n, pos, "the result")
	}
	return &eUnary{node{types.TInt, pos}, op, x}
}

func (c *checker) binaryExpr(x *syntax.BinaryExpr) expr {
	switch x.Op {
	case syntax.AND, syntax.OR:
		e, _, _ := c.logic(x)
		return e
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.GT, syntax.LE, syntax.GE:
		e, _, _ := c.condition(x)
		return e
	case syntax.IN, syntax.NOT_IN:
		return c.in(x)
	}
	return c.note(x.OpPos, c.binary(x.OpPos, x.Op, c.expr(x.X), c.expr(x.Y)))
}

// logic checks x and y, x or y as values: the result is one of the two.
func (c *checker) logic(x *syntax.BinaryExpr) (e expr, yes, no facts) {
	return c.twoSides(x, c.valueFacts, func(a, b expr) expr {
		ta := a.typ()
		if x.Op == syntax.OR && ta.Kind == types.Opt {
			ta = ta.Elem // None is never the result of the left side
		}
		j := types.Join(ta, b.typ())
		if j == nil || !j.Storable() {
			return c.bad(x.OpPos, meetHint(a.typ(), b.typ()), "the two sides of %s have different types: %s and %s", x.Op, a.typ(), b.typ())
		}
		if c.truth(a).typ().Kind == types.Invalid { // already reported
			return invalid(x.OpPos)
		}
		return &eLogic{node{j, x.OpPos}, x.Op, a, c.convert(b, j)}
	})
}

// binary checks arithmetic. As documented for users, results are signed 64-bit integers unless the
// source is unsigned and the operation keeps it so. A difference is signed: a - b of two sizes may
// be negative.
func (c *checker) binary(pos syntax.Position, op syntax.Token, x, y expr) expr {
	if x.typ().Kind == types.Invalid || y.typ().Kind == types.Invalid {
		return invalid(pos)
	}
	if op == syntax.SLASH {
		return c.bad(pos, "write // for the quotient without a fraction", "a handler has no floats, so / is not supported")
	}
	if x.typ().InMemory() || y.typ().InMemory() {
		kx, ok1 := x.(*eConst)
		ky, ok2 := y.(*eConst)
		if op == syntax.PLUS && ok1 && ok2 && x.typ().Kind == y.typ().Kind {
			if b, ok := kx.v.(Bytes); ok {
				return c.constant(b+ky.v.(Bytes), pos, "the bytes")
			}
			return c.constant(kx.v.(string)+ky.v.(string), pos, "the string")
		}
		hint := "make strings on the host; use a tuple as key: by=(a, b)"
		if op == syntax.PERCENT {
			hint = formatHint
		}
		what := "strings"
		if op == syntax.PLUS && (x.typ().Kind == types.Bytes || y.typ().Kind == types.Bytes) {
			hint = "use a tuple as key: by=(a, b)"
		}
		if x.typ().Kind == types.Bytes || y.typ().Kind == types.Bytes {
			what = "bytes"
		}
		return c.bad(pos, hint, "%s cannot be combined with %s in a handler", what, op)
	}
	moved := movedPointer(op, x, y)
	x = c.wantInt(x, "the left side of "+op.String())
	y = c.wantInt(y, "the right side of "+op.String())
	if x.typ().Kind == types.Invalid || y.typ().Kind == types.Invalid {
		return invalid(pos)
	}
	if moved != nil {
		return &eBinary{node{moved, pos}, op, x, y}
	}
	kx, cx := x.(*eConst)
	ky, cy := y.(*eConst)
	if cx && cy {
		return c.foldInts(pos, op, kx.v.(*big.Int), ky.v.(*big.Int))
	}
	if cy && (op == syntax.SLASHSLASH || op == syntax.PERCENT) && ky.v.(*big.Int).Sign() == 0 {
		return c.bad(pos, "", "%s by zero", map[syntax.Token]string{syntax.SLASHSLASH: "division", syntax.PERCENT: "remainder"}[op])
	}
	if cy && (op == syntax.LTLT || op == syntax.GTGT) && ky.v.(*big.Int).Sign() < 0 {
		return c.bad(pos, "", "negative shift count")
	}
	return &eBinary{node{arithType(op, x, y), pos}, op, x, y}
}

// movedPointer returns the type of a pointer that arithmetic moves, or nil if the result is a
// number. The pointer stays in its memory. It moves by bytes, so the type it points to afterwards
// is unknown.
func movedPointer(op syntax.Token, x, y expr) *types.Type {
	p, other := x, y
	if p.typ().Kind != types.Ptr {
		p, other = y, x
	}
	if p.typ().Kind != types.Ptr || other.typ().Kind == types.Ptr || !other.typ().IsInt() && !other.typ().IsNumber() {
		return nil
	}
	switch k, ok := other.(*eConst); {
	case op == syntax.PLUS, op == syntax.PIPE, op == syntax.MINUS && p == x:
	case op == syntax.AMP && ok && (k.v.(*big.Int).Sign() < 0 || !k.v.(*big.Int).IsInt64()): // p & ~7
	default:
		return nil
	}
	return &types.Type{Kind: types.Ptr, Space: p.typ().Space, Text: "void *"}
}

func arithType(op syntax.Token, x, y expr) *types.Type {
	tx, ty := x.typ(), y.typ()
	addr := tx.Addr || ty.Addr
	signed := &types.Type{Kind: types.Int, Addr: addr && op != syntax.STAR}
	natural := *signed // the result for operands that are never negative
	natural.NonNeg, natural.Wraps = true, tx.Wraps || ty.Wraps
	switch op {
	case syntax.MINUS:
		return signed
	case syntax.AMP:
		// the result is at most the operand that is never negative
		switch {
		case unsignedOperand(x) && tx.Kind == types.Int, unsignedOperand(y) && ty.Kind == types.Int:
			return types.TNat
		case tx.NonNeg, ty.NonNeg:
			return &natural
		}
	case syntax.LTLT, syntax.GTGT:
		return &types.Type{Kind: tx.Kind, Addr: tx.Addr, NonNeg: tx.NonNeg, Wraps: tx.Wraps || tx.NonNeg && op == syntax.LTLT}
	case syntax.SLASHSLASH:
		if k, ok := y.(*eConst); ok && k.v.(*big.Int).Cmp(big.NewInt(1)) > 0 && tx.Kind == types.Uint {
			return types.TNat // below 2**63
		}
	case syntax.PERCENT:
		if smallConst(y) {
			return types.TNat
		}
		if tx.Kind == types.Int && ty.NonNeg {
			return &types.Type{Kind: types.Int, NonNeg: true, Wraps: ty.Wraps}
		}
	case syntax.PLUS, syntax.STAR:
		natural.Wraps = true
	}
	switch {
	case !neverNegative(x) || !neverNegative(y):
		return signed
	case tx.Kind == types.Uint || ty.Kind == types.Uint:
		return &types.Type{Kind: types.Uint, Addr: addr, Wraps: tx.Wraps || ty.Wraps}
	}
	return &natural
}

// neverNegative reports whether x cannot be negative, unless it has wrapped (types.Type.Wraps).
func neverNegative(x expr) bool { return x.typ().Kind == types.Uint || x.typ().NonNeg }

// unsignedOperand reports whether the bits of x, read as unsigned, are its value.
func unsignedOperand(x expr) bool {
	return x.typ().Kind == types.Uint || x.typ().NonNeg && !x.typ().Wraps
}

func smallConst(x expr) bool {
	k, ok := x.(*eConst)
	return ok && k.v.(*big.Int).Sign() >= 0 && k.v.(*big.Int).IsInt64()
}

// foldInts computes with Starlark's integers; only the result has to fit in 64 bits.
func (c *checker) foldInts(pos syntax.Position, op syntax.Token, x, y *big.Int) expr {
	z := new(big.Int)
	switch op {
	case syntax.PLUS:
		z.Add(x, y)
	case syntax.MINUS:
		z.Sub(x, y)
	case syntax.STAR:
		z.Mul(x, y)
	case syntax.SLASHSLASH, syntax.PERCENT:
		if y.Sign() == 0 {
			return c.bad(pos, "", "%s by zero", map[syntax.Token]string{syntax.SLASHSLASH: "division", syntax.PERCENT: "remainder"}[op])
		}
		q, r := floorDiv(x, y)
		if op == syntax.SLASHSLASH {
			z = q
		} else {
			z = r
		}
	case syntax.AMP:
		z.And(x, y)
	case syntax.PIPE:
		z.Or(x, y)
	case syntax.CIRCUMFLEX:
		z.Xor(x, y)
	case syntax.LTLT, syntax.GTGT:
		if y.Sign() < 0 {
			return c.bad(pos, "", "negative shift count")
		}
		if !y.IsInt64() || y.Int64() > 512 {
			return c.bad(pos, "", "shift count %s is too large", y)
		}
		if op == syntax.LTLT {
			z.Lsh(x, uint(y.Int64()))
		} else {
			z.Rsh(x, uint(y.Int64()))
		}
	default:
		return c.bad(pos, "", "%s is not supported in a handler", op)
	}
	return c.constant(z, pos, "the result")
}

// floorDiv returns Starlark's x // y and x % y.
func floorDiv(x, y *big.Int) (q, r *big.Int) {
	q, r = new(big.Int).QuoRem(x, y, new(big.Int))
	if r.Sign() != 0 && (r.Sign() < 0) != (y.Sign() < 0) {
		q.Sub(q, big.NewInt(1))
		r.Add(r, y)
	}
	return q, r
}

func (c *checker) index(x *syntax.IndexExpr) expr {
	recv := c.sequence(x.X)
	if st, ok := recv.(*eStatic); ok {
		if m, ok := st.ent.(*Map); ok {
			if m.Agg != nil {
				return c.bad(x.Lbrack, "read it in the script; keep what the handler reads in a table()", "a handler cannot read %s %q, only add to it", m.Kind(), m.Name)
			}
			return c.callMethod(x.Lbrack, recv, m, methodIndex, []expr{c.expr(x.Y)})
		}
	}
	i := c.expr(x.Y)
	if recv.typ().Kind == types.Invalid || i.typ().Kind == types.Invalid {
		return invalid(x.Lbrack)
	}
	k, isConst := recv.(*eConst)
	switch {
	case recv.typ().InMemory():
		return c.textIndex(x.Lbrack, recv, i)
	case recv.typ().Kind == types.Args:
		return c.indexedArg(x, i)
	case recv.typ().Kind == types.Array:
		return c.arrayElem(x, recv.(*eArg), i)
	case recv.typ().Kind == types.Ptr, recv.typ().Kind == types.Mem:
		return c.element(recv, i, x.Lbrack)
	case recv.typ().Kind == types.Dict && isConst:
		return c.dictGet(x.Lbrack, k.v.(Dict), i, nil)
	case recv.typ().Kind == types.Tuple, recv.typ().Kind == types.List && isConst:
		ki, ok := i.(*eConst)
		if !ok || ki.t.Kind != types.Int {
			return c.pick(x.Lbrack, recv, i)
		}
		return c.elem(x.Lbrack, recv, word(ki.v))
	}
	return c.bad(x.Lbrack, usage(recv.typ()), "a %s cannot be indexed in a handler", recv.typ())
}

func (c *checker) elem(pos syntax.Position, recv expr, i int64) expr {
	if k, ok := recv.(*eConst); ok {
		var list []any
		switch v := k.v.(type) {
		case Tuple:
			list = v
		case List:
			list = v
		}
		if i < 0 {
			i += int64(len(list))
		}
		if i < 0 || i >= int64(len(list)) {
			return c.bad(pos, "indexes start at 0, or at -1 from the end", "index out of range: the %s has %s", recv.typ().Kind.Noun(), countOf(len(list), "element"))
		}
		return c.constant(list[i], pos, "the element")
	}
	n := int64(len(recv.typ().Elems))
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return c.bad(pos, "indexes start at 0, or at -1 from the end", "index out of range: the tuple has %s", countOf(int(n), "element"))
	}
	return &eElem{node{recv.typ().Elems[i], pos}, recv, int(i)}
}

// dictGet checks a lookup of x in a captured dict. If def is nil, a missing key ends the handler.
func (c *checker) dictGet(pos syntax.Position, d Dict, x, def expr) expr {
	t := types.TInvalid
	for _, v := range d.Vals {
		vt := constType(v)
		if trailingNUL(v) {
			return c.badNUL(pos, v)
		}
		if vt == nil || !vt.Storable() {
			return c.bad(pos, "", "the dict holds a value that cannot be used in a handler: %s", constText(v))
		}
		j := types.Join(t, vt)
		if j == nil {
			return c.bad(pos, meetHint(t, vt), "the dict holds values of several types: %s and %s", t, vt)
		}
		t = j
	}
	if !c.searchable(pos, x, d.Keys) {
		return invalid(pos)
	}
	if def != nil {
		j := types.Join(t, def.typ())
		if j == nil {
			return c.bad(def.position(), meetHint(def.typ(), t), "the default is a %s, the values of the dict are of type %s", def.typ(), t)
		}
		t = j
		def = c.convert(def, t)
	}
	if t.Kind == types.Invalid {
		return c.bad(pos, "", "the dict is empty")
	}
	return &eDict{node: node{t, pos}, x: x, dict: d, def: def}
}

// maxSearch is the maximum size of a captured collection that a handler searches: each element is a
// comparison in the program.
const maxSearch = 4096

// searchable checks that x can be compared with each of the constants.
func (c *checker) searchable(pos syntax.Position, x expr, list []any) bool {
	if x.typ().Kind == types.Invalid {
		return false
	}
	if len(list) > maxSearch {
		c.errorf(pos, "fill a table() from the script and use `in` on that", "%d elements are too many to search in a handler (at most %d)", len(list), maxSearch)
		return false
	}
	for _, v := range list {
		t := constType(v)
		if t == nil {
			continue // larger than 64 bits: equal to nothing
		}
		if !comparable(x.typ(), t) {
			c.errorf(pos, compareHint(x.typ(), t), "a %s is never equal to a %s: %s", x.typ(), t, constText(v))
			return false
		}
		if most, s, cut := cutBelow(x.typ(), v); cut {
			c.tooLong(pos, x, most, s)
			return false
		}
		if !c.checkFormattedConst(pos, x.typ(), v) {
			return false
		}
	}
	return true
}

// in checks x in y, x not in y.
func (c *checker) in(e *syntax.BinaryExpr) expr {
	x, y := c.expr(e.X), c.sequence(e.Y)
	not := e.Op == syntax.NOT_IN
	if x.typ().Kind == types.Invalid || y.typ().Kind == types.Invalid {
		return invalid(e.OpPos)
	}
	if st, ok := y.(*eStatic); ok {
		if m, ok := st.ent.(*Map); ok {
			if m.Agg != nil {
				return c.bad(e.OpPos, "keep what the handler reads in a table()", "a handler cannot read %s %q, only add to it", m.Kind(), m.Name)
			}
			r := c.callMethod(e.OpPos, y, m, methodIn, []expr{x})
			if not {
				return &eNot{node{types.TBool, e.OpPos}, r}
			}
			return r
		}
	}
	var list []any
	k, ok := y.(*eConst)
	if ok {
		list, ok = constElems(k.v)
	}
	switch {
	case ok:
	case y.typ().Kind == types.Tuple:
		return c.inTuple(e.OpPos, x, y, not)
	case y.typ().InMemory():
		return c.contains(e.OpPos, x, y, not)
	default:
		return c.bad(e.OpPos, "use a list, tuple, dict or table() from outside of the handler", "a handler cannot search in a %s", y.typ())
	}
	if !c.searchable(e.OpPos, x, list) {
		return invalid(e.OpPos)
	}
	return &eIn{node{types.TBool, e.OpPos}, x, list, not}
}

// inTuple compares x with each element of y, a tuple built in the handler.
func (c *checker) inTuple(pos syntax.Position, x, y expr, not bool) expr {
	var r expr = boolConst(false, pos)
	for i := range y.typ().Elems {
		eq := c.compare(pos, syntax.EQL, x, c.elem(pos, y, int64(i)))
		if eq.typ().Kind == types.Invalid {
			return eq
		}
		if k, ok := r.(*eConst); ok && !k.v.(bool) {
			r = eq
		} else {
			r = &eLogic{node{types.TBool, pos}, syntax.OR, r, eq}
		}
	}
	if not {
		return &eNot{node{types.TBool, pos}, r}
	}
	return r
}

// constText returns a constant as Starlark writes it, shortened for messages.
func constText(v any) string {
	var b strings.Builder
	writeConst(&b, v, 80)
	s := b.String()
	if len(s) > 60 {
		s = s[:57] + "..."
	}
	return s
}

// constRepr returns a constant as Starlark writes it. Two constants of comparable types are equal
// if and only if their representations are.
func constRepr(v any) string {
	var b strings.Builder
	writeConst(&b, v, math.MaxInt)
	return b.String()
}

// writeConst writes a constant, and stops adding elements once b is longer than most.
func writeConst(b *strings.Builder, v any, most int) {
	seq := func(open string, list []any, end string) {
		b.WriteString(open)
		for i, e := range list {
			if i > 0 {
				b.WriteString(", ")
			}
			writeConst(b, e, most)
			if b.Len() > most {
				break
			}
		}
		b.WriteString(end)
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case string:
		b.WriteString(syntax.Quote(v, false))
	case Bytes:
		b.WriteString(syntax.Quote(string(v), true))
	case Tuple:
		if len(v) == 1 {
			seq("(", v, ",)")
		} else {
			seq("(", v, ")")
		}
	case List:
		seq("[", v, "]")
	case Set:
		seq("set([", v, "])")
	case Dict:
		b.WriteString("{")
		for i := range v.Keys {
			if i > 0 {
				b.WriteString(", ")
			}
			writeConst(b, v.Keys[i], most)
			b.WriteString(": ")
			writeConst(b, v.Vals[i], most)
			if b.Len() > most {
				break
			}
		}
		b.WriteString("}")
	default:
		fmt.Fprint(b, v)
	}
}
