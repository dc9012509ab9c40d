package compiler

import (
	"encoding/binary"
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// cond jumps to t if x is true, else to f.
func (lw *lowerer) cond(x expr, t, f *ir.Block) {
	b := lw.b
	switch x := x.(type) {
	case *eConst:
		if truth, _ := constTruth(x.v); truth {
			b.Jump(t)
		} else {
			b.Jump(f)
		}
		return
	case *eNot:
		lw.cond(x.x, f, t)
		return
	case *eLogic:
		if x.x.typ().Kind == types.Bool && x.y.typ().Kind == types.Bool {
			next := b.Block("")
			if x.op == syntax.AND {
				lw.cond(x.x, next, f)
			} else {
				lw.cond(x.x, t, next)
			}
			b.Continue(next)
			lw.cond(x.y, t, f)
			return
		}
	case *eTruth:
		lw.truth(lw.value(x.x), t, f)
		return
	case *eCompare:
		lw.compare(x, t, f)
		return
	case *eContains:
		lw.contains(x, t, f)
		return
	case *eMethod:
		if row := lw.rows.method(x.kind, x.name); row.jump != nil {
			row.jump(lw, x, t, f)
			return
		}
	case *eIn:
		if x.not {
			t, f = f, t
		}
		lw.search(x.x, x.list, func(int) { b.Jump(t) }, f)
		return
	}
	b.If(ir.NE, lw.value(x).w, b.Const(0), t, f)
}

// truth jumps by the truth of a value.
func (lw *lowerer) truth(v val, t, f *ir.Block) {
	b := lw.b
	switch v.t.Kind {
	case types.Opt:
		some := b.Block("some")
		b.If(ir.NE, v.has, b.Const(0), some, f)
		b.Continue(some)
		lw.truth(*v.inner, t, f)
	case types.Formatted:
		for len(v.elems) > 0 {
			v = v.elems[0]
		}
		b.If(ir.NE, v.w, b.Const(0), t, f)
	case types.Str:
		if v.t.NULs {
			lw.nonZero(text{val: v}, t, f)
			return
		}
		b.If(ir.NE, b.Load(v.mem.base, v.mem.off, 1, false), b.Const(0), t, f)
	case types.Tuple:
		if len(v.elems) > 0 {
			b.Jump(t)
		} else {
			b.Jump(f)
		}
	case types.None:
		b.Jump(f)
	default:
		b.If(ir.NE, v.w, b.Const(0), t, f)
	}
}

func (lw *lowerer) compare(x *eCompare, t, f *ir.Block) {
	switch {
	case x.op == syntax.NEQ:
		lw.equal(x.x, x.y, f, t)
	case x.op == syntax.EQL:
		lw.equal(x.x, x.y, t, f)
	case x.x.typ().InMemory():
		lw.order(x.op, lw.text(x.x), lw.text(x.y), t, f)
	default:
		a, c := lw.value(x.x), lw.value(x.y)
		lw.compareInts(x.op, a.w, operandType(x.x, x.y), c.w, operandType(x.y, x.x), t, f)
	}
}

// operandType returns the type of x in a comparison with y: a constant that is not negative takes
// y's type.
func operandType(x, y expr) *types.Type {
	if _, ok := x.(*eConst); ok && x.typ().Kind == types.Int && smallConst(x) {
		return y.typ()
	}
	return x.typ()
}

// equal compares two expressions; strings are built in memory only if they are not constants.
func (lw *lowerer) equal(x, y expr, t, f *ir.Block) {
	if k, ok := x.(*eConst); ok && k.t.Kind != types.None {
		x, y = y, x
	}
	if k, ok := y.(*eConst); ok {
		lw.equalConst(lw.value(x), k.v, t, f)
		return
	}
	if x.typ().Kind == types.None {
		x, y = y, x
	}
	if y.typ().Kind == types.None {
		lw.equalConst(lw.value(x), nil, t, f)
		return
	}
	lw.equalVals(lw.value(x), lw.value(y), t, f)
}

// equalConst compares a value with a constant.
func (lw *lowerer) equalConst(v val, k any, t, f *ir.Block) {
	b := lw.b
	if v.t.Kind == types.Opt {
		if k == nil {
			b.If(ir.EQ, v.has, b.Const(0), t, f)
			return
		}
		some := b.Block("some")
		b.If(ir.NE, v.has, b.Const(0), some, f)
		b.Continue(some)
		lw.equalConst(*v.inner, k, t, f)
		return
	}
	switch k := k.(type) {
	case nil:
		if v.t.Kind == types.None {
			b.Jump(t)
		} else {
			b.Jump(f)
		}
	case string:
		lw.equalStr(v, k, t, f)
	case Bytes:
		lw.equalStr(v, string(k), t, f)
	case Tuple:
		for i, e := range k {
			next := b.Block("")
			lw.equalConst(v.elems[i], e, next, f)
			b.Continue(next)
			if b.Dead() {
				return
			}
		}
		b.Jump(t)
	case *big.Int:
		if outside(k, v.t) {
			b.Jump(f)
			return
		}
		b.If(ir.EQ, v.w, b.Const(word(k)), t, f)
	default:
		b.If(ir.EQ, v.w, b.Const(word(k)), t, f)
	}
}

// outside reports whether no value of the type can equal the number.
func outside(k *big.Int, t *types.Type) bool {
	if t.Underlying().Kind == types.Int {
		return !k.IsInt64()
	}
	return !k.IsUint64()
}

// prefix compares the first n bytes of a string in memory with those of s, padded with NULs.
func (lw *lowerer) prefix(m mem, s string, n int, t, f *ir.Block) {
	b := lw.b
	if n > m.cap {
		b.Jump(f) // s does not fit
		return
	}
	buf := make([]byte, m.cap)
	copy(buf, s)
	off := 0
	for ; n > inlineBytes && off+64 <= n; off += 64 { // eight words at a time, for one jump
		diff := b.Const(0)
		for w := off; w < off+64; w += 8 {
			diff = b.Add(ir.OpOr, b.Add(ir.OpXor, b.Load(m.base, m.off+w, 8, false), b.Const(constWord(s, w))), diff)
		}
		lw.jumps += lw.times
		next := b.Block("")
		b.If(ir.EQ, diff, b.Const(0), next, f)
		b.Continue(next)
	}
	for off < n {
		size := 8
		for off+size > n && size > 1 {
			size /= 2 // the bytes after the prefix may be anything
		}
		if n == len(s)+1 {
			size = 8 // only NULs follow the NUL
		}
		var w int64
		switch size {
		case 8:
			w = int64(binary.NativeEndian.Uint64(buf[off:]))
		case 4:
			w = int64(binary.NativeEndian.Uint32(buf[off:]))
		case 2:
			w = int64(binary.NativeEndian.Uint16(buf[off:]))
		default:
			w = int64(buf[off])
		}
		next := b.Block("")
		b.If(ir.EQ, b.Load(m.base, m.off+off, size, false), b.Const(w), next, f)
		b.Continue(next)
		off += size
	}
	b.Jump(t)
}

// equalVals compares two values of comparable types.
func (lw *lowerer) equalVals(x, y val, t, f *ir.Block) {
	b := lw.b
	switch {
	case x.t.Kind == types.Opt || y.t.Kind == types.Opt:
		if x.t.Kind != types.Opt {
			x, y = y, x
		}
		some := b.Block("some")
		if y.t.Kind == types.Opt {
			none, x1 := b.Block("none"), b.Block("")
			b.If(ir.EQ, x.has, b.Const(0), none, x1)
			b.Continue(none)
			b.If(ir.EQ, y.has, b.Const(0), t, f)
			b.Continue(x1)
			b.If(ir.NE, y.has, b.Const(0), some, f)
			b.Continue(some)
			lw.equalVals(*x.inner, *y.inner, t, f)
			return
		}
		b.If(ir.NE, x.has, b.Const(0), some, f)
		b.Continue(some)
		lw.equalVals(*x.inner, y, t, f)
	case x.t.Underlying().Kind == types.Tuple:
		for i := range x.elems {
			next := b.Block("")
			lw.equalVals(x.elems[i], y.elems[i], next, f)
			b.Continue(next)
			if b.Dead() {
				return
			}
		}
		b.Jump(t)
	case x.t.InMemory():
		lw.equalText(text{val: x}, text{val: y}, t, f)
	case x.t.Kind == types.None:
		b.Jump(t)
	case x.t.IsInt() && y.t.IsInt():
		lw.compareInts(syntax.EQL, x.w, x.t, y.w, y.t, t, f)
	default:
		b.If(ir.EQ, x.w, y.w, t, f)
	}
}

var signedCond = map[syntax.Token]ir.Cond{syntax.EQL: ir.EQ, syntax.LT: ir.SLT, syntax.LE: ir.SLE, syntax.GT: ir.SGT, syntax.GE: ir.SGE}
var unsignedCond = map[syntax.Token]ir.Cond{syntax.EQL: ir.EQ, syntax.LT: ir.ULT, syntax.LE: ir.ULE, syntax.GT: ir.UGT, syntax.GE: ir.UGE}

// compareInts compares two integers by value, even if one is signed and the other unsigned: a
// negative number is less than all unsigned ones. A number that is never negative is treated as
// unsigned when compared with an unsigned one, even if it has wrapped.
func (lw *lowerer) compareInts(op syntax.Token, x *ir.Value, tx *types.Type, y *ir.Value, ty *types.Type, t, f *ir.Block) {
	b := lw.b
	ux, uy := tx.Kind == types.Uint, ty.Kind == types.Uint
	ux, uy = ux || uy && tx.NonNeg, uy || ux && ty.NonNeg
	switch {
	case ux && uy:
		b.If(unsignedCond[op], x, y, t, f)
	case !ux && !uy:
		b.If(signedCond[op], x, y, t, f)
	default:
		signed := x
		below := op == syntax.LT || op == syntax.LE // the result if x is the negative one
		if ux {
			signed = y
			below = op == syntax.GT || op == syntax.GE
		}
		pos := b.Block("positive")
		if below {
			b.If(ir.SLT, signed, b.Const(0), t, pos)
		} else {
			b.If(ir.SLT, signed, b.Const(0), f, pos)
		}
		b.Continue(pos)
		b.If(unsignedCond[op], x, y, t, f)
	}
}

// dict lowers the lookup of a key in a captured dict.
func (lw *lowerer) dict(e *eDict) val {
	b := lw.b
	c := lw.newCell(e.t, "dict")
	done, miss := b.Block(""), b.Block("missing")
	var of val
	if e.of != nil {
		of = lw.value(e.of)
	}
	lw.search(e.x, e.dict.Keys, func(i int) {
		if e.of != nil {
			lw.setVal(c, lw.convert(of.elems[i%len(of.elems)], e.t))
		} else {
			k := &eConst{node{constType(e.dict.Vals[i]), e.pos}, e.dict.Vals[i]}
			lw.set(c, convert(k, e.t))
		}
		b.Jump(done)
	}, miss)
	b.Continue(miss)
	if !b.Dead() {
		if e.def != nil {
			lw.set(c, e.def)
			b.Jump(done)
		} else {
			b.B.Cold = true
			errno := errNoEnt
			if e.index {
				errno = errRange
			}
			lw.fail(Site{Pos: e.pos, Op: "[]", Ends: true}, b.Const(int64(-errno)))
			b.Jump(lw.end)
		}
	}
	b.Continue(done)
	return lw.get(c)
}
