package abi

import (
	"math"
	"testing"
)

// TestExpBuckets checks that the bounds of exponential buckets are the inverse of their index: each
// bucket starts at its lowest magnitude, which follows the highest one of the bucket before.
func TestExpBuckets(t *testing.T) {
	for bits := 0; bits <= 5; bits++ {
		b := Buckets{Bits: bits}
		for i := range b.Half() {
			mantissa, shift := b.Magnitude(i)
			lo := mantissa << shift
			if got := b.ExpIndex(lo, false); got != i {
				t.Errorf("bits %d: bucket %d starts at %d, whose index is %d", bits, i, lo, got)
			}
			if got := b.ExpIndex(lo, true); got != i+b.Half() {
				t.Errorf("bits %d: bucket %d starts at -%d, whose index is %d", bits, i+b.Half(), lo, got)
			}
			if i > 0 {
				if got := b.ExpIndex(lo-1, false); got != i-1 {
					t.Errorf("bits %d: %d is in bucket %d, not %d", bits, lo-1, got, i-1)
				}
			}
		}
		if i := b.ExpIndex(math.MaxUint64, false); i != b.Half()-1 {
			t.Errorf("bits %d: the highest magnitude is in bucket %d of %d", bits, i, b.Half())
		}
		if mantissa, shift := b.Magnitude(b.Half()); mantissa != 1<<bits || int(shift) != 64-bits {
			t.Errorf("bits %d: the last bucket ends at %d<<%d", bits, mantissa, shift)
		}
		if n := b.NumBuckets(); n != 2*b.Half() {
			t.Errorf("bits %d: %d buckets", bits, n)
		}
	}
}

// TestLinearBuckets checks the same for linear buckets, at both ends of each.
func TestLinearBuckets(t *testing.T) {
	for _, b := range []Buckets{
		{Linear: true, Lo: 0, Hi: 100, Step: 10},
		{Linear: true, Lo: -7, Hi: 12, Step: 5}, // the last step is cut
		{Linear: true, Lo: 3, Hi: 4, Step: 1000},
		{Linear: true, Lo: math.MinInt64, Hi: math.MinInt64 + 9, Step: 3},
		{Linear: true, Lo: math.MinInt64, Hi: math.MaxInt64, Step: 1 << 62},
		{Linear: true, Lo: math.MaxInt64 - 10, Hi: math.MaxInt64, Step: 4},
	} {
		next := b.Lo
		for i := 1; i <= b.Steps(); i++ {
			lo, hi := b.StepBounds(i)
			if lo != next || hi <= lo {
				t.Errorf("%+v: bucket %d is from %d to %d, after one that ends at %d", b, i, lo, hi, next)
			}
			for _, v := range []int64{lo, hi - 1} {
				if got := b.LinearIndex(v); got != i {
					t.Errorf("%+v: %d is in bucket %d, not %d", b, v, got, i)
				}
			}
			next = hi
		}
		if next != b.Hi {
			t.Errorf("%+v: the last step ends at %d", b, next)
		}
	}
}
