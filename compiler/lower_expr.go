package compiler

import (
	"math/big"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// value computes an expression.
func (lw *lowerer) value(x expr) val {
	t := x.typ()
	if t.InMemory() {
		switch x := x.(type) {
		case *eVar:
			return lw.get(lw.cellOf(x.v))
		case *eElem:
			return lw.value(x.x).elems[x.i]
		case *eNarrow:
			return *lw.value(x.x).inner
		case *eCall:
			return lw.inlineCall(x)
		case *eMethod:
			return lw.rows.method(x.kind, x.name).lower(lw, x)
		case *eIndex:
			return lw.index(x)
		case *eSlice:
			return lw.slice(x)
		}
		m := lw.allocTemp(t.Cap, "string")
		lw.str(x, m, true)
		return val{t: t, mem: m}
	}
	switch x := x.(type) {
	case *eConst:
		return lw.constant(x)
	case *eVar:
		return lw.get(lw.cellOf(x.v))
	case *eField:
		if x.t.Kind == types.Formatted {
			lw.b.Pos = x.pos // the format can fail at this position
		}
		return lw.rows.field(x.name).lower(lw)
	case *eArg:
		return lw.arg(x)
	case *eMemRef:
		return lw.place(x)
	case *eAddr:
		return lw.placeOf(x)
	case *eBinary:
		return lw.binary(x)
	case *eUnary:
		w := lw.value(x.x).w
		if x.op == syntax.MINUS {
			return scalar(t, lw.b.Add(ir.OpNeg, w))
		}
		return scalar(t, lw.b.Add(ir.OpXor, w, lw.b.Const(-1)))
	case *eTuple:
		v := val{t: t}
		for _, e := range x.elems {
			v.elems = append(v.elems, lw.value(e))
		}
		return v
	case *eElem:
		return lw.value(x.x).elems[x.i]
	case *eNarrow:
		return *lw.value(x.x).inner
	case *eConvert:
		return lw.convert(lw.value(x.x), t)
	case *eCond:
		return lw.selectValue(t, func(yes, no *ir.Block) { lw.cond(x.c, yes, no) }, x.t, x.f)
	case *eLogic:
		return lw.logic(x)
	case *eDict:
		return lw.dict(x)
	case *eBuiltin:
		return lw.rows.builtins[x.name].lower(lw, x)
	case *eMethod:
		return lw.rows.method(x.kind, x.name).lower(lw, x)
	case *eCall:
		return lw.inlineCall(x)
	}
	if t.Kind == types.Bool { // eCompare, eNot, eIn, eContains, eTruth: computed by jumps
		return lw.selectValue(t, func(yes, no *ir.Block) { lw.cond(x, yes, no) }, boolConst(true, x.position()), boolConst(false, x.position()))
	}
	lw.bug(x.position(), "expression %T", x)
	return lw.zero(t)
}

// selectValue returns yes or no, selected by the jumps that decide emits.
func (lw *lowerer) selectValue(t *types.Type, decide func(yes, no *ir.Block), yes, no expr) val {
	c := lw.newCell(t, "choice")
	a, b, done := lw.b.Block("yes"), lw.b.Block("no"), lw.b.Block("")
	decide(a, b)
	lw.b.Continue(a)
	if !lw.b.Dead() {
		lw.set(c, yes)
		lw.b.Jump(done)
	}
	lw.b.Continue(b)
	if !lw.b.Dead() {
		lw.set(c, no)
		lw.b.Jump(done)
	}
	lw.b.Continue(done)
	return lw.get(c)
}

// logic lowers x and y, x or y; the result is one of the two values.
func (lw *lowerer) logic(x *eLogic) val {
	if x.t.Kind == types.Bool && x.x.typ().Kind == types.Bool {
		return lw.selectValue(x.t, func(yes, no *ir.Block) { lw.cond(x, yes, no) }, boolConst(true, x.pos), boolConst(false, x.pos))
	}
	tmp := &local{name: "left", t: x.x.typ()} // computed once, used twice
	lw.set(lw.cellOf(tmp), x.x)
	var left expr = &eVar{node{tmp.t, x.pos}, tmp}
	truth, _ := truth(left) // the checker has allowed it
	var kept = left
	if tmp.t.Kind == types.Opt && x.op == syntax.OR {
		kept = &eNarrow{node{tmp.t.Elem, x.pos}, left}
	}
	kept = convert(kept, x.t)
	if x.op == syntax.AND {
		return lw.selectValue(x.t, func(yes, no *ir.Block) { lw.cond(truth, yes, no) }, x.y, kept)
	}
	return lw.selectValue(x.t, func(yes, no *ir.Block) { lw.cond(truth, yes, no) }, kept, x.y)
}

func (lw *lowerer) constant(x *eConst) val {
	switch v := x.v.(type) {
	case Tuple:
		out := val{t: x.t}
		for i, e := range v {
			out.elems = append(out.elems, lw.value(&eConst{node{x.t.Underlying().Elems[i], x.pos}, e}))
		}
		return out
	case nil:
		return val{t: x.t}
	}
	return scalar(x.t, lw.b.Const(word(x.v)))
}

// convert converts a value to a type that can represent it.
func (lw *lowerer) convert(v val, t *types.Type) val {
	switch {
	case v.t.Equal(t):
		return v
	case t.Kind == types.Opt && v.t.Kind == types.None:
		return lw.zero(t)
	case t.Kind == types.Opt && v.t.Kind == types.Opt:
		in := lw.convert(*v.inner, t.Elem)
		return val{t: t, has: v.has, inner: &in}
	case t.Kind == types.Opt:
		in := lw.convert(v, t.Elem)
		return val{t: t, has: lw.b.Const(1), inner: &in}
	case t.IsIP():
		words := []val{v}
		version := int64(4)
		if len(v.elems) > 0 {
			words, version = v.elems, 6
		}
		out := val{t: t, elems: []val{scalar(types.TUint, lw.b.Const(version))}}
		for _, w := range words {
			out.elems = append(out.elems, scalar(types.TUint, w.w))
		}
		if version == 4 {
			out.elems = append(out.elems, scalar(types.TUint, lw.b.Const(0)))
		}
		return out
	case t.Kind == types.Tuple:
		out := val{t: t}
		for i, e := range v.elems {
			out.elems = append(out.elems, lw.convert(e, t.Elems[i]))
		}
		return out
	case t.Kind == types.Str:
		if v.mem.cap == t.Cap {
			return val{t: t, mem: v.mem}
		}
		m := lw.allocTemp(t.Cap, "string")
		lw.copyStr(m, v.mem)
		return val{t: t, mem: m}
	}
	v.t = t
	return v
}

// str builds a string or bytes in memory. pad: the rest of the memory is zeroed, as keys need it.
func (lw *lowerer) str(x expr, dst mem, pad bool) {
	switch x := x.(type) {
	case *eConst:
		lw.strConst(constString(x.v), dst)
	case *eField: // comm
		lw.call(asm.FnGetCurrentComm, lw.addr(dst), lw.b.Const(16))
		lw.fill(dst, 16)
	case *eArg:
		lw.argStr(x, dst, pad)
	case *eMemRef:
		lw.placeStr(x, dst)
	case *eStr:
		lw.readStr(x, lw.value(x.ptr).w, dst, pad)
	case *eBuf:
		lw.readBytes(x, dst)
	case *ePath:
		lw.readPath(x, dst)
	case *eConvert:
		lw.str(x.x, dst, pad)
	case *eCond:
		yes, no, done := lw.b.Block("yes"), lw.b.Block("no"), lw.b.Block("")
		lw.cond(x.c, yes, no)
		for _, side := range []struct {
			b *ir.Block
			x expr
		}{{yes, x.t}, {no, x.f}} {
			lw.b.Continue(side.b)
			if !lw.b.Dead() {
				lw.str(side.x, dst, pad)
				lw.b.Jump(done)
			}
		}
		lw.b.Continue(done)
	case *eLogic:
		lw.copyStr(dst, lw.logic(x).mem)
	case *eDict:
		lw.copyStr(dst, lw.dict(x).mem)
	default:
		lw.copyStr(dst, lw.value(x).mem)
	}
}

// binary computes arithmetic with Starlark's semantics on 64 bits.
func (lw *lowerer) binary(e *eBinary) val {
	x, y := lw.value(e.x).w, lw.value(e.y).w
	lw.b.Pos = e.pos
	simple := map[syntax.Token]ir.Op{syntax.PLUS: ir.OpAdd, syntax.MINUS: ir.OpSub, syntax.STAR: ir.OpMul, syntax.AMP: ir.OpAnd, syntax.PIPE: ir.OpOr, syntax.CIRCUMFLEX: ir.OpXor}
	if op, ok := simple[e.op]; ok {
		return scalar(e.t, lw.b.Add(op, x, y))
	}
	switch e.op {
	case syntax.SLASHSLASH, syntax.PERCENT:
		return scalar(e.t, lw.divide(e, x, y))
	}
	return scalar(e.t, lw.shift(e, x, y))
}

// divide lowers // or %, rounded down. Not all kernels have signed division, so only unsigned
// division is used. For a negative dividend and a positive constant c, floor(x/c) is ^(^x/c), where
// ^x is not negative.
func (lw *lowerer) divide(e *eBinary, x, y *ir.Value) *ir.Value {
	b := lw.b
	quotient := e.op == syntax.SLASHSLASH
	ux, uy := unsignedOperand(e.x), unsignedOperand(e.y)
	// With an unsigned operand, a sum is unsigned too.
	if e.x.typ().Kind == types.Uint || e.y.typ().Kind == types.Uint {
		ux, uy = neverNegative(e.x), neverNegative(e.y)
	}
	var c *big.Int
	if k, ok := e.y.(*eConst); ok {
		c = k.v.(*big.Int)
	}
	if c == nil { // may be zero
		zero, ok := b.Block("zero"), b.Block("")
		b.If(ir.EQ, y, b.Const(0), zero, ok)
		zero.Cold = true
		b.Continue(zero)
		lw.fail(Site{Pos: e.pos, Op: e.op.String(), Ends: true}, b.Const(-errDom))
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
func (lw *lowerer) floorDiv(x *ir.Value, ux bool, y *ir.Value, uy bool) *ir.Value {
	b := lw.b
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
func (lw *lowerer) shift(e *eBinary, x, y *ir.Value) *ir.Value {
	b := lw.b
	op := ir.OpShl
	if e.op == syntax.GTGT {
		op = ir.OpAShr
		if e.x.typ().Kind == types.Uint {
			op = ir.OpLShr
		}
	}
	over := b.Const(0) // the result of a shift by 64 bits or more
	if op == ir.OpAShr {
		over = b.Add(ir.OpAShr, x, b.Const(63))
	}
	if k, ok := e.y.(*eConst); ok {
		if n := k.v.(*big.Int); n.IsInt64() && n.Int64() < 64 {
			return b.Add(op, x, b.Const(n.Int64()))
		}
		return over
	}
	if e.y.typ().Kind == types.Int {
		neg, ok := b.Block("negative"), b.Block("")
		b.If(ir.SLT, y, b.Const(0), neg, ok)
		neg.Cold = true
		b.Continue(neg)
		lw.fail(Site{Pos: e.pos, Op: e.op.String(), Ends: true}, b.Const(-errInval))
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

// magnitude returns the absolute value of a signed word.
func (lw *lowerer) magnitude(x *ir.Value) *ir.Value {
	sign := lw.b.Add(ir.OpAShr, x, lw.b.Const(63))
	return lw.b.Add(ir.OpSub, lw.b.Add(ir.OpXor, x, sign), sign)
}
