// Package hist implements histograms as Starlark values: buckets, percentiles, and their rendering
// as text. Package maps has merged the values of all CPUs before it makes one.
//
//	shape.go  which bucket a value belongs to, and the bounds of buckets
//	hist.go   the histogram as a Starlark value
//	bars.go   histograms as text
package hist

import (
	"math/big"

	"github.com/bpfrepl/bpfrepl/internal/abi"
	"go.starlark.net/starlark"
)

// A Shape defines the buckets of a histogram.
type Shape struct{ abi.Buckets }

// Log2 returns a shape with power-of-two buckets, each split in 2**bits: first those for values of
// 0 and more, then the same for negative values.
func Log2(bits int) Shape { return Shape{abi.Buckets{Bits: bits}} }

// Linear returns a shape with a bucket for values below lo, one for each step, and one for values
// of hi and above.
func Linear(lo, hi, step int64) Shape {
	return Shape{abi.Buckets{Linear: true, Lo: lo, Hi: hi, Step: step}}
}

// order returns the indexes of the buckets in ascending order of their values.
func (s Shape) order() []int {
	out := make([]int, 0, s.NumBuckets())
	if !s.Linear {
		for i := 2*s.Half() - 1; i > s.Half(); i-- { // bucket half would be -0
			out = append(out, i)
		}
		for i := 0; i < s.Half(); i++ {
			out = append(out, i)
		}
		return out
	}
	for i := 0; i < s.NumBuckets(); i++ {
		out = append(out, i)
	}
	return out
}

// Index returns the index of the bucket of a value.
func (s Shape) Index(v starlark.Int) int {
	if s.Linear {
		b := v.BigInt()
		switch {
		case b.Cmp(big.NewInt(s.Lo)) < 0:
			return 0
		case b.Cmp(big.NewInt(s.Hi)) >= 0:
			return s.Steps() + 1
		}
		return s.LinearIndex(b.Int64())
	}
	b := v.BigInt()
	return s.ExpIndex(new(big.Int).Abs(b).Uint64(), b.Sign() < 0)
}

// Bounds returns the lowest value of a bucket, and the lowest value above it. The open side of the
// first and the last bucket of a linear histogram is None.
func (s Shape) Bounds(i int) (lo, hi starlark.Value) {
	if s.Linear {
		switch n := s.Steps(); {
		case i == 0:
			return starlark.None, starlark.MakeInt64(s.Lo)
		case i == n+1:
			return starlark.MakeInt64(s.Hi), starlark.None
		default:
			lo, hi := s.StepBounds(i)
			return starlark.MakeInt64(lo), starlark.MakeInt64(hi)
		}
	}
	neg := i >= s.Half()
	if neg {
		i -= s.Half()
	}
	l, h := s.magnitude(i), s.magnitude(i+1)
	if neg { // magnitudes l to h-1
		one := big.NewInt(1)
		l, h = new(big.Int).Sub(one, h), new(big.Int).Sub(one, l)
	}
	return starlark.MakeBigInt(l), starlark.MakeBigInt(h)
}

// magnitude returns the lowest magnitude in bucket i.
func (s Shape) magnitude(i int) *big.Int {
	mantissa, shift := s.Magnitude(i)
	m := new(big.Int).SetUint64(mantissa)
	return m.Lsh(m, shift)
}
