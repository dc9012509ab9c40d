// Package hist implements histograms as Starlark values: buckets, percentiles, and their rendering
// as text.
package hist

import (
	"math/big"
	"math/bits"

	"go.starlark.net/starlark"
)

// A Shape defines the buckets of a histogram. Package agg (compiler/agg) uses the same buckets in
// the kernel.
type Shape struct {
	Linear       bool
	Bits         int   // power-of-two buckets, each split in 2**Bits
	Lo, Hi, Step int64 // linear buckets
}

// Log2 returns a shape with power-of-two buckets, each split in 2**bits: first those for values of
// 0 and more, then the same for negative values.
func Log2(bits int) Shape { return Shape{Bits: bits} }

// Linear returns a shape with a bucket for values below lo, one for each step, and one for values
// of hi and above.
func Linear(lo, hi, step int64) Shape { return Shape{Linear: true, Lo: lo, Hi: hi, Step: step} }

// half is the number of buckets for values of one sign; steps is the number of steps between Lo and
// Hi.
func (s Shape) half() int  { return (65 - s.Bits) << s.Bits }
func (s Shape) steps() int { return int((s.Hi - s.Lo + s.Step - 1) / s.Step) }

// NumBuckets returns the number of buckets.
func (s Shape) NumBuckets() int {
	if s.Linear {
		return s.steps() + 2
	}
	return 2 * s.half()
}

// order returns the indexes of the buckets in ascending order of their values.
func (s Shape) order() []int {
	out := make([]int, 0, s.NumBuckets())
	if !s.Linear {
		for i := 2*s.half() - 1; i > s.half(); i-- { // bucket half would be -0
			out = append(out, i)
		}
		for i := 0; i < s.half(); i++ {
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
			return s.steps() + 1
		}
		return int((b.Int64()-s.Lo)/s.Step) + 1
	}
	b := v.BigInt()
	m := new(big.Int).Abs(b).Uint64()
	i := 0
	if m < 1<<s.Bits {
		i = int(m)
	} else {
		k := 63 - bits.LeadingZeros64(m)
		i = (k-s.Bits+1)<<s.Bits + int(m>>(k-s.Bits)&(1<<s.Bits-1))
	}
	if b.Sign() < 0 {
		i += s.half()
	}
	return i
}

// Bounds returns the lowest value of a bucket, and the lowest value above it. The open side of the
// first and the last bucket of a linear histogram is None.
func (s Shape) Bounds(i int) (lo, hi starlark.Value) {
	if s.Linear {
		switch n := s.steps(); {
		case i == 0:
			return starlark.None, starlark.MakeInt64(s.Lo)
		case i == n+1:
			return starlark.MakeInt64(s.Hi), starlark.None
		default:
			return starlark.MakeInt64(s.Lo + int64(i-1)*s.Step), starlark.MakeInt64(min(s.Lo+int64(i)*s.Step, s.Hi))
		}
	}
	neg := i >= s.half()
	if neg {
		i -= s.half()
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
	if i < 1<<s.Bits {
		return big.NewInt(int64(i))
	}
	e := uint(i>>s.Bits - 1)
	m := big.NewInt(int64(1<<s.Bits + i&(1<<s.Bits-1)))
	return m.Lsh(m, e)
}
