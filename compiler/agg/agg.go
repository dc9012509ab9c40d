// Package agg defines the aggregations: which kinds exist, how one value of each is laid out in
// memory, and how two values merge, for example those of two CPUs (Spec.Merge). Compiled programs
// write these layouts and the host reads them; both sides take them from this package.
package agg

import (
	"fmt"

	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// A Kind is one aggregation.
type Kind uint8

// The aggregations.
const (
	Count Kind = iota
	Sum
	Avg
	Min
	Max
	Stats
	Hist  // power-of-two buckets, each split in 2**Bits
	Lhist // linear buckets
)

// names holds the names of the kinds, which are the names of the builtins that create them.
var names = [...]string{"count", "sum", "avg", "min", "max", "stats", "hist", "lhist"}

func (k Kind) String() string { return names[k] }

// Spec describes an aggregation except for its key.
type Spec struct {
	Kind         Kind
	Bits         int   // Hist: 0 to 5
	Lo, Hi, Step int64 // Lhist
}

// The layout of a value, in 8-byte words. All words of a new value are zero, and zero is the
// identity of each word's operation. An insert therefore stores zeros, never a count, and a CPU
// that loses the race to insert a key loses no data.
//
//	count      n
//	sum        sum
//	avg        n, sum
//	min        set, minimum (encoded)
//	max        set, maximum (encoded)
//	stats      n, sum, minimum (encoded), maximum (encoded)
//	hist,lhist sum, minimum (encoded), maximum (encoded), buckets...
//
// Extremes are encoded so that a more extreme value is a larger unsigned number and zero is beaten
// by every other value: see DecodeMax and DecodeMin.

// Words is the number of 8-byte words of one value.
func (s Spec) Words() int {
	switch s.Kind {
	case Count, Sum:
		return 1
	case Avg, Min, Max:
		return 2
	case Stats:
		return 4
	}
	return HistBuckets + s.Buckets()
}

// HistBuckets is the index of the first bucket's word in a histogram.
const HistBuckets = 3

// Off holds the byte offset of each part of a value.
type Off struct{ N, Sum, Min, Max, Set, Buckets int }

// Offsets returns the byte offsets of a value's parts, with -1 for parts that the kind does not
// have.
func (s Spec) Offsets() Off {
	o := Off{-1, -1, -1, -1, -1, -1}
	switch s.Kind {
	case Count:
		o.N = 0
	case Sum:
		o.Sum = 0
	case Avg:
		o.N, o.Sum = 0, 8
	case Min:
		o.Set, o.Min = 0, 8
	case Max:
		o.Set, o.Max = 0, 8
	case Stats:
		o.N, o.Sum, o.Min, o.Max = 0, 8, 16, 24
	default:
		o.Sum, o.Min, o.Max, o.Buckets = 0, 8, 16, 8*HistBuckets
	}
	return o
}

// Shape returns the buckets of a Hist or an Lhist.
func (s Spec) Shape() abi.Buckets {
	if s.Kind == Lhist {
		return abi.Buckets{Linear: true, Lo: s.Lo, Hi: s.Hi, Step: s.Step}
	}
	return abi.Buckets{Bits: s.Bits}
}

// Buckets is the number of buckets, 0 for kinds without buckets.
func (s Spec) Buckets() int {
	if s.Kind != Hist && s.Kind != Lhist {
		return 0
	}
	return s.Shape().NumBuckets()
}

// MaxLhistSteps bounds the buckets of an lhist so that a value fits in a per-CPU element (32 KiB,
// kernel include/linux/percpu.h: PCPU_MIN_UNIT_SIZE).
const MaxLhistSteps = 4000

// Check returns an error that describes an invalid parameter, or nil.
func (s Spec) Check() error {
	switch s.Kind {
	case Hist:
		if s.Bits < 0 || s.Bits > 5 {
			return fmt.Errorf("hist: bits must be 0 to 5, got %d", s.Bits)
		}
	case Lhist:
		if s.Step <= 0 {
			return fmt.Errorf("lhist: step must be positive, got %d", s.Step)
		}
		if s.Hi <= s.Lo {
			return fmt.Errorf("lhist: hi (%d) must be larger than lo (%d)", s.Hi, s.Lo)
		}
		if uint64(s.Hi-s.Lo)/uint64(s.Step) > MaxLhistSteps {
			return fmt.Errorf("lhist: %d steps are too many (at most %d): make step larger", uint64(s.Hi-s.Lo)/uint64(s.Step), MaxLhistSteps)
		}
	}
	return nil
}

// signBit, when flipped, maps the order of signed numbers to that of unsigned ones.
const signBit = 1 << 63

// DecodeMax returns the value that the word of a maximum encodes. Encoding is the same operation.
func DecodeMax(w uint64, signed bool) uint64 {
	if signed {
		w ^= signBit
	}
	return w
}

// DecodeMin returns the value that the word of a minimum encodes: the complement of a maximum's.
func DecodeMin(w uint64, signed bool) uint64 { return DecodeMax(^w, signed) }

// Merge combines src into dst, for example the values of two CPUs or of two time spans.
func (s Spec) Merge(dst, src []uint64) {
	if len(src) == 1 { // a count or a sum, as in most maps; this runs for each key and CPU
		dst[0] += src[0]
		return
	}
	s.each(dst, src, func(a, b uint64) uint64 { return a + b })
}

// Diff subtracts an earlier reading of the same counters from dst. The extremes of a time span
// cannot be computed from two readings, so they are reset to zero, which every value beats.
func (s Spec) Diff(dst, earlier []uint64) {
	o := s.Offsets()
	s.each(dst, earlier, func(a, b uint64) uint64 { return a - b })
	for _, off := range []int{o.Min, o.Max} {
		if off >= 0 {
			dst[off/8] = 0
		}
	}
}

func (s Spec) each(dst, src []uint64, fn func(a, b uint64) uint64) {
	o := s.Offsets()
	for i, w := range src {
		switch 8 * i {
		case o.Min, o.Max:
			dst[i] = max(dst[i], w)
		case o.Set:
			dst[i] |= w
		default:
			dst[i] = fn(dst[i], w)
		}
	}
}

// Subtractable reports whether the difference of two readings is what was added between them.
func (s Spec) Subtractable() bool { return s.Kind == Count || s.Kind == Sum || s.Kind == Avg }
