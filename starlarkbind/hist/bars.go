package hist

import (
	"fmt"
	"math/big"
	"strings"

	"go.starlark.net/starlark"
)

// barWidth is the length of the longest bar.
const barWidth = 52

// String draws the histogram, a line a bucket.
func (h *Histogram) String() string {
	rows := h.Rows()
	if len(rows) == 0 {
		return "(empty)\n"
	}
	labels := make([]string, len(rows))
	wide, most, digits := 0, uint64(0), 0
	for i, r := range rows {
		labels[i] = label(r)
		wide = max(wide, len(labels[i]))
		most = max(most, r.N)
		digits = max(digits, len(fmt.Sprint(r.N)))
	}
	var b strings.Builder
	for i, r := range rows {
		n := int(r.N * barWidth / most)
		if r.N > 0 && n == 0 {
			n = 1
		}
		fmt.Fprintf(&b, "%-*s %*d |%-*s|\n", wide, labels[i], max(digits, 8), r.N, barWidth, strings.Repeat("@", n))
	}
	return b.String()
}

func label(r Row) string {
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

// short writes multiples of powers of 1024 with a letter.
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
		v, letter = q, letters[i:i+1]
	}
	return v.String() + letter
}
