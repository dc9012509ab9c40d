package hist

import (
	"fmt"
	"math/big"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A Histogram is a Starlark value: the counts of values by bucket. It is immutable.
type Histogram struct {
	shape    Shape
	buckets  []uint64
	count    uint64
	sum      starlark.Int
	min, max starlark.Value // Int, or None if unknown
}

var (
	_ starlark.HasAttrs   = (*Histogram)(nil)
	_ starlark.HasBinary  = (*Histogram)(nil)
	_ starlark.Comparable = (*Histogram)(nil)
)

// New returns a histogram of shape s. min and max are ints, or None if they are not known. The
// histogram keeps buckets.
func New(s Shape, buckets []uint64, sum starlark.Int, min, max starlark.Value) *Histogram {
	h := &Histogram{shape: s, buckets: buckets, sum: sum, min: min, max: max}
	for _, n := range buckets {
		h.count += n
	}
	return h
}

func (h *Histogram) Type() string          { return "histogram" }
func (h *Histogram) Freeze()               {}
func (h *Histogram) Truth() starlark.Bool  { return h.count > 0 }
func (h *Histogram) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: histogram") }

// A Row is one bucket, which counts the values v with Lo <= v < Hi. Lo or Hi is None in an open
// bucket.
type Row struct {
	Lo, Hi starlark.Value
	N      uint64
}

// Rows returns the buckets in ascending order, from the first to the last that is not empty,
// including empty ones between them.
func (h *Histogram) Rows() []Row {
	order := h.shape.order()
	first, last := -1, -1
	for k, i := range order {
		if h.buckets[i] > 0 {
			if first < 0 {
				first = k
			}
			last = k
		}
	}
	if first < 0 {
		return nil
	}
	var out []Row
	for _, i := range order[first : last+1] {
		lo, hi := h.shape.Bounds(i)
		out = append(out, Row{lo, hi, h.buckets[i]})
	}
	return out
}

// Count returns the number of values.
func (h *Histogram) Count() uint64 { return h.count }

func (h *Histogram) avg() starlark.Value {
	if h.count == 0 {
		return starlark.MakeInt(0)
	}
	q := h.sum.BigInt()
	return starlark.MakeBigInt(q.Quo(q, new(big.Int).SetUint64(h.count)))
}

// Attr implements starlark.HasAttrs.
func (h *Histogram) Attr(name string) (starlark.Value, error) {
	switch name {
	case "count":
		return starlark.MakeUint64(h.count), nil
	case "sum":
		return h.sum, nil
	case "avg":
		return h.avg(), nil
	case "min":
		return h.min, nil
	case "max":
		return h.max, nil
	case "buckets":
		var out []starlark.Value
		for _, r := range h.Rows() {
			out = append(out, starlark.Tuple{r.Lo, r.Hi, starlark.MakeUint64(r.N)})
		}
		return starlark.NewList(out), nil
	case "percentile":
		return starlark.NewBuiltin("percentile", func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
			var p starlark.Value
			if err := starlark.UnpackArgs("percentile", args, kw, "p", &p); err != nil {
				return nil, err
			}
			f, ok := starlark.AsFloat(p)
			if !ok || f < 0 || f > 100 {
				return nil, fmt.Errorf("percentile: p must be a number from 0 to 100, got %s", p)
			}
			return h.Percentile(f), nil
		}), nil
	}
	return nil, nil
}

// AttrNames implements starlark.HasAttrs.
func (h *Histogram) AttrNames() []string {
	return []string{"avg", "buckets", "count", "max", "min", "percentile", "sum"}
}

// Percentile estimates the value that p percent of the values do not exceed, assuming that the
// values of a bucket are spread evenly over it. The result lies between min and max if these are
// known; it is None if there are no values.
func (h *Histogram) Percentile(p float64) starlark.Value {
	if h.count == 0 {
		return starlark.None
	}
	rank := p / 100 * float64(h.count)
	seen := 0.0
	rows := h.Rows()
	for i, r := range rows {
		n := float64(r.N)
		if r.N > 0 && (seen+n >= rank || i == len(rows)-1) {
			return h.clamp(within(r, (rank-seen)/n))
		}
		seen += n
	}
	return h.max
}

// within returns the value at a fraction of the bucket, from 0 to 1. In an open bucket it is the
// bound that exists.
func within(r Row, part float64) starlark.Value {
	lo, ok := r.Lo.(starlark.Int)
	if !ok {
		return r.Hi
	}
	hi, ok := r.Hi.(starlark.Int)
	if !ok {
		return lo
	}
	width := new(big.Float).SetInt(new(big.Int).Sub(hi.BigInt(), lo.BigInt()))
	off, _ := width.Mul(width, big.NewFloat(max(part, 0))).Int(nil)
	v := off.Add(off, lo.BigInt())
	if top := new(big.Int).Sub(hi.BigInt(), big.NewInt(1)); v.Cmp(top) > 0 {
		v = top
	}
	return starlark.MakeBigInt(v)
}

// clamp limits v to the range from min to max, as far as these are known.
func (h *Histogram) clamp(v starlark.Value) starlark.Value {
	x, ok := v.(starlark.Int)
	if !ok {
		return v
	}
	if lo, ok := h.min.(starlark.Int); ok && x.BigInt().Cmp(lo.BigInt()) < 0 {
		return lo
	}
	if hi, ok := h.max.(starlark.Int); ok && x.BigInt().Cmp(hi.BigInt()) > 0 {
		return hi
	}
	return v
}

// Binary implements starlark.HasBinary: histograms of the same shape can be added and subtracted.
func (h *Histogram) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	o, ok := y.(*Histogram)
	if !ok || op != syntax.PLUS && op != syntax.MINUS {
		return nil, nil
	}
	if h.shape != o.shape {
		return nil, fmt.Errorf("histograms with different buckets cannot be combined with %s", op)
	}
	out := make([]uint64, len(h.buckets))
	if op == syntax.PLUS {
		for i := range out {
			out[i] = h.buckets[i] + o.buckets[i]
		}
		return New(h.shape, out, h.sum.Add(o.sum), extreme(h.min, o.min, -1), extreme(h.max, o.max, 1)), nil
	}
	for i := range out {
		if o.buckets[i] > h.buckets[i] {
			return nil, fmt.Errorf("histogram - histogram: the second one has more values in a bucket than the first")
		}
		out[i] = h.buckets[i] - o.buckets[i]
	}
	return New(h.shape, out, h.sum.Sub(o.sum), starlark.None, starlark.None), nil
}

// extreme returns the smaller of a and b if sign is -1, the larger if it is 1. None loses.
func extreme(a, b starlark.Value, sign int) starlark.Value {
	x, ok := a.(starlark.Int)
	if !ok {
		return b
	}
	y, ok := b.(starlark.Int)
	if !ok || x.BigInt().Cmp(y.BigInt())*sign > 0 {
		return a
	}
	return b
}

// CompareSameType implements starlark.Comparable for == and !=.
func (h *Histogram) CompareSameType(op syntax.Token, y starlark.Value, depth int) (bool, error) {
	o := y.(*Histogram)
	eq := h.shape == o.shape && slices.Equal(h.buckets, o.buckets) && h.sum.BigInt().Cmp(o.sum.BigInt()) == 0
	switch op {
	case syntax.EQL:
		return eq, nil
	case syntax.NEQ:
		return !eq, nil
	}
	return false, fmt.Errorf("histograms have no order: compare a percentile or the count")
}
