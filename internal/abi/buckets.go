package abi

import "math/bits"

// Buckets defines the buckets of a histogram. Programs compute the index of a value's bucket with
// the arithmetic of this file; the host computes the bounds of a bucket from its index.
//
// Linear buckets are one for values below Lo, one for each step, and one for values of Hi and
// above. The others are exponential: 2**Bits exact ones for the smallest magnitudes, then 2**Bits
// for each power of two up to 2**63; first those for values of 0 and more, then as many for the
// magnitudes of negative values.
type Buckets struct {
	Linear       bool
	Bits         int
	Lo, Hi, Step int64
}

// Half returns the number of exponential buckets for values of one sign.
func (b Buckets) Half() int { return (65 - b.Bits) << b.Bits }

// Steps returns the number of linear buckets between Lo and Hi.
func (b Buckets) Steps() int { return int((uint64(b.Hi-b.Lo)-1)/uint64(b.Step)) + 1 }

// NumBuckets returns the number of buckets.
func (b Buckets) NumBuckets() int {
	if b.Linear {
		return b.Steps() + 2
	}
	return 2 * b.Half()
}

// LinearIndex returns the index of the linear bucket of a value from Lo to Hi-1. Below those values
// the index is 0, above it is Steps()+1.
func (b Buckets) LinearIndex(v int64) int { return int(uint64(v-b.Lo)/uint64(b.Step)) + 1 }

// StepBounds returns the lowest value in linear bucket i, from 1 to Steps(), and the lowest value
// above it.
func (b Buckets) StepBounds(i int) (lo, hi int64) {
	lo = b.Lo + int64(i-1)*b.Step
	if uint64(b.Hi-lo) <= uint64(b.Step) {
		return lo, b.Hi
	}
	return lo, lo + b.Step
}

// ExpIndex returns the index of the exponential bucket for values with the magnitude m.
func (b Buckets) ExpIndex(m uint64, negative bool) int {
	i := int(m)
	if m >= 1<<b.Bits {
		k := bits.Len64(m) - 1
		i = (k-b.Bits+1)<<b.Bits + int(m>>(k-b.Bits)&(1<<b.Bits-1))
	}
	if negative {
		i += b.Half()
	}
	return i
}

// Magnitude returns the lowest magnitude in exponential bucket i, less than Half(): mantissa
// shifted left by shift. That of bucket Half(), one past the last, is 2**64.
func (b Buckets) Magnitude(i int) (mantissa uint64, shift uint) {
	if i < 1<<b.Bits {
		return uint64(i), 0
	}
	return uint64(1<<b.Bits + i&(1<<b.Bits-1)), uint(i>>b.Bits - 1)
}
