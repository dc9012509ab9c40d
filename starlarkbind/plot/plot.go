// Package plot draws series and heat maps with characters. It handles only numbers and names.
// Histograms and bars are in package hist.
//
//	plot.go    the size of a plot, axes, numbers
//	series.go  lines
//	heat.go    heat maps
package plot

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Paper describes the area to draw on.
type Paper struct {
	Columns int
	ASCII   bool // use ASCII characters only
}

// A pen is a set of characters to draw with.
type pen struct {
	levels, shades           []string // from empty to full
	top, side, corner, floor string
}

var (
	blocks = pen{strings.Split(" ▁▂▃▄▅▆▇█", ""), strings.Split(" ░▒▓█", ""), "┤", "│", "└", "─"}
	ascii  = pen{strings.Split(" .:#", ""), strings.Split(" .oO@", ""), "|", "|", "+", "-"}
)

func (p Paper) pen() pen {
	if p.ASCII {
		return ascii
	}
	return blocks
}

// fewest is the minimum number of columns of a plot, however narrow the paper is.
const fewest = 10

// room returns the number of columns left next to the axis and labels of the given length.
func (p Paper) room(label int) int { return max(p.Columns-label-2, fewest) }

// An axis maps positions along x to columns. If there is space, each position has several columns.
// Otherwise several positions share one.
type axis struct {
	lo, hi, step float64
	share        float64 // positions per column
	per          int     // columns per position; share or per is 1
	columns      int
}

// mostPlaces limits the number of positions, any number of which can share a column.
const mostPlaces = 1e9

// widest is the maximum number of columns for a position.
const widest = 4

// newAxis returns an axis for positions, of which there must be at least one. The smallest distance
// between two positions is one step.
func newAxis(xs []float64, columns int) axis {
	xs = slices.Clone(xs)
	slices.Sort(xs)
	xs = slices.Compact(xs)
	a := axis{lo: xs[0], hi: xs[len(xs)-1], step: 1}
	for i := 1; i < len(xs); i++ {
		if gap := xs[i] - xs[i-1]; i == 1 || gap < a.step {
			a.step = gap
		}
	}
	a.step = max(a.step, (a.hi-a.lo)/mostPlaces)
	places := math.Round((a.hi-a.lo)/a.step) + 1
	a.share = math.Ceil(places / float64(columns))
	a.per = max(min(int(float64(columns)/places), widest), 1)
	a.columns = int(math.Ceil(places/a.share)) * a.per
	return a
}

// span returns the first column of a position and the one after its last.
func (a axis) span(x float64) (from, to int) {
	from = int(math.Round((x-a.lo)/a.step)/a.share) * a.per
	return from, from + a.per
}

// draw draws the axis.
func (a axis) draw(b *strings.Builder, p pen, label string) {
	b.WriteString(label + " " + p.corner + strings.Repeat(p.floor, a.columns) + "\n")
}

// ends writes the first and the last position below the axis.
func (a axis) ends(b *strings.Builder, indent int) {
	lo, hi := number(a.lo), number(a.hi)
	text := lo
	if gap := a.columns - len(lo) - len(hi); a.lo != a.hi && gap > 0 {
		text = lo + strings.Repeat(" ", gap) + hi
	} else if a.lo != a.hi {
		text = lo + " to " + hi
	}
	b.WriteString(strings.Repeat(" ", indent+2) + text + "\n")
}

// number formats a number. Integers are written in full as long as they are exact.
func number(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return fmt.Sprintf("%.4g", f)
}
