package compiler

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// This file lowers operations on strings and bytes. They live in memory padded with zeros, so two
// of them are equal if their words are, and they sort as their words do when read as big-endian
// numbers. What depends on a position known only at run time (the end of a string, s[i]) is first
// copied by a helper to where it can be read at a fixed offset: older kernels do not allow reading
// the stack at a variable offset.

// equalText compares two texts.
func (lw *lowerer) equalText(x, y text, t, f *ir.Block) {
	b := lw.b
	if x.t.Kind == types.Bytes && x.t.Len != y.t.Len {
		b.Jump(f)
		return
	}
	if x.mem.cap > y.mem.cap {
		x, y = y, x
	}
	n := x.mem.cap
	s := words(n/8, 11, x, y)
	s.test = func(at wordAt) *ir.Value { return b.Add(ir.OpXor, at(0, 0), at(1, 0)) }
	s.work = func(at wordAt, _ *ir.Value, next *ir.Block) { b.If(ir.EQ, at(0, 0), at(1, 0), next, f) }
	lw.scan(s)
	// The shorter memory ends with a NUL, and so does the string in the longer one, if it contains
	// no NUL itself.
	if y.mem.cap > n && y.t.NULs {
		lw.nonZero(y.behind(n), f, t)
		return
	}
	b.Jump(t)
}

// equalStr compares a string or bytes with a constant.
func (lw *lowerer) equalStr(v val, s string, t, f *ir.Block) {
	switch {
	case v.t.Kind == types.Bytes && v.t.Len != len(s), v.t.Kind == types.Str && (len(s) >= v.mem.cap || endsInNUL(s)):
		lw.b.Jump(f)
	case v.t.Kind == types.Bytes || v.t.NULs:
		k := &eConst{node{t: types.TNULStr(len(s))}, s}
		if v.t.Kind == types.Bytes {
			k.t = v.t
		}
		lw.equalText(lw.text(k), text{val: v}, t, f)
	default:
		lw.prefix(v.mem, s, len(s)+1, t, f)
	}
}

// differ finds the first words in which two texts differ.
func (lw *lowerer) differ(x, y text, equal *ir.Block, found func(xw, yw, off *ir.Value)) {
	b := lw.b
	xw, yw, at0 := new(int), new(int), new(int)
	diff := b.Block("differ")
	n := min(x.mem.cap, y.mem.cap)
	s := words(n/8, 16, x, y)
	s.test = func(at wordAt) *ir.Value { return b.Add(ir.OpXor, at(0, 0), at(1, 0)) }
	s.work = func(at wordAt, off *ir.Value, next *ir.Block) {
		v, w := at(0, 0), at(1, 0)
		b.Write(xw, v)
		b.Write(yw, w)
		b.Write(at0, off)
		b.If(ir.EQ, v, w, next, diff)
	}
	lw.scan(s)
	for i, l := range []text{x, y} {
		if l.mem.cap <= n || l.t.Kind == types.Str && !l.t.NULs {
			continue
		}
		s := words((l.mem.cap-n)/8, 8, l.behind(n))
		s.test = func(at wordAt) *ir.Value { return at(0, 0) }
		s.work = func(at wordAt, off *ir.Value, next *ir.Block) {
			v := at(0, 0)
			b.Write(xw, b.Const(0))
			b.Write(yw, b.Const(0))
			b.Write([]*int{xw, yw}[i], v)
			b.Write(at0, b.Add(ir.OpAdd, off, b.Const(int64(n))))
			b.If(ir.EQ, v, b.Const(0), next, diff)
		}
		lw.scan(s)
	}
	b.Jump(equal)
	b.Continue(diff)
	if !b.Dead() {
		found(b.Read(xw), b.Read(yw), lw.anywhere(b.Read(at0), max(x.mem.cap, y.mem.cap)/8))
	}
}

// order compares two texts byte by byte.
func (lw *lowerer) order(op syntax.Token, x, y text, t, f *ir.Block) {
	b := lw.b
	less := op == syntax.LT || op == syntax.LE
	same := b.Block("same")
	lw.differ(x, y, same, func(xw, yw, _ *ir.Value) {
		cond := ir.UGT
		if less {
			cond = ir.ULT
		}
		b.If(cond, lw.swap(xw), lw.swap(yw), t, f)
	})
	b.Continue(same)
	if !b.Dead() { // bytes may still differ in length, if one ends in zeros
		if ordered(op, x.t.Len-y.t.Len) {
			b.Jump(t)
		} else {
			b.Jump(f)
		}
	}
}

func (lw *lowerer) swap(w *ir.Value) *ir.Value { return lw.b.Add(ir.OpByteSwap, w) }

// affix jumps to t if x begins, or ends, with p, else to f.
func (lw *lowerer) affix(x val, p text, end bool, t, f *ir.Block) {
	b := lw.b
	switch {
	case p.static && p.konst == "":
		b.Jump(t)
	case p.static && (len(p.konst) >= x.mem.cap || endsInNUL(p.konst)):
		b.Jump(f)
	case end:
		lw.suffix(x, p, t, f)
	case p.static:
		lw.prefix(x.mem, p.konst, len(p.konst), t, f)
	default:
		lw.differ(text{val: x}, p, t, func(xw, pw, off *ir.Value) {
			mask := lw.lowBytes(b.Add(ir.OpSub, lw.length(p), off))
			b.If(ir.EQ, b.Add(ir.OpAnd, b.Add(ir.OpXor, xw, pw), mask), b.Const(0), t, f)
		})
	}
}

// suffix copies the end of x, as long as p, to where it can be compared with p.
func (lw *lowerer) suffix(x val, p text, t, f *ir.Block) {
	b := lw.b
	n := lw.length(p)
	at := b.Pin(b.Add(ir.OpSub, lw.length(text{val: x}), n))
	fits, short := b.Block(""), b.Block("")
	b.If(ir.ULT, at, b.Const(int64(x.mem.cap)), fits, f) // if p is longer than x, at is negative
	b.Continue(fits)
	src := b.Add(ir.OpAdd, lw.addr(x.mem), at)
	tmp := lw.allocTemp(p.mem.cap, "end")
	lw.fill(tmp, 0)
	if !p.static {
		n = b.Pin(n)
		b.If(ir.ULE, n, b.Const(int64(p.mem.cap)), short, f) // always; the verifier requires it
		b.Continue(short)
	}
	lw.copyBytes(tmp, n, src)
	lw.equalText(text{val: val{t: p.t, mem: tmp}}, p, t, f)
}

// index lowers s[i], whose result is a string, or bytes, of one byte. An index out of range ends
// the handler.
func (lw *lowerer) index(e *eIndex) val {
	b := lw.b
	x := lw.text(e.x)
	x = lw.inMemory(x)
	i := lw.value(e.i).w
	b.Pos = e.pos
	n := lw.length(x)
	bad, good := b.Block("out of range"), b.Block("")
	bad.Cold = true
	k, static := i.IsConst()
	switch {
	case static && k >= 0:
		b.If(ir.ULE, n, i, bad, good)
	case static:
		i = b.Add(ir.OpAdd, n, i)
	case e.i.typ().Kind == types.Int:
		i = b.Add(ir.OpAdd, i, b.Add(ir.OpAnd, n, b.Add(ir.OpAShr, i, b.Const(63))))
	}
	if !b.Dead() {
		least := n
		if _, known := n.IsConst(); !known {
			inside := b.Block("")
			b.If(ir.UGE, i, n, bad, inside)
			b.Continue(inside)
			least = b.Const(int64(x.mem.cap)) // never; the verifier requires it
		}
		i = b.Pin(i)
		b.If(ir.UGE, i, least, bad, good)
	}
	b.Continue(bad)
	if !b.Dead() {
		lw.fail(Site{Pos: e.pos, Op: "[]", Ends: true}, b.Const(-errRange))
		b.Jump(lw.end)
	}
	b.Continue(good)
	dst := lw.allocTemp(8, "byte")
	b.Store(dst.base, dst.off, 8, b.Const(0))
	if static && k >= 0 {
		if int(k) < x.mem.cap {
			b.Store(dst.base, dst.off, 1, b.Load(x.mem.base, x.mem.off+int(k), 1, false))
		}
	} else {
		lw.copyBytes(dst, b.Const(1), b.Add(ir.OpAdd, lw.addr(x.mem), i))
	}
	return val{t: e.t, mem: dst}
}

// inMemory puts a constant into memory.
func (lw *lowerer) inMemory(x text) text {
	if !x.static {
		return x
	}
	m := lw.allocTemp(x.mem.cap, "string")
	lw.strConst(x.konst, m)
	return text{val: val{t: x.t, mem: m}}
}

// slice lowers s[lo:hi]. If both count from the start, the zeros after a string end it; otherwise
// the length of the string is computed.
func (lw *lowerer) slice(e *eSlice) val {
	b := lw.b
	x := text{val: lw.value(e.x)}
	dst := lw.allocTemp(e.t.Cap, "slice")
	most := int64(e.most)
	lw.fill(dst, 0)
	if e.most == 0 {
		return val{t: e.t, mem: dst}
	}
	runtime := map[expr]*ir.Value{}
	for _, x := range []expr{e.xlo, e.xhi} {
		if x != nil {
			runtime[x] = lw.value(x).w
		}
	}
	if e.lo >= 0 && e.hi >= 0 && len(runtime) == 0 {
		lw.copyBytes(dst, b.Const(most), lw.addr(x.mem.at(int(e.lo))))
		return val{t: e.t, mem: dst}
	}
	n := lw.length(x)
	bound := func(i int64) *ir.Value {
		if i >= 0 {
			return b.Const(i)
		}
		return b.Add(ir.OpAdd, n, b.Const(i))
	}
	lo, hi := bound(e.lo), n
	if e.lo < 0 { // negative counts as 0
		lo = b.Add(ir.OpAnd, lo, b.Add(ir.OpXor, b.Add(ir.OpAShr, lo, b.Const(63)), b.Const(-1)))
	}
	switch {
	case e.hi >= 0:
		hi, _ = lw.atMost(n, e.hi)
	case e.hi != sliceEnd:
		hi = bound(e.hi)
	}
	// inText returns a run-time bound clamped to the text; a negative one counts from the end.
	inText := func(x expr) *ir.Value {
		v := runtime[x]
		if x.typ().Kind == types.Uint {
			v, _ = lw.atMost(v, MaxStr)
		} else {
			v = b.Add(ir.OpAdd, v, b.Add(ir.OpAnd, n, b.Add(ir.OpAShr, v, b.Const(63))))
			v = b.Add(ir.OpAnd, v, b.Add(ir.OpXor, b.Add(ir.OpAShr, v, b.Const(63)), b.Const(-1)))
		}
		least := new(int)
		over, done := b.Block("over"), b.Block("")
		b.Write(least, v)
		b.If(ir.UGT, v, n, over, done)
		b.Continue(over)
		b.Write(least, n)
		b.Jump(done)
		b.Continue(done)
		return b.Read(least)
	}
	if e.xlo != nil {
		lo = inText(e.xlo)
	}
	if e.xhi != nil {
		hi = inText(e.xhi)
	}
	some, inside, fits, done := b.Block("some"), b.Block(""), b.Block(""), b.Block("")
	size := b.Add(ir.OpSub, hi, lo)
	b.If(ir.SGT, size, b.Const(0), some, done)
	b.Continue(some)
	lo = b.Pin(lo)
	// Both tests always succeed; the verifier requires them.
	b.If(ir.ULE, lo, b.Const(int64(x.mem.cap)), inside, done)
	b.Continue(inside)
	src := b.Add(ir.OpAdd, lw.addr(x.mem), lo)
	size = b.Pin(size)
	b.If(ir.ULE, size, b.Const(most), fits, done)
	b.Continue(fits)
	lw.copyBytes(dst, size, src)
	b.Jump(done)
	b.Continue(done)
	return val{t: e.t, mem: dst}
}

// readBytes reads buf(ptr, n); the result is zeros if that fails.
func (lw *lowerer) readBytes(e *eBuf, dst mem) {
	addr := lw.value(e.ptr).w
	lw.fill(dst, e.t.Len&^7)
	lw.readInto(memRead{space: spaceOfAddr(e.ptr.typ()), addr: addr, op: "buf", pos: e.pos}, dst, e.t.Len, false)
}

func lowerOrd(lw *lowerer, e *eBuiltin) val {
	m := lw.value(e.args[0]).mem
	return scalar(e.t, lw.b.Load(m.base, m.off, 1, false))
}

func lowerAffix(lw *lowerer, e *eMethod) val {
	return lw.selectValue(types.TBool, func(yes, no *ir.Block) { jumpAffix(lw, e, yes, no) }, boolConst(true, e.pos), boolConst(false, e.pos))
}

func jumpAffix(lw *lowerer, e *eMethod, t, f *ir.Block) {
	x := lw.value(e.recv)
	var ps []text
	for _, p := range e.args {
		ps = append(ps, lw.text(p))
	}
	for _, p := range ps {
		next := lw.b.Block("")
		lw.affix(x, p, e.name == "endswith", t, next)
		lw.b.Continue(next)
	}
	lw.b.Jump(f)
}

func lowerLen(lw *lowerer, e *eBuiltin) val {
	return scalar(types.TNat, lw.length(text{val: lw.value(e.args[0])}))
}
