package compiler

import (
	"math/big"
	"sort"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// search compares x with constants: integers by binary search, everything else one after the other.
// hit is called with the builder at the point where x is list[i]; it must end the block.
func (lw *lowerer) search(x expr, list []any, hit func(i int), miss *ir.Block) {
	b := lw.b
	v := lw.value(x)
	switch {
	case v.t.Kind == types.Str && !v.t.NULs || v.t.Kind == types.Bytes:
		lw.searchText(v, list, hit, miss)
		return
	case !v.t.IsInt():
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
		if n, ok := k.(*big.Int); ok && !outside(n, v.t) {
			es = append(es, entry{n, i})
		}
	}
	sort.SliceStable(es, func(i, j int) bool { return es[i].n.Cmp(es[j].n) < 0 })
	less := ir.SLT
	if v.t.Kind == types.Uint {
		less = ir.ULT
	}
	var walk func(es []entry)
	walk = func(es []entry) {
		if len(es) > 4 {
			lo, hi := b.Block("low"), b.Block("high")
			mid := len(es) / 2
			b.If(less, v.w, b.Const(word(es[mid].n)), lo, hi)
			b.Continue(lo)
			walk(es[:mid])
			b.Continue(hi)
			walk(es[mid:])
			return
		}
		for _, e := range es {
			found, next := b.Block("found"), b.Block("")
			b.If(ir.EQ, v.w, b.Const(word(e.n)), found, next)
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
func (lw *lowerer) searchText(v val, list []any, hit func(i int), miss *ir.Block) {
	var es []textEntry
	seen := map[string]bool{}
	for i, k := range list {
		s, ok := k.(string)
		if v.t.Kind == types.Bytes {
			var bytes Bytes
			bytes, ok = k.(Bytes)
			s = string(bytes)
		}
		fits := len(s) < v.mem.cap && !endsInNUL(s)
		if v.t.Kind == types.Bytes {
			fits = len(s) == v.t.Len
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
func wholeWords(v val, s string) (words, size int) {
	if v.t.Kind == types.Bytes {
		return len(s) / 8, len(s)
	}
	return len(s)/8 + 1, len(s) + 1
}

// walkText compares a text with constants that agree with it in the first k words.
func (lw *lowerer) walkText(v val, es []textEntry, k int, hit func(i int), miss *ir.Block) {
	b := lw.b
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
func (lw *lowerer) choose(w *ir.Value, order []uint64, found func(w uint64), miss *ir.Block) {
	b := lw.b
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
