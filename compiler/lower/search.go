package lower

import (
	"math/big"
	"sort"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
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
func (lw *Lowerer) pattern(x tree.Expr, w *ir.Value, p text, t *ir.Block) pattern {
	b := lw.B
	if w != nil { // a byte
		bad, good := b.Block("no byte"), b.Block("")
		bad.Cold = true
		b.If(ir.ULE, w, b.Const(255), good, bad)
		b.Continue(bad)
		if !b.Dead() {
			lw.Fail(Site{Pos: x.Position(), Op: "in", Ends: true}, b.Const(-errRange))
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

func (lw *Lowerer) contains(e *tree.ContainsExpr, t, f *ir.Block) {
	b := lw.B
	var w *ir.Value
	var p text
	if e.X.Type().IsInt() {
		w = lw.Value(e.X).W
	} else {
		p = lw.text(e.X)
	}
	y := lw.text(e.Y)
	nd := lw.pattern(e.X, w, p, t)
	if b.Dead() {
		return
	}
	room := y.mem.cap - 1
	if y.T.Kind == types.Bytes {
		room = y.T.Len
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
func (lw *Lowerer) match8(nd pattern, places int, at func(k int) *ir.Value, t, f *ir.Block) {
	b := lw.B
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

// search compares x with constants: integers by binary search, everything else one after the other.
// hit is called with the builder at the point where x is list[i]; it must end the block.
func (lw *Lowerer) search(x tree.Expr, list []any, hit func(i int), miss *ir.Block) {
	b := lw.B
	v := lw.Value(x)
	switch {
	case v.T.Kind == types.Str && !v.T.NULs || v.T.Kind == types.Bytes:
		lw.searchText(v, list, hit, miss)
		return
	case !v.T.IsInt():
		for i, k := range list {
			found, next := b.Block("found"), b.Block("")
			lw.equalConst(v, k, found, next)
			b.Continue(found)
			if !b.Dead() {
				hit(i)
			}
			b.Continue(next)
			if b.Dead() {
				return
			}
		}
		b.Jump(miss)
		return
	}
	type entry struct {
		n *big.Int
		i int
	}
	var es []entry
	for i, k := range list {
		if n, ok := k.(*big.Int); ok && !outside(n, v.T) {
			es = append(es, entry{n, i})
		}
	}
	sort.SliceStable(es, func(i, j int) bool { return es[i].n.Cmp(es[j].n) < 0 })
	less := ir.SLT
	if v.T.Kind == types.Uint {
		less = ir.ULT
	}
	var walk func(es []entry)
	walk = func(es []entry) {
		if len(es) > 4 {
			lo, hi := b.Block("low"), b.Block("high")
			mid := len(es) / 2
			b.If(less, v.W, b.Const(tree.Word(es[mid].n)), lo, hi)
			b.Continue(lo)
			walk(es[:mid])
			b.Continue(hi)
			walk(es[mid:])
			return
		}
		for _, e := range es {
			found, next := b.Block("found"), b.Block("")
			b.If(ir.EQ, v.W, b.Const(tree.Word(e.n)), found, next)
			b.Continue(found)
			hit(e.i)
			b.Continue(next)
		}
		b.Jump(miss)
	}
	walk(es)
}

// A textEntry is a constant that a text is compared with, and its index in the list.
type textEntry struct {
	s string
	i int
}

// searchText finds the constant that a text equals: by its first word, then, among the constants
// that begin with the same word, by the second, and so on. So the number of comparisons of a run,
// and of the verifier on one path, grows with the logarithm of the list.
func (lw *Lowerer) searchText(v Val, list []any, hit func(i int), miss *ir.Block) {
	var es []textEntry
	seen := map[string]bool{}
	for i, k := range list {
		s, ok := k.(string)
		if v.T.Kind == types.Bytes {
			var bytes tree.Bytes
			bytes, ok = k.(tree.Bytes)
			s = string(bytes)
		}
		fits := len(s) < v.mem.cap && !tree.EndsInNUL(s)
		if v.T.Kind == types.Bytes {
			fits = len(s) == v.T.Len
		}
		if ok && fits && !seen[s] {
			seen[s] = true
			es = append(es, textEntry{s, i})
		}
	}
	lw.walkText(v, es, 0, hit, miss)
}

// wholeWords returns how many words of a text can be compared directly with those of s, and how
// many bytes count. A string in memory has only NULs after its end; the bytes after others may be
// anything.
func wholeWords(v Val, s string) (words, size int) {
	if v.T.Kind == types.Bytes {
		return len(s) / 8, len(s)
	}
	return len(s)/8 + 1, len(s) + 1
}

// walkText compares a text with constants that agree with it in the first k words.
func (lw *Lowerer) walkText(v Val, es []textEntry, k int, hit func(i int), miss *ir.Block) {
	b := lw.B
	if len(es) == 0 {
		b.Jump(miss)
		return
	}
	words, _ := wholeWords(v, es[0].s)
	if len(es) == 1 || k >= words {
		for _, e := range es {
			found, next := b.Block("found"), b.Block("")
			if _, size := wholeWords(v, e.s); 8*k < size {
				lw.prefix(v.mem.at(8*k), e.s[8*k:], size-8*k, found, next)
			} else {
				b.Jump(found)
			}
			b.Continue(found)
			hit(e.i)
			b.Continue(next)
			if b.Dead() {
				return
			}
		}
		b.Jump(miss)
		return
	}
	groups := map[uint64][]textEntry{}
	var order []uint64
	for _, e := range es {
		w := uint64(constWord(e.s, 8*k))
		if groups[w] == nil {
			order = append(order, w)
		}
		groups[w] = append(groups[w], e)
	}
	sort.Slice(order, func(i, j int) bool { return order[i] < order[j] })
	have := b.Load(v.mem.base, v.mem.off+8*k, 8, false)
	lw.choose(have, order, func(w uint64) { lw.walkText(v, groups[w], k+1, hit, miss) }, miss)
}

// choose branches to the code that found emits for the word that w equals, one of several in
// ascending order.
func (lw *Lowerer) choose(w *ir.Value, order []uint64, found func(w uint64), miss *ir.Block) {
	b := lw.B
	if len(order) > 4 {
		lo, hi := b.Block("low"), b.Block("high")
		mid := len(order) / 2
		b.If(ir.ULT, w, b.Const(int64(order[mid])), lo, hi)
		b.Continue(lo)
		lw.choose(w, order[:mid], found, miss)
		b.Continue(hi)
		lw.choose(w, order[mid:], found, miss)
		return
	}
	for _, x := range order {
		same, next := b.Block("same"), b.Block("")
		b.If(ir.EQ, w, b.Const(int64(x)), same, next)
		b.Continue(same)
		found(x)
		b.Continue(next)
	}
	b.Jump(miss)
}
