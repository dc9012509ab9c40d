package hist

import (
	"math"
	"math/big"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Every value lies within the bounds of its bucket, and buckets follow each other without a gap.
func TestBounds(t *testing.T) {
	shapes := []Shape{Linear(-20, 100, 7), Linear(0, 10, 2)}
	for bits := 0; bits <= 5; bits++ {
		shapes = append(shapes, Log2(bits))
	}
	for _, s := range shapes {
		order := s.order()
		for k := 1; k < len(order); k++ {
			_, hi := s.Bounds(order[k-1])
			lo, _ := s.Bounds(order[k])
			if hi.String() != lo.String() {
				t.Fatalf("%+v: bucket %d ends at %s, bucket %d begins at %s", s, order[k-1], hi, order[k], lo)
			}
		}
		for _, v := range []int64{0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 31, 32, 33, 63, 64, 100, 1000, 1023, 1024, math.MaxInt64, -1, -2, -3, -4, -7, -8, -20, -21, -1000, math.MinInt64} {
			i := s.Index(starlark.MakeInt64(v))
			lo, hi := s.Bounds(i)
			if l, ok := lo.(starlark.Int); ok && l.BigInt().Cmp(big.NewInt(v)) > 0 {
				t.Errorf("%+v: %d in bucket %d from %s", s, v, i, lo)
			}
			if h, ok := hi.(starlark.Int); ok && h.BigInt().Cmp(big.NewInt(v)) <= 0 {
				t.Errorf("%+v: %d in bucket %d below %s", s, v, i, hi)
			}
		}
	}
}

func of(s Shape, vals ...int64) *Histogram {
	b := make([]uint64, s.NumBuckets())
	var sum int64
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	for _, v := range vals {
		b[s.Index(starlark.MakeInt64(v))]++
		sum += v
		lo, hi = min(lo, v), max(hi, v)
	}
	return New(s, b, starlark.MakeInt64(sum), starlark.MakeInt64(lo), starlark.MakeInt64(hi))
}

func TestString(t *testing.T) {
	want := "[-1]            1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n" +
		"[0]             0 |                                                    |\n" +
		"[1]             0 |                                                    |\n" +
		"[2, 4)          2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n" +
		"[4, 8)          1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n" +
		"[8, 16)         0 |                                                    |\n" +
		"[16, 32)        1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n"
	if got := of(Log2(0), -1, 2, 3, 7, 20).Draw(0); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := of(Log2(0)).Draw(0); got != "(empty)\n" {
		t.Errorf("empty: %q", got)
	}
	if got := (Row{starlark.MakeInt64(8 << 30), starlark.MakeInt64(16 << 30), 1}).Label(); got != "[8Gi, 16Gi)" {
		t.Errorf("label %q", got)
	}
}

func TestOneLine(t *testing.T) {
	if got := of(Log2(0), 1, 2, 3, 100).String(); got != "<hist 4 values, p50 3, p99 100>" {
		t.Error(got)
	}
	if got := of(Log2(0), 3).String(); got != "<hist 1 value, p50 3, p99 3>" {
		t.Error(got)
	}
	if got := of(Log2(0)).String(); got != "<hist 0 values>" {
		t.Error(got)
	}
}

func TestArithmetic(t *testing.T) {
	a, b := of(Log2(0), 1, 2, 3), of(Log2(0), 100)
	sum, err := a.Binary(syntax.PLUS, b, starlark.Left)
	if err != nil {
		t.Fatal(err)
	}
	if h := sum.(*Histogram); h.count != 4 || h.max.String() != "100" || h.avg().String() != "26" {
		t.Errorf("sum: %d values, max %s, avg %s", h.count, h.max, h.avg())
	}
	diff, err := sum.(*Histogram).Binary(syntax.MINUS, b, starlark.Left)
	if err != nil {
		t.Fatal(err)
	}
	if eq, err := diff.(*Histogram).CompareSameType(syntax.EQL, a, 1); err != nil || !eq {
		t.Errorf("(a + b) - b is not a: %v", err)
	}
	if _, err := a.Binary(syntax.PLUS, of(Log2(1), 1), starlark.Left); err == nil || err.Error() != "histograms with different buckets cannot be combined with +" {
		t.Errorf("different shapes: %v", err)
	}
}

func TestPercentile(t *testing.T) {
	var vals []int64
	for i := int64(1); i <= 1000; i++ {
		vals = append(vals, i)
	}
	h := of(Log2(5), vals...)
	for _, p := range []float64{1, 50, 90, 99, 100} {
		got, _ := h.Percentile(p).(starlark.Int).Int64()
		if want := 10 * p; math.Abs(float64(got)-want) > want/20+1 {
			t.Errorf("percentile(%g) = %d, want about %g", p, got, want)
		}
	}
	if v := of(Log2(0)).Percentile(50); v != starlark.None {
		t.Errorf("percentile of nothing: %s", v)
	}
}
