package lower

import (
	"encoding/binary"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// This file lowers operations on strings and bytes. They live in memory padded with zeros, so two
// of them are equal if their words are, and they sort as their words do when read as big-endian
// numbers. What depends on a position known only at run time (the end of a string, s[i]) is first
// copied by a helper to where it can be read at a fixed offset: older kernels do not allow reading
// the stack at a variable offset.

// equalText compares two texts.
func (lw *Lowerer) equalText(x, y text, t, f *ir.Block) {
	b := lw.B
	if x.T.Kind == types.Bytes && x.T.Len != y.T.Len {
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
	if y.mem.cap > n && y.T.NULs {
		lw.nonZero(y.behind(n), f, t)
		return
	}
	b.Jump(t)
}

// equalStr compares a string or bytes with a constant.
func (lw *Lowerer) equalStr(v Val, s string, t, f *ir.Block) {
	switch {
	case v.T.Kind == types.Bytes && v.T.Len != len(s), v.T.Kind == types.Str && (len(s) >= v.mem.cap || tree.EndsInNUL(s)):
		lw.B.Jump(f)
	case v.T.Kind == types.Bytes || v.T.NULs:
		k := &tree.ConstExpr{Node: tree.Node{T: types.TNULStr(len(s))}, Value: s}
		if v.T.Kind == types.Bytes {
			k.T = v.T
		}
		lw.equalText(lw.text(k), text{Val: v}, t, f)
	default:
		lw.prefix(v.mem, s, len(s)+1, t, f)
	}
}

// differ finds the first words in which two texts differ.
func (lw *Lowerer) differ(x, y text, equal *ir.Block, found func(xw, yw, off *ir.Value)) {
	b := lw.B
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
		if l.mem.cap <= n || l.T.Kind == types.Str && !l.T.NULs {
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
func (lw *Lowerer) order(op syntax.Token, x, y text, t, f *ir.Block) {
	b := lw.B
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
		if tree.Ordered(op, x.T.Len-y.T.Len) {
			b.Jump(t)
		} else {
			b.Jump(f)
		}
	}
}

func (lw *Lowerer) swap(w *ir.Value) *ir.Value { return lw.B.Add(ir.OpByteSwap, w) }

// affix jumps to t if x begins, or ends, with p, else to f.
func (lw *Lowerer) affix(x Val, p text, end bool, t, f *ir.Block) {
	b := lw.B
	switch {
	case p.static && p.konst == "":
		b.Jump(t)
	case p.static && (len(p.konst) >= x.mem.cap || tree.EndsInNUL(p.konst)):
		b.Jump(f)
	case end:
		lw.suffix(x, p, t, f)
	case p.static:
		lw.prefix(x.mem, p.konst, len(p.konst), t, f)
	default:
		lw.differ(text{Val: x}, p, t, func(xw, pw, off *ir.Value) {
			mask := lw.lowBytes(b.Add(ir.OpSub, lw.length(p), off))
			b.If(ir.EQ, b.Add(ir.OpAnd, b.Add(ir.OpXor, xw, pw), mask), b.Const(0), t, f)
		})
	}
}

// suffix copies the end of x, as long as p, to where it can be compared with p.
func (lw *Lowerer) suffix(x Val, p text, t, f *ir.Block) {
	b := lw.B
	n := lw.length(p)
	at := b.Pin(b.Add(ir.OpSub, lw.length(text{Val: x}), n))
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
	lw.equalText(text{Val: Val{T: p.T, mem: tmp}}, p, t, f)
}

// index lowers s[i], whose result is a string, or bytes, of one byte. An index out of range ends
// the handler.
func (lw *Lowerer) index(e *tree.IndexExpr) Val {
	b := lw.B
	x := lw.text(e.X)
	x = lw.inMemory(x)
	i := lw.Value(e.I).W
	b.Pos = e.Pos
	n := lw.length(x)
	bad, good := b.Block("out of range"), b.Block("")
	bad.Cold = true
	k, static := i.IsConst()
	switch {
	case static && k >= 0:
		b.If(ir.ULE, n, i, bad, good)
	case static:
		i = b.Add(ir.OpAdd, n, i)
	case e.I.Type().Kind == types.Int:
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
		lw.Fail(Site{Pos: e.Pos, Op: "[]", Ends: true}, b.Const(-errRange))
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
	return Val{T: e.T, mem: dst}
}

// inMemory puts a constant into memory.
func (lw *Lowerer) inMemory(x text) text {
	if !x.static {
		return x
	}
	m := lw.allocTemp(x.mem.cap, "string")
	lw.strConst(x.konst, m)
	return text{Val: Val{T: x.T, mem: m}}
}

// slice lowers s[lo:hi]. If both count from the start, the zeros after a string end it; otherwise
// the length of the string is computed.
func (lw *Lowerer) slice(e *tree.SliceExpr) Val {
	b := lw.B
	x := text{Val: lw.Value(e.X)}
	dst := lw.allocTemp(e.T.Cap, "slice")
	most := int64(e.Most)
	lw.fill(dst, 0)
	if e.Most == 0 {
		return Val{T: e.T, mem: dst}
	}
	runtime := map[tree.Expr]*ir.Value{}
	for _, x := range []tree.Expr{e.XLo, e.XHi} {
		if x != nil {
			runtime[x] = lw.Value(x).W
		}
	}
	if e.Lo >= 0 && e.Hi >= 0 && len(runtime) == 0 {
		lw.copyBytes(dst, b.Const(most), lw.addr(x.mem.at(int(e.Lo))))
		return Val{T: e.T, mem: dst}
	}
	n := lw.length(x)
	bound := func(i int64) *ir.Value {
		if i >= 0 {
			return b.Const(i)
		}
		return b.Add(ir.OpAdd, n, b.Const(i))
	}
	lo, hi := bound(e.Lo), n
	if e.Lo < 0 { // negative counts as 0
		lo = b.Add(ir.OpAnd, lo, b.Add(ir.OpXor, b.Add(ir.OpAShr, lo, b.Const(63)), b.Const(-1)))
	}
	switch {
	case e.Hi >= 0:
		hi, _ = lw.atMost(n, e.Hi)
	case e.Hi != tree.SliceEnd:
		hi = bound(e.Hi)
	}
	// inText returns a run-time bound clamped to the text; a negative one counts from the end.
	inText := func(x tree.Expr) *ir.Value {
		v := runtime[x]
		if x.Type().Kind == types.Uint {
			v, _ = lw.atMost(v, tree.MaxStr)
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
	if e.XLo != nil {
		lo = inText(e.XLo)
	}
	if e.XHi != nil {
		hi = inText(e.XHi)
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
	return Val{T: e.T, mem: dst}
}

// readBytes reads buf(ptr, n); the result is zeros if that fails.
func (lw *Lowerer) readBytes(e *tree.BufExpr, dst mem) {
	addr := lw.Value(e.Ptr).W
	lw.fill(dst, e.T.Len&^7)
	lw.readInto(memRead{space: spaceOfAddr(e.Ptr.Type()), addr: addr, op: "buf", pos: e.Pos}, dst, e.T.Len, false)
}

// Ord lowers ord(b).
func Ord(lw *Lowerer, e *tree.BuiltinExpr) Val {
	m := lw.Value(e.Args[0]).mem
	return Scalar(e.T, lw.B.Load(m.base, m.off, 1, false))
}

// Affix lowers startswith and endswith to a value.
func Affix(lw *Lowerer, e *tree.MethodExpr) Val {
	return lw.SelectValue(types.TBool, func(yes, no *ir.Block) { AffixCond(lw, e, yes, no) }, tree.BoolConst(true, e.Pos), tree.BoolConst(false, e.Pos))
}

// AffixCond lowers startswith and endswith to a condition.
func AffixCond(lw *Lowerer, e *tree.MethodExpr, t, f *ir.Block) {
	x := lw.Value(e.X)
	var ps []text
	for _, p := range e.Args {
		ps = append(ps, lw.text(p))
	}
	for _, p := range ps {
		next := lw.B.Block("")
		lw.affix(x, p, e.Name == "endswith", t, next)
		lw.B.Continue(next)
	}
	lw.B.Jump(f)
}

// Len lowers len(s) of a string.
func Len(lw *Lowerer, e *tree.BuiltinExpr) Val {
	return Scalar(types.TNat, lw.length(text{Val: lw.Value(e.Args[0])}))
}

// prefix compares the first n bytes of a string in memory with those of s, padded with NULs.
func (lw *Lowerer) prefix(m mem, s string, n int, t, f *ir.Block) {
	b := lw.B
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
