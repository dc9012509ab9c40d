package maps

import (
	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// aggValue converts the merged words of one key to the value that the script sees. signed is how
// the aggregated values are interpreted.
func aggValue(spec agg.Spec, w []uint64, signed bool) starlark.Value {
	num := func(n uint64) starlark.Int {
		if signed {
			return starlark.MakeInt64(int64(n))
		}
		return starlark.MakeUint64(n)
	}
	o := spec.Offsets()
	at := func(off int) uint64 { return w[off/8] }
	switch spec.Kind {
	case agg.Count:
		return starlark.MakeInt64(int64(at(o.N)))
	case agg.Sum:
		return num(at(o.Sum))
	case agg.Avg:
		return average(num(at(o.Sum)), at(o.N))
	case agg.Min:
		if at(o.Set) == 0 {
			return starlark.None
		}
		return num(agg.DecodeMin(at(o.Min), signed))
	case agg.Max:
		if at(o.Set) == 0 {
			return starlark.None
		}
		return num(agg.DecodeMax(at(o.Max), signed))
	case agg.Stats:
		var lo, hi starlark.Value = starlark.None, starlark.None
		if at(o.N) > 0 {
			lo, hi = num(agg.DecodeMin(at(o.Min), signed)), num(agg.DecodeMax(at(o.Max), signed))
		}
		return structs.New("stats", structs.Field{Name: "count", Value: starlark.MakeUint64(at(o.N))}, structs.Field{Name: "sum", Value: num(at(o.Sum))},
			structs.Field{Name: "avg", Value: average(num(at(o.Sum)), at(o.N))}, structs.Field{Name: "min", Value: lo}, structs.Field{Name: "max", Value: hi})
	}
	buckets := w[o.Buckets/8:]
	var lo, hi starlark.Value = starlark.None, starlark.None
	for _, n := range buckets {
		if n > 0 {
			lo, hi = num(agg.DecodeMin(at(o.Min), signed)), num(agg.DecodeMax(at(o.Max), signed))
			break
		}
	}
	return hist.New(shape(spec), buckets, num(at(o.Sum)), lo, hi)
}

// shape returns the buckets of a histogram of kind hist or lhist.
func shape(spec agg.Spec) hist.Shape {
	return hist.Shape{Buckets: spec.Shape()}
}

// average returns sum divided by n, truncated toward zero as in bpftrace, or 0 if n is 0.
func average(sum starlark.Int, n uint64) starlark.Int {
	if n == 0 {
		return starlark.MakeInt(0)
	}
	q := sum.BigInt()
	return starlark.MakeBigInt(q.Quo(q, starlark.MakeUint64(n).BigInt()))
}
