// Package agg defines the aggregations: which there are, and how one value of each lies in memory. The code
// generator writes these layouts, the host reads them; both take them from here.
package agg

import "fmt"

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

// names of the kinds, as the builtins that make them are called.
var names = [...]string{"count", "sum", "avg", "min", "max", "stats", "hist", "lhist"}

func (k Kind) String() string { return names[k] }

// Spec describes an aggregation, less its key.
type Spec struct {
	Kind         Kind
	Bits         int   // Hist: 0 to 5
	Lo, Hi, Step int64 // Lhist
}

// The layout of a value, in 8-byte words. All words of a new value are zero, and zero is the identity of
// each word's operation; so an insert stores zeros, never a count, and whoever loses the race to insert
// a key has lost nothing.
//
//	count      n
//	sum        sum
//	avg        n, sum
//	min        set, minimum (encoded)
//	max        set, maximum (encoded)
//	stats      n, sum, minimum (encoded), maximum (encoded)
//	hist,lhist sum, minimum (encoded), maximum (encoded), buckets...
//
// Extremes are encoded so that larger is "more so" as an unsigned number, and zero is the value that any
// other beats: see EncodeMax and EncodeMin.

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

// Off is the byte offset of a word.
type Off struct{ N, Sum, Min, Max, Set, Buckets int }

// Offsets gives the byte offsets of a value's parts; -1 for what the kind does not have.
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

// HalfBuckets is the number of buckets of a Hist for values of one sign: 2**Bits exact ones, then 2**Bits
// for each power of two up to 2**63.
func (s Spec) HalfBuckets() int { return (65 - s.Bits) << s.Bits }

// Buckets is the number of buckets. A Hist has them for magnitudes of 0 and more, then the same again for
// the magnitudes of negative values; an Lhist has one below, one a step, one above.
func (s Spec) Buckets() int {
	switch s.Kind {
	case Hist:
		return 2 * s.HalfBuckets()
	case Lhist:
		return int((s.Hi-s.Lo+s.Step-1)/s.Step) + 2
	}
	return 0
}

// MaxLhistSteps bounds an lhist's buckets, so that a value fits in a per-CPU element (32 KiB, kernel
// include/linux/percpu.h: PCPU_MIN_UNIT_SIZE).
const MaxLhistSteps = 4000

// Check tells what is wrong with the parameters, in words.
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

// SignBit turns the order of signed numbers into that of unsigned ones when it is flipped.
const SignBit = 1 << 63

// EncodeMax gives v's word in a maximum.
func EncodeMax(v uint64, signed bool) uint64 {
	if signed {
		v ^= SignBit
	}
	return v
}

// EncodeMin gives v's word in a minimum.
func EncodeMin(v uint64, signed bool) uint64 { return ^EncodeMax(v, signed) }

// DecodeMax is the inverse of EncodeMax.
func DecodeMax(w uint64, signed bool) uint64 { return EncodeMax(w, signed) }

// DecodeMin is the inverse of EncodeMin.
func DecodeMin(w uint64, signed bool) uint64 { return EncodeMax(^w, signed) }

// Merge adds the words of one value to those of another: of two CPUs, or of two spans of time.
func (s Spec) Merge(dst, src []uint64) {
	if len(src) == 1 { // a count, or a sum: most maps are of these, and this is done for each key and CPU
		dst[0] += src[0]
		return
	}
	s.each(dst, src, func(a, b uint64) uint64 { return a + b })
}

// Diff takes an earlier value of the same counters away. Minimum and maximum of a span of time cannot be had from
// those of two times: they are set to what no value has beaten.
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

// Subtractable tells that what a span of time added is the difference of two readings.
func (s Spec) Subtractable() bool { return s.Kind == Count || s.Kind == Sum || s.Kind == Avg }
