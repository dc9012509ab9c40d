package hist

import (
	"fmt"
	"math/big"
	"strings"

	"go.starlark.net/starlark"
)

// barWidth is the largest length of a bar.
const barWidth = 52

// String returns the histogram as one line, which is its form inside other values.
func (h *Histogram) String() string {
	if h.count == 0 {
		return "<hist 0 values>"
	}
	noun := "values"
	if h.count == 1 {
		noun = "value"
	}
	return fmt.Sprintf("<hist %d %s, p50 %s, p99 %s>", h.count, noun, h.Percentile(50), h.Percentile(99))
}

// Draw returns the histogram as text, one line per bucket. Bars are shortened to fit into columns,
// but not below 8 characters; 0 means no limit.
func (h *Histogram) Draw(columns int) string {
	rows := h.Rows()
	if len(rows) == 0 {
		return "(empty)\n"
	}
	labels := make([]string, len(rows))
	wide, most, digits := 0, uint64(0), 8
	for i, r := range rows {
		labels[i] = r.Label()
		wide = max(wide, len(labels[i]))
		most = max(most, r.N)
		digits = max(digits, len(fmt.Sprint(r.N)))
	}
	width := barWidth
	if columns > 0 {
		width = BarWidth(columns - wide - 1 - digits - 1)
	}
	var b strings.Builder
	for i, r := range rows {
		fmt.Fprintf(&b, "%-*s %*d %s\n", wide, labels[i], digits, r.N, Bar(float64(r.N), float64(most), width))
	}
	return b.String()
}

// BarWidth returns the length of the longest bar if room columns are available, delimiters
// included.
func BarWidth(room int) int { return min(max(room-2, 8), barWidth) }

// Bar returns a bar for n in a chart whose largest value is most. Values above 0 are always
// visible.
func Bar(n, most float64, width int) string {
	filled := 0
	if n > 0 {
		filled = max(int(n*float64(width)/most), 1)
	}
	return fmt.Sprintf("|%-*s|", width, strings.Repeat("@", filled))
}

// Label returns the range of the bucket as text.
func (r Row) Label() string {
	lo, ok1 := r.Lo.(starlark.Int)
	hi, ok2 := r.Hi.(starlark.Int)
	switch {
	case !ok1:
		return "(..., " + short(hi.BigInt()) + ")"
	case !ok2:
		return "[" + short(lo.BigInt()) + ", ...)"
	case new(big.Int).Sub(hi.BigInt(), lo.BigInt()).IsInt64() && new(big.Int).Sub(hi.BigInt(), lo.BigInt()).Int64() == 1:
		return "[" + short(lo.BigInt()) + "]"
	}
	return "[" + short(lo.BigInt()) + ", " + short(hi.BigInt()) + ")"
}

// short returns n with an IEC prefix (IEC 80000-13) if n is a multiple of a power of 1024. The
// prefix is "Ki" rather than "K", which would read as 1000 in a histogram of times.
func short(n *big.Int) string {
	const letters = "KMGTPE"
	v := new(big.Int).Set(n)
	k := big.NewInt(1024)
	letter := ""
	for i := 0; i < len(letters) && v.Sign() != 0; i++ {
		q, r := new(big.Int).QuoRem(v, k, new(big.Int))
		if r.Sign() != 0 {
			break
		}
		v, letter = q, letters[i:i+1]+"i"
	}
	return v.String() + letter
}
