package lower

import (
	"math/big"
	"slices"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Value computes an expression.
func (lw *Lowerer) Value(x tree.Expr) Val {
	t := x.Type()
	if t.InMemory() {
		switch x := x.(type) {
		case *tree.VarExpr:
			return lw.get(lw.homeOf(x.Local))
		case *tree.ElemExpr:
			return lw.Value(x.X).Elems[x.I]
		case *tree.NarrowExpr:
			return *lw.Value(x.X).inner
		case *tree.CallExpr:
			return lw.inlineCall(x)
		case *tree.MethodExpr:
			return lw.rows.method(x).Lower(lw, x)
		case *tree.IndexExpr:
			return lw.index(x)
		case *tree.SliceExpr:
			return lw.slice(x)
		}
		m := lw.allocTemp(t.Cap, "string")
		lw.str(x, m, true)
		return Val{T: t, mem: m}
	}
	switch x := x.(type) {
	case *tree.ConstExpr:
		return lw.constant(x)
	case *tree.VarExpr:
		return lw.get(lw.homeOf(x.Local))
	case *tree.FieldExpr:
		if x.T.Kind == types.Formatted {
			lw.B.Pos = x.Pos // the format can fail at this position
		}
		return lw.rows.Fields[x.Name](lw)
	case *tree.ArgExpr:
		return lw.arg(x)
	case *tree.MemExpr:
		return lw.place(x)
	case *tree.AddrExpr:
		return lw.placeOf(x)
	case *tree.BinaryExpr:
		return lw.binary(x)
	case *tree.UnaryExpr:
		w := lw.Value(x.X).W
		if x.Op == syntax.MINUS {
			return Scalar(t, lw.B.Add(ir.OpNeg, w))
		}
		return Scalar(t, lw.B.Add(ir.OpXor, w, lw.B.Const(-1)))
	case *tree.TupleExpr:
		v := Val{T: t}
		for _, e := range x.Elems {
			v.Elems = append(v.Elems, lw.Value(e))
		}
		return v
	case *tree.ElemExpr:
		return lw.Value(x.X).Elems[x.I]
	case *tree.NarrowExpr:
		return *lw.Value(x.X).inner
	case *tree.ConvertExpr:
		return lw.convert(lw.Value(x.X), t)
	case *tree.CondExpr:
		return lw.SelectValue(t, func(yes, no *ir.Block) { lw.cond(x.Cond, yes, no) }, x.True, x.False)
	case *tree.LogicExpr:
		return lw.logic(x)
	case *tree.DictExpr:
		return lw.dict(x)
	case *tree.BuiltinExpr:
		return lw.rows.Builtins[x.Name](lw, x)
	case *tree.MethodExpr:
		return lw.rows.method(x).Lower(lw, x)
	case *tree.CallExpr:
		return lw.inlineCall(x)
	}
	if t.Kind == types.Bool { // CompareExpr, NotExpr, InExpr, ContainsExpr, TruthExpr: computed by jumps
		return lw.SelectValue(t, func(yes, no *ir.Block) { lw.cond(x, yes, no) }, tree.BoolConst(true, x.Position()), tree.BoolConst(false, x.Position()))
	}
	lw.bug(x.Position(), "expression %T", x)
	return lw.zero(t)
}

// SelectValue returns yes or no, selected by the jumps that decide emits.
func (lw *Lowerer) SelectValue(t *types.Type, decide func(yes, no *ir.Block), yes, no tree.Expr) Val {
	c := lw.newHome(t, "choice")
	a, b, done := lw.B.Block("yes"), lw.B.Block("no"), lw.B.Block("")
	decide(a, b)
	lw.B.Continue(a)
	if !lw.B.Dead() {
		lw.set(c, yes)
		lw.B.Jump(done)
	}
	lw.B.Continue(b)
	if !lw.B.Dead() {
		lw.set(c, no)
		lw.B.Jump(done)
	}
	lw.B.Continue(done)
	return lw.get(c)
}

// logic lowers x and y, x or y; the result is one of the two values.
func (lw *Lowerer) logic(x *tree.LogicExpr) Val {
	if x.T.Kind == types.Bool && x.X.Type().Kind == types.Bool {
		return lw.SelectValue(x.T, func(yes, no *ir.Block) { lw.cond(x, yes, no) }, tree.BoolConst(true, x.Pos), tree.BoolConst(false, x.Pos))
	}
	tmp := &tree.Local{Name: "left", T: x.X.Type()} // computed once, used twice
	lw.set(lw.homeOf(tmp), x.X)
	var left tree.Expr = &tree.VarExpr{Node: tree.At(tmp.T, x.Pos), Local: tmp}
	truth, _ := tree.Truth(left) // the checker has allowed it
	var kept = left
	if tmp.T.Kind == types.Opt && x.Op == syntax.OR {
		kept = &tree.NarrowExpr{Node: tree.At(tmp.T.Elem, x.Pos), X: left}
	}
	kept = tree.Convert(kept, x.T)
	if x.Op == syntax.AND {
		return lw.SelectValue(x.T, func(yes, no *ir.Block) { lw.cond(truth, yes, no) }, x.Y, kept)
	}
	return lw.SelectValue(x.T, func(yes, no *ir.Block) { lw.cond(truth, yes, no) }, kept, x.Y)
}

func (lw *Lowerer) constant(x *tree.ConstExpr) Val {
	elems := func(list []any) Val {
		out := Val{T: x.T}
		for i, e := range list {
			out.Elems = append(out.Elems, lw.Value(&tree.ConstExpr{Node: tree.At(x.T.Underlying().Elems[i], x.Pos), Value: e}))
		}
		return out
	}
	switch v := x.Value.(type) {
	case tree.Tuple:
		return elems(v)
	case tree.Struct:
		return elems(v.Vals)
	case nil:
		return Val{T: x.T}
	}
	return Scalar(x.T, lw.B.Const(tree.Word(x.Value)))
}

// convert converts a value to a type that can represent it.
func (lw *Lowerer) convert(v Val, t *types.Type) Val {
	switch {
	case v.T.Equal(t):
		return v
	case t.Kind == types.Opt && v.T.Kind == types.None:
		return lw.zero(t)
	case t.Kind == types.Opt && v.T.Kind == types.Opt:
		in := lw.convert(*v.inner, t.Elem)
		return Val{T: t, has: v.has, inner: &in}
	case t.Kind == types.Opt:
		in := lw.convert(v, t.Elem)
		return Val{T: t, has: lw.B.Const(1), inner: &in}
	case t.IsEither():
		return lw.either(v, t)
	case t.IsComposed():
		in := lw.convert(Val{T: v.T.Elem, Elems: v.Elems}, t.Elem)
		return Val{T: t, Elems: in.Elems}
	case t.IsIP():
		words := []Val{v}
		version := int64(4)
		if len(v.Elems) > 0 {
			words, version = v.Elems, 6
		}
		out := Val{T: t, Elems: []Val{Scalar(types.TUint, lw.B.Const(version))}}
		for _, w := range words {
			out.Elems = append(out.Elems, Scalar(types.TUint, w.W))
		}
		if version == 4 {
			out.Elems = append(out.Elems, Scalar(types.TUint, lw.B.Const(0)))
		}
		return out
	case t.Kind == types.Tuple:
		out := Val{T: t}
		for i, e := range v.Elems {
			out.Elems = append(out.Elems, lw.convert(e, t.Elems[i]))
		}
		return out
	case t.Kind == types.Str:
		if v.mem.cap == t.Cap {
			return Val{T: t, mem: v.mem}
		}
		m := lw.allocTemp(t.Cap, "string")
		lw.copyStr(m, v.mem)
		return Val{T: t, mem: m}
	}
	v.T = t
	return v
}

// either converts a value to t, which holds values of several types. Those that it does not have
// are zero, so that equal values are equal keys.
func (lw *Lowerer) either(v Val, t *types.Type) Val {
	from := v.Elems
	if !v.T.IsEither() {
		from = []Val{{T: types.TOpt(v.T), has: lw.B.Const(1), inner: &v}}
	}
	out := Val{T: t}
	for i, e := range t.Elem.Elems {
		at := slices.IndexFunc(from, func(f Val) bool { return t.Alternative(f.T.Elem) == i })
		if at < 0 {
			out.Elems = append(out.Elems, lw.zero(e))
		} else {
			out.Elems = append(out.Elems, lw.convert(from[at], e))
		}
	}
	return out
}

// str builds a string or bytes in memory. pad: the rest of the memory is zeroed, as keys need it.
func (lw *Lowerer) str(x tree.Expr, dst mem, pad bool) {
	switch x := x.(type) {
	case *tree.ConstExpr:
		lw.strConst(tree.ConstString(x.Value), dst)
	case *tree.FieldExpr: // comm
		lw.Call(asm.FnGetCurrentComm, lw.addr(dst), lw.B.Const(16))
		lw.fill(dst, 16)
	case *tree.ArgExpr:
		lw.argStr(x, dst, pad)
	case *tree.MemExpr:
		lw.placeStr(x, dst)
	case *tree.StrExpr:
		lw.readStr(x, lw.Value(x.Ptr).W, dst, pad)
	case *tree.BufExpr:
		lw.readBytes(x, dst)
	case *tree.PathExpr:
		lw.readPath(x, dst)
	case *tree.ConvertExpr:
		lw.str(x.X, dst, pad)
	case *tree.CondExpr:
		yes, no, done := lw.B.Block("yes"), lw.B.Block("no"), lw.B.Block("")
		lw.cond(x.Cond, yes, no)
		for _, side := range []struct {
			b *ir.Block
			x tree.Expr
		}{{yes, x.True}, {no, x.False}} {
			lw.B.Continue(side.b)
			if !lw.B.Dead() {
				lw.str(side.x, dst, pad)
				lw.B.Jump(done)
			}
		}
		lw.B.Continue(done)
	case *tree.LogicExpr:
		lw.copyStr(dst, lw.logic(x).mem)
	case *tree.DictExpr:
		lw.copyStr(dst, lw.dict(x).mem)
	default:
		lw.copyStr(dst, lw.Value(x).mem)
	}
}

// binary computes arithmetic with Starlark's semantics on 64 bits.
func (lw *Lowerer) binary(e *tree.BinaryExpr) Val {
	x, y := lw.Value(e.X).W, lw.Value(e.Y).W
	lw.B.Pos = e.Pos
	simple := map[syntax.Token]ir.Op{syntax.PLUS: ir.OpAdd, syntax.MINUS: ir.OpSub, syntax.STAR: ir.OpMul, syntax.AMP: ir.OpAnd, syntax.PIPE: ir.OpOr, syntax.CIRCUMFLEX: ir.OpXor}
	if op, ok := simple[e.Op]; ok {
		return Scalar(e.T, lw.B.Add(op, x, y))
	}
	switch e.Op {
	case syntax.SLASHSLASH, syntax.PERCENT:
		return Scalar(e.T, lw.divide(e, x, y))
	}
	return Scalar(e.T, lw.shift(e, x, y))
}

// divide lowers // or %, rounded down. Not all kernels have signed division, so only unsigned
// division is used. For a negative dividend and a positive constant c, floor(x/c) is ^(^x/c), where
// ^x is not negative.
func (lw *Lowerer) divide(e *tree.BinaryExpr, x, y *ir.Value) *ir.Value {
	b := lw.B
	quotient := e.Op == syntax.SLASHSLASH
	ux, uy := tree.UnsignedOperand(e.X), tree.UnsignedOperand(e.Y)
	// With an unsigned operand, a sum is unsigned too.
	if e.X.Type().Kind == types.Uint || e.Y.Type().Kind == types.Uint {
		ux, uy = tree.NeverNegative(e.X), tree.NeverNegative(e.Y)
	}
	var c *big.Int
	if k, ok := e.Y.(*tree.ConstExpr); ok {
		c = k.Value.(*big.Int)
	}
	if c == nil { // may be zero
		zero, ok := b.Block("zero"), b.Block("")
		b.If(ir.EQ, y, b.Const(0), zero, ok)
		zero.Cold = true
		b.Continue(zero)
		lw.Fail(Site{Pos: e.Pos, Op: e.Op.String(), Ends: true}, b.Const(-errDom))
		b.Jump(lw.end)
		b.Continue(ok)
	}
	if ux && uy {
		if quotient {
			return b.Add(ir.OpUDiv, x, y)
		}
		return b.Add(ir.OpUMod, x, y)
	}
	var q *ir.Value
	switch {
	case c != nil && c.Sign() > 0 && c.IsInt64():
		n := c.Int64()
		if n&(n-1) == 0 { // a power of two: shift and mask round down by themselves
			if !quotient {
				return b.Add(ir.OpAnd, x, b.Const(n-1))
			}
			return b.Add(ir.OpAShr, x, b.Const(int64(c.BitLen()-1)))
		}
		s := b.Add(ir.OpAShr, x, b.Const(63))
		q = b.Add(ir.OpXor, b.Add(ir.OpUDiv, b.Add(ir.OpXor, x, s), y), s)
	default:
		q = lw.floorDiv(x, ux, y, uy)
	}
	if quotient {
		return q
	}
	return b.Add(ir.OpSub, x, b.Add(ir.OpMul, q, y))
}

// floorDiv divides magnitudes, then fixes the sign: if the signs differ the quotient is negative,
// and one less if there is a remainder.
func (lw *Lowerer) floorDiv(x *ir.Value, ux bool, y *ir.Value, uy bool) *ir.Value {
	b := lw.B
	magnitude := func(v *ir.Value, unsigned bool) (mag, sign *ir.Value) {
		if unsigned {
			return v, b.Const(0)
		}
		sign = b.Add(ir.OpAShr, v, b.Const(63))
		return b.Add(ir.OpSub, b.Add(ir.OpXor, v, sign), sign), sign
	}
	mx, sx := magnitude(x, ux)
	my, sy := magnitude(y, uy)
	q := b.Add(ir.OpUDiv, mx, my)
	s := b.Add(ir.OpXor, sx, sy)
	res := new(int)
	unlike, inexact, done := b.Block("unlike"), b.Block("inexact"), b.Block("")
	b.Write(res, q)
	b.If(ir.NE, s, b.Const(0), unlike, done)
	b.Continue(unlike)
	if !b.Dead() {
		rem := b.Add(ir.OpSub, mx, b.Add(ir.OpMul, q, my))
		neg := b.Add(ir.OpNeg, q)
		b.Write(res, neg)
		b.If(ir.NE, rem, b.Const(0), inexact, done)
		b.Continue(inexact)
		b.Write(res, b.Add(ir.OpSub, neg, b.Const(1)))
		b.Jump(done)
	}
	b.Continue(done)
	return b.Read(res)
}

// shift lowers << or >>. Starlark's shifts are not limited to 64 bits: bits that are shifted out
// are lost, and >> leaves the sign.
func (lw *Lowerer) shift(e *tree.BinaryExpr, x, y *ir.Value) *ir.Value {
	b := lw.B
	op := ir.OpShl
	if e.Op == syntax.GTGT {
		op = ir.OpAShr
		if e.X.Type().Kind == types.Uint {
			op = ir.OpLShr
		}
	}
	over := b.Const(0) // the result of a shift by 64 bits or more
	if op == ir.OpAShr {
		over = b.Add(ir.OpAShr, x, b.Const(63))
	}
	if k, ok := e.Y.(*tree.ConstExpr); ok {
		if n := k.Value.(*big.Int); n.IsInt64() && n.Int64() < 64 {
			return b.Add(op, x, b.Const(n.Int64()))
		}
		return over
	}
	if e.Y.Type().Kind == types.Int {
		neg, ok := b.Block("negative"), b.Block("")
		b.If(ir.SLT, y, b.Const(0), neg, ok)
		neg.Cold = true
		b.Continue(neg)
		lw.Fail(Site{Pos: e.Pos, Op: e.Op.String(), Ends: true}, b.Const(-errInval))
		b.Jump(lw.end)
		b.Continue(ok)
	}
	res := new(int)
	small, done := b.Block("small"), b.Block("")
	b.Write(res, over)
	b.If(ir.ULT, y, b.Const(64), small, done)
	b.Continue(small)
	b.Write(res, b.Add(op, x, y))
	b.Jump(done)
	b.Continue(done)
	return b.Read(res)
}

// Magnitude returns the absolute value of a signed word.
func (lw *Lowerer) Magnitude(x *ir.Value) *ir.Value {
	sign := lw.B.Add(ir.OpAShr, x, lw.B.Const(63))
	return lw.B.Add(ir.OpSub, lw.B.Add(ir.OpXor, x, sign), sign)
}
