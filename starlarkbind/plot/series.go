package plot

import (
	"math"
	"strings"
)

// A Series is a list of points with a name, which may be "".
type Series struct {
	Name   string
	Points []Point
}

// A Point is a value at a position.
type Point struct{ X, Y float64 }

// Number of rows for a single series, and for each of several.
const (
	tall  = 10
	small = 4
)

// Lines draws series one below the other on the same scale. The y axis begins at 0, or at the
// lowest value if that is negative. If points share a column, the highest is drawn. There must be
// at least one point.
func Lines(p Paper, series []Series) string {
	lo, hi := 0.0, math.Inf(-1)
	var xs []float64
	for _, s := range series {
		for _, pt := range s.Points {
			lo, hi = min(lo, pt.Y), max(hi, pt.Y)
			xs = append(xs, pt.X)
		}
	}
	if hi <= lo {
		hi = lo + 1
	}
	label := max(len(number(lo)), len(number(hi)))
	a, rows := newAxis(xs, p.room(label)), tall
	if len(series) > 1 {
		rows = small
	}
	var b strings.Builder
	for _, s := range series {
		if s.Name != "" {
			b.WriteString(s.Name + "\n")
		}
		panel(&b, p.pen(), a, s.Points, scale{lo, hi, rows}, label)
	}
	a.ends(&b, label)
	return b.String()
}

// A scale maps values to rows.
type scale struct {
	lo, hi float64
	rows   int
}

// panel draws one series above its axis.
func panel(b *strings.Builder, p pen, a axis, points []Point, s scale, label int) {
	full := len(p.levels) - 1
	heights := make([]int, a.columns) // in levels
	for _, pt := range points {
		h := int(math.Round((pt.Y - s.lo) / (s.hi - s.lo) * float64(s.rows*full)))
		if pt.Y > s.lo {
			h = max(h, 1)
		}
		from, to := a.span(pt.X)
		for c := from; c < to; c++ {
			heights[c] = max(heights[c], h)
		}
	}
	for row := s.rows - 1; row >= 0; row-- {
		line := padded("", label) + " " + p.side
		if row == s.rows-1 {
			line = padded(number(s.hi), label) + " " + p.top
		}
		for _, h := range heights {
			line += p.levels[min(max(h-row*full, 0), full)]
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	a.draw(b, p, padded(number(s.lo), label))
}

func padded(s string, n int) string { return strings.Repeat(" ", n-len(s)) + s }
