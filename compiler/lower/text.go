package lower

import (
	"encoding/binary"

	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// inlineBytes is the most that is copied or cleared by loads and stores; more is done by one call
// of a helper.
const inlineBytes = 256

// fill writes zeros to m from byte off on.
func (lw *Lowerer) fill(m mem, off int) {
	if n := m.cap - off; n > inlineBytes {
		lw.needs.Zeros = max(lw.needs.Zeros, n)
		lw.copyBytes(m.at(off), lw.B.Const(int64(n)), lw.B.MapValue(lw.Req.Zeros, 0))
		return
	}
	for ; off < m.cap; off += 8 {
		lw.B.Store(m.base, m.off+off, 8, lw.B.Const(0))
	}
}

// copyStr copies a string or bytes, and pads it with zeros to the length of dst.
func (lw *Lowerer) copyStr(dst, src mem) {
	n := min(dst.cap, src.cap)
	if n > inlineBytes {
		lw.copyBytes(dst, lw.B.Const(int64(n)), lw.addr(src))
	} else {
		for off := 0; off < n; off += 8 {
			lw.B.Store(dst.base, dst.off+off, 8, lw.B.Load(src.base, src.off+off, 8, false))
		}
	}
	lw.fill(dst, n)
}

// copyBytes copies n bytes of the program's own memory, which cannot fail.
func (lw *Lowerer) copyBytes(dst mem, n, src *ir.Value) {
	lw.Call(asm.FnProbeReadKernel, lw.addr(dst), n, src)
}

// strConst writes a constant.
func (lw *Lowerer) strConst(s string, dst mem) {
	off := 0
	for ; off < min(len(s), dst.cap); off += 8 {
		lw.B.Store(dst.base, dst.off+off, 8, lw.B.Const(constWord(s, off)))
	}
	lw.fill(dst, off)
}

// constWord returns the word at byte off of a constant in memory.
func constWord(s string, off int) int64 {
	var w [8]byte
	if off < len(s) {
		copy(w[:], s[off:])
	}
	return int64(binary.NativeEndian.Uint64(w[:]))
}

// A text is a string or bytes for word-by-word processing: in memory, or a constant.
type text struct {
	Val
	konst  string
	static bool
}

// text returns an expression as a text. Only long constants are put into memory, because a loop
// processes them.
func (lw *Lowerer) text(x tree.Expr) text {
	if k, ok := x.(*tree.ConstExpr); ok && k.T.Cap <= inlineBytes {
		return text{Val{T: k.T, mem: mem{cap: k.T.Cap}}, tree.ConstString(k.Value), true}
	}
	return text{Val: lw.Value(x)}
}

// word returns the word at byte off; after the end there are only zeros.
func (lw *Lowerer) word(x text, off int) *ir.Value {
	switch {
	case x.static:
		return lw.B.Const(constWord(x.konst, off))
	case off >= x.mem.cap:
		return lw.B.Const(0)
	}
	return lw.B.Load(x.mem.base, x.mem.off+off, 8, false)
}

// behind returns the part of x from byte off on.
func (x text) behind(off int) text {
	x.mem = x.mem.at(off)
	if x.static {
		x.konst = x.konst[min(off, len(x.konst)):]
	}
	return x
}

// anywhere hides from the verifier at which of n words a loop was left. Otherwise it would follow
// the code after the loop once for each word.
func (lw *Lowerer) anywhere(off *ir.Value, n int) *ir.Value {
	if n <= 8 {
		return off
	}
	return lw.B.Add(ir.OpHide, off, lw.opaqueZero())
}

// maxUnrolled is how many words are processed by straight-line code; more are processed by a loop.
const maxUnrolled = inlineBytes / 8

// A scan processes n words, from first to last or backwards. work processes one word: at returns
// the word that comes k words after it in text i, off is the byte offset of the word; work ends
// with a jump to next, or out of the scan. More words than unroll are processed by a loop, several
// in each iteration. The verifier follows the loop iteration by iteration and keeps the other
// branch of each jump for later, so one jump must suffice for all words of an iteration. For that,
// test returns a word that is 0 if work on this word would go on to next.
type scan struct {
	xs        []text
	n, unroll int
	group     int
	cost      int // instructions per word, approximately
	back      bool
	test      func(at wordAt) *ir.Value
	work      func(at wordAt, off *ir.Value, next *ir.Block)
}

// wordAt returns the word of text i that is k words after the current one.
type wordAt func(i, k int) *ir.Value

// words returns a scan of the first n words of texts.
func words(n, cost int, xs ...text) scan {
	return scan{xs: xs, n: n, unroll: maxUnrolled, group: 8, cost: cost}
}

func (lw *Lowerer) scan(s scan) {
	looped := s.n / s.group * s.group
	if s.n <= s.unroll {
		looped = 0
	}
	one := func(i int) {
		next := lw.B.Block("")
		s.work(func(x, k int) *ir.Value { return lw.word(s.xs[x], 8*(i+k)) }, lw.B.Const(int64(8*i)), next)
		lw.B.Continue(next)
	}
	if s.back {
		for i := s.n - 1; i >= looped; i-- {
			one(i)
		}
	}
	if looped > 0 {
		lw.scanLoop(s, looped)
	}
	if !s.back {
		for i := looped; i < s.n; i++ {
			one(i)
		}
	}
}

// scanLoop processes n words, a multiple of s.group.
func (lw *Lowerer) scanLoop(s scan, n int) {
	b := lw.B
	lw.walked += n * s.cost * lw.times
	lw.budget.work += n * s.cost * lw.times
	lw.jumps += n / s.group * lw.times
	by := int64(8 * s.group)
	first, last := int64(0), int64(8*n)-by
	if s.back {
		first, last, by = last, 0, -by
	}
	i := new(int)
	b.Write(i, b.Const(first))
	b.InLoop(func() {
		head, hit, next, step, done := b.Block("words"), b.Block("hit"), b.Block("next"), b.Block("step"), b.Block("")
		b.Jump(head)
		b.Start(head)
		off := b.Read(i)
		base := make([]*ir.Value, len(s.xs))
		for x := range s.xs {
			base[x] = b.Add(ir.OpAdd, s.xs[x].mem.base, off)
		}
		from := func(w int) wordAt {
			return func(x, k int) *ir.Value { return b.Load(base[x], s.xs[x].mem.off+8*(w+k), 8, false) }
		}
		any := b.Const(0)
		for w := range s.group {
			any = b.Add(ir.OpOr, s.test(from(w)), any)
		}
		// The hit falls through: the verifier keeps the other branch for later, one at a time.
		b.If(ir.EQ, any, b.Const(0), next, hit)
		b.Continue(hit)
		for w := range s.group {
			if s.back {
				w = s.group - 1 - w
			}
			other := b.Block("")
			s.work(from(w), b.Add(ir.OpAdd, off, b.Const(int64(8*w))), other)
			b.Continue(other)
		}
		b.Jump(next)
		b.Continue(next)
		b.If(ir.EQ, off, b.Const(last), done, step)
		b.Continue(step)
		b.Write(i, b.Add(ir.OpAdd, off, b.Const(by)))
		b.Jump(head)
		b.Seal(head)
		b.Continue(done)
	})
}

// nonZero jumps to t if there is a byte that is not 0, else to f.
func (lw *Lowerer) nonZero(x text, t, f *ir.Block) {
	b := lw.B
	n := x.mem.cap / 8
	if n > 8 {
		s := words(n, 6, x)
		s.test = func(at wordAt) *ir.Value { return at(0, 0) }
		s.work = func(at wordAt, _ *ir.Value, next *ir.Block) { b.If(ir.EQ, at(0, 0), b.Const(0), next, t) }
		lw.scan(s)
		b.Jump(f)
		return
	}
	all := b.Const(0)
	for off := 0; off < x.mem.cap; off += 8 {
		all = b.Add(ir.OpOr, lw.word(x, off), all)
	}
	b.If(ir.NE, all, b.Const(0), t, f)
}

// lowBits is a word with the lowest bit of each byte set.
const lowBits = 0x0101010101010101

// highBits is a word with the highest bit of each byte set.
const highBits = -0x7f7f7f7f7f7f7f80

// zeroBytes returns a word in which the highest bit of each byte is set where that byte of w is 0.
// It is exact up to the first zero byte.
func (lw *Lowerer) zeroBytes(w *ir.Value) *ir.Value {
	b := lw.B
	return b.Add(ir.OpAnd, b.Add(ir.OpAnd, b.Add(ir.OpSub, w, b.Const(lowBits)), b.Add(ir.OpXor, w, b.Const(-1))), b.Const(highBits))
}

// firstByte returns the number, from 1, of the first byte that has its highest bit set in marks, a
// word that is not 0 and has no other bits set.
func (lw *Lowerer) firstByte(marks *ir.Value) *ir.Value {
	b := lw.B
	// The bits below the lowest set bit, one in each byte up to and including the first marked one;
	// the multiplication leaves their sum in the top byte.
	below := b.Add(ir.OpSub, b.Add(ir.OpAnd, marks, b.Add(ir.OpNeg, marks)), b.Const(1))
	return b.Add(ir.OpLShr, b.Add(ir.OpMul, b.Add(ir.OpAnd, below, b.Const(lowBits)), b.Const(lowBits)), b.Const(56))
}

// length computes the length in bytes, a word at a time, because few branches keep the verifier's
// work small.
func (lw *Lowerer) length(x text) *ir.Value {
	b := lw.B
	switch {
	case x.static:
		return b.Const(int64(len(x.konst)))
	case x.T.Kind != types.Str:
		return b.Const(int64(x.T.Len))
	}
	n, done := new(int), b.Block("len")
	s := words(x.mem.cap/8, 28, x)
	if x.T.NULs { // up to the last byte that is not 0
		s.back = true
		s.test = func(at wordAt) *ir.Value { return at(0, 0) }
		s.work = func(at wordAt, off *ir.Value, next *ir.Block) {
			found := b.Block("last")
			w := at(0, 0)
			b.If(ir.EQ, w, b.Const(0), next, found)
			b.Continue(found)
			w = b.Add(ir.OpByteSwap, w)
			low7 := b.Add(ir.OpAnd, w, b.Const(^highBits))
			marks := b.Add(ir.OpAnd, b.Add(ir.OpOr, b.Add(ir.OpAdd, low7, b.Const(^highBits)), w), b.Const(highBits))
			b.Write(n, b.Add(ir.OpAdd, b.Add(ir.OpSub, b.Const(9), lw.firstByte(marks)), lw.anywhere(off, s.n)))
			b.Jump(done)
		}
		lw.scan(s)
		b.Write(n, b.Const(0))
	} else {
		s.test = func(at wordAt) *ir.Value { return lw.zeroBytes(at(0, 0)) }
		s.work = func(at wordAt, off *ir.Value, next *ir.Block) {
			found := b.Block("nul")
			zero := lw.zeroBytes(at(0, 0))
			b.If(ir.EQ, zero, b.Const(0), next, found)
			b.Continue(found)
			b.Write(n, b.Add(ir.OpAdd, lw.firstByte(zero), b.Add(ir.OpSub, lw.anywhere(off, s.n), b.Const(1))))
			b.Jump(done)
		}
		lw.scan(s)
		b.Write(n, b.Const(int64(x.mem.cap-1))) // never: the last byte is NUL
	}
	b.Jump(done)
	b.Continue(done)
	return b.Read(n)
}

// lowBytes returns a word with the first n bytes set: none if n is negative, all if it is 8 or
// more.
func (lw *Lowerer) lowBytes(n *ir.Value) *ir.Value {
	b := lw.B
	if k, ok := n.IsConst(); ok {
		switch {
		case k <= 0:
			return b.Const(0)
		case k >= 8:
			return b.Const(-1)
		}
		return b.Const(1<<(8*k) - 1)
	}
	all := b.Add(ir.OpXor, b.Add(ir.OpAShr, b.Add(ir.OpSub, n, b.Const(8)), b.Const(63)), b.Const(-1))
	some := b.Add(ir.OpAShr, b.Add(ir.OpNeg, n), b.Const(63))
	part := b.Add(ir.OpSub, b.Add(ir.OpShl, b.Const(1), b.Add(ir.OpShl, b.Add(ir.OpAnd, n, b.Const(7)), b.Const(3))), b.Const(1))
	return b.Add(ir.OpAnd, b.Add(ir.OpOr, part, all), some)
}

// atMost returns the smaller of n, which is unsigned, and limit; more is 1 if n is the larger, else
// 0.
func (lw *Lowerer) atMost(n *ir.Value, limit int64) (least, more *ir.Value) {
	b := lw.B
	if k, ok := n.IsConst(); ok && uint64(k) <= uint64(limit) {
		return n, b.Const(0)
	}
	l, m := new(int), new(int)
	over, done := b.Block("over the limit"), b.Block("")
	b.Write(l, n)
	b.Write(m, b.Const(0))
	b.If(ir.UGT, n, b.Const(limit), over, done)
	b.Continue(over)
	b.Write(l, b.Const(limit))
	b.Write(m, b.Const(1))
	b.Jump(done)
	b.Continue(done)
	return b.Read(l), b.Read(m)
}
