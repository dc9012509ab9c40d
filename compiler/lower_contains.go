package compiler

import (
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// x in y examines the positions of y eight at a time. If none of the eight bytes is the first byte
// of x, the next eight follow; otherwise x is compared at each of the eight positions, without
// jumps, and one jump decides whether one of them matched. So the verifier has two jumps to follow
// for eight positions, whatever x is.

// A pattern is the text or byte to search for: words, with a mask of the bits that count in each.
type pattern struct {
	word  []func() *ir.Value
	mask  []func() *ir.Value
	first *ir.Value // its first byte, repeated eight times
	least int       // its minimum length in bytes
}

// pattern prepares x for the search: a byte w, or the text p. If it is empty, control continues at
// t.
func (lw *lowerer) pattern(x expr, w *ir.Value, p text, t *ir.Block) pattern {
	b := lw.b
	if w != nil { // a byte
		bad, good := b.Block("no byte"), b.Block("")
		bad.Cold = true
		b.If(ir.ULE, w, b.Const(255), good, bad)
		b.Continue(bad)
		if !b.Dead() {
			lw.fail(Site{Pos: x.position(), Op: "in", Ends: true}, b.Const(-errRange))
			b.Jump(lw.end)
		}
		b.Continue(good)
		return pattern{[]func() *ir.Value{func() *ir.Value { return w }}, []func() *ir.Value{func() *ir.Value { return b.Const(255) }}, b.Add(ir.OpMul, w, b.Const(lowBits)), 1}
	}
	n := lw.length(p)
	size, known := n.IsConst()
	if known && size == 0 {
		b.Jump(t)
		return pattern{}
	}
	if !known {
		size = 1
		some := b.Block("some")
		b.If(ir.EQ, n, b.Const(0), t, some)
		b.Continue(some)
	}
	nd := pattern{least: int(size)}
	words := p.mem.cap / 8
	if known {
		words = int(size+7) / 8
	}
	for i := range words {
		nd.word = append(nd.word, func() *ir.Value { return lw.word(p, 8*i) })
		mask := func() *ir.Value { return lw.lowBytes(b.Add(ir.OpSub, n, b.Const(int64(8*i)))) }
		if words <= fewWords {
			kept := mask()
			mask = func() *ir.Value { return kept }
		}
		nd.mask = append(nd.mask, mask)
	}
	nd.first = b.Add(ir.OpMul, b.Add(ir.OpAnd, lw.word(p, 0), b.Const(255)), b.Const(lowBits))
	return nd
}

func (lw *lowerer) contains(e *eContains, t, f *ir.Block) {
	b := lw.b
	var w *ir.Value
	var p text
	if e.x.typ().IsInt() {
		w = lw.value(e.x).w
	} else {
		p = lw.text(e.x)
	}
	y := lw.text(e.y)
	nd := lw.pattern(e.x, w, p, t)
	if b.Dead() {
		return
	}
	room := y.mem.cap - 1
	if y.t.Kind == types.Bytes {
		room = y.t.Len
	}
	last := room - nd.least // the last position
	if last < 0 {
		b.Jump(f)
		return
	}
	// the positions in whole words of y for which all words of x are compared with words of y
	k := len(nd.word)
	looped := min((last+1)/8, y.mem.cap/8-k)
	all := last/8 + 1
	if all*k <= 6 {
		looped = 0
	}
	looped = max(looped, 0)
	if looped > 0 {
		y = lw.inMemory(y)
		s := words(looped, 40+80*k, y)
		s.unroll, s.group = 0, min(max(16/k, 1), 8, looped)
		s.test = func(at wordAt) *ir.Value { return lw.zeroBytes(b.Add(ir.OpXor, at(0, 0), nd.first)) }
		s.work = func(at wordAt, _ *ir.Value, next *ir.Block) {
			lw.match8(nd, 8, func(k int) *ir.Value { return at(0, k) }, t, next)
		}
		lw.scan(s)
	}
	for g := looped; g < all; g++ {
		next := b.Block("")
		lw.match8(nd, min(8, last-8*g+1), func(k int) *ir.Value { return lw.word(y, 8*(g+k)) }, t, next)
		b.Continue(next)
	}
	b.Jump(f)
}

// fewWords is how many words of a pattern are kept while positions are compared; those of a longer
// one are loaded for each position, because they would not fit on the stack.
const fewWords = 6

// match8 examines the first positions of a word; at returns the words from that one on.
func (lw *lowerer) match8(nd pattern, places int, at func(k int) *ir.Value, t, f *ir.Block) {
	b := lw.b
	w0 := at(0)
	maybe := b.Block("maybe")
	b.If(ir.EQ, lw.zeroBytes(b.Add(ir.OpXor, w0, nd.first)), b.Const(0), f, maybe)
	b.Continue(maybe)
	word, mine := func(k int) *ir.Value { return nd.word[k]() }, at
	if len(nd.word) <= fewWords {
		ws, ns := []*ir.Value{w0}, []*ir.Value{}
		for k := range nd.word {
			ws, ns = append(ws, at(k+1)), append(ns, word(k))
		}
		word, mine = func(k int) *ir.Value { return ns[k] }, func(k int) *ir.Value { return ws[k] }
	}
	hit := b.Const(0)
	for j := range places {
		diff := b.Const(0)
		for k := range nd.word {
			w := mine(k)
			if j > 0 {
				w = b.Add(ir.OpOr, b.Add(ir.OpLShr, w, b.Const(int64(8*j))), b.Add(ir.OpShl, mine(k+1), b.Const(int64(64-8*j))))
			}
			diff = b.Add(ir.OpOr, b.Add(ir.OpAnd, b.Add(ir.OpXor, w, word(k)), nd.mask[k]()), diff)
		}
		// the highest bit is set where diff is 0
		hit = b.Add(ir.OpOr, b.Add(ir.OpAnd, b.Add(ir.OpSub, diff, b.Const(1)), b.Add(ir.OpXor, diff, b.Const(-1))), hit)
	}
	b.If(ir.SGE, hit, b.Const(0), f, t)
}
