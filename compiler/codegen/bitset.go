package codegen

import "math/bits"

// A bitset is a set of small numbers.
type bitset []uint64

// newBitsets returns count empty sets of numbers below n.
func newBitsets(count, n int) []bitset {
	words := (n + 63) / 64
	all, out := make([]uint64, count*words), make([]bitset, count)
	for i := range out {
		out[i] = all[i*words : (i+1)*words : (i+1)*words]
	}
	return out
}

func (b bitset) has(n int) bool { return b[n>>6]>>(uint(n)&63)&1 != 0 }

func (b bitset) add(n int) { b[n>>6] |= 1 << (uint(n) & 63) }

// or adds all of c, and reports whether that changed b.
func (b bitset) or(c bitset) bool {
	changed := false
	for i := range b {
		n := b[i] | c[i]
		changed = changed || n != b[i]
		b[i] = n
	}
	return changed
}

func (b bitset) each(fn func(int)) {
	for i, w := range b {
		for w != 0 {
			fn(i*64 + bits.TrailingZeros64(w))
			w &= w - 1
		}
	}
}
