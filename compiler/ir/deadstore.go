package ir

import "slices"

// deadStores drops stores to the stack whose bytes are not read before they are written again: the
// zeros below a buffer that a helper fills anyway, the words of a None that nothing reads.
//
// It is the usual backward walk, by bytes: a byte is live at a point if some path from there reads
// it before it is certainly written. A store is dropped if none of its bytes is live after it.
//
// The verifier is the stricter reader: kernels before 6.3 refuse to read a stack byte that was
// never written, even if the result is not used. So a read here is whatever the verifier considers
// one: a helper that gets a key reads it to the end of its slot, an unknown helper reads the whole
// slot, on every path through the blocks, feasible or not. On each path to a read, a byte that is
// read has the same last store after the pass as before it, because that store was live. So what
// was written before is still written, including the padding of keys. A helper's write counts as a
// write only if it writes every byte in all cases, which the verifier knows too (an argument of
// uninitialised memory).
func deadStores(f *Func) {
	w := newWanted(f, newMemory(f))
	for _, b := range f.Blocks {
		live := w.out(b)
		var kept []*Value
		for i := len(b.Values) - 1; i >= 0; i-- {
			v := b.Values[i]
			if v.Op == OpStore && v.Args[0].Op == OpSlotAddr {
				if t := w.m.touches(v)[0]; !slices.Contains(w.m.escaped, t.slot) && !w.any(live, t.slot, t.lo, t.hi) {
					continue
				}
			}
			w.back(v, live)
			kept = append(kept, v)
		}
		slices.Reverse(kept)
		b.Values = kept
	}
}

// A liveBytes records which bytes of the stack are read before they are written again.
type liveBytes struct {
	m    *memory
	base []int // the number of each slot's first byte, by the slot's ID
	n    int
	in   []bits // at the start of each block, by ID
}

func newWanted(f *Func, m *memory) *liveBytes {
	w := &liveBytes{m: m, base: make([]int, len(f.Slots)), in: make([]bits, f.nextBlk)}
	for _, s := range f.Slots {
		w.base[s.ID] = w.n
		w.n += s.Size
	}
	po := postorder(f)
	for _, b := range po {
		w.in[b.ID] = newBits(w.n)
	}
	for changed := true; changed; {
		changed = false
		for _, b := range po {
			live := w.out(b)
			for i := len(b.Values) - 1; i >= 0; i-- {
				w.back(b.Values[i], live)
			}
			changed = w.in[b.ID].or(live) || changed
		}
	}
	return w
}

// out returns what is live at the end of b.
func (w *liveBytes) out(b *Block) bits {
	live := newBits(w.n)
	for _, s := range b.Succs {
		live.or(w.in[s.ID])
	}
	return live
}

// back updates live from the point after v to the point before it.
func (w *liveBytes) back(v *Value, live bits) {
	for _, t := range w.m.touches(v) {
		if t.mustWrite {
			live.set(w.base[t.slot.ID]+t.lo, w.base[t.slot.ID]+t.hi, false)
		}
	}
	for _, t := range w.m.touches(v) {
		if t.read {
			live.set(w.base[t.slot.ID]+t.lo, w.base[t.slot.ID]+t.hi, true)
		}
	}
}

// any reports whether one of the bytes lo to hi of s is live.
func (w *liveBytes) any(live bits, s *Slot, lo, hi int) bool {
	return live.any(w.base[s.ID]+lo, w.base[s.ID]+hi)
}

// bits is a set of small numbers.
type bits []uint64

func newBits(n int) bits { return make(bits, (n+63)/64) }

func (b bits) has(i int) bool { return b[i>>6]>>(i&63)&1 != 0 }

func (b bits) set(lo, hi int, on bool) {
	for i := lo; i < hi; i++ {
		if on {
			b[i>>6] |= 1 << (i & 63)
		} else {
			b[i>>6] &^= 1 << (i & 63)
		}
	}
}

func (b bits) any(lo, hi int) bool {
	for i := lo; i < hi; i++ {
		if b[i>>6]>>(i&63)&1 != 0 {
			return true
		}
	}
	return false
}

// or adds all of c, and reports whether that changed b.
func (b bits) or(c bits) bool {
	changed := false
	for i, w := range c {
		changed = changed || w&^b[i] != 0
		b[i] |= w
	}
	return changed
}
