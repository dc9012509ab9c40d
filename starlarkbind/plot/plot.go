// Package plot draws series and heat maps with characters. It knows numbers and names only; histograms and bars are package hist's.
package plot

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Paper is what is drawn on.
type Paper struct {
	Columns int
	ASCII   bool // it shows no other characters
}

// A pen is the characters to draw with.
type pen struct {
	levels, shades           []string // the first is nothing, the last is most
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

// fewest is how many columns a picture has, however narrow the paper is.
const fewest = 10

// room is how many columns are left beside labels of that length, and the axis.
func (p Paper) room(label int) int { return max(p.Columns-label-2, fewest) }

// An axis puts places along x into columns: each has as many of its own as fit, or as many share one as have to.
type axis struct {
	lo, hi, step float64
	share        float64 // places per column
	per          int     // columns per place; one of the two is 1
	columns      int
}

// mostPlaces bounds the places, of which each column can have as many as it takes.
const mostPlaces = 1e9

// widest is how many columns a place has at the most.
const widest = 4

// newAxis makes an axis for places, of which there is one at least. Between the two that are nearest is one step.
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

// span gives the columns of a place, the last not included.
func (a axis) span(x float64) (from, to int) {
	from = int(math.Round((x-a.lo)/a.step)/a.share) * a.per
	return from, from + a.per
}

// draw draws the axis.
func (a axis) draw(b *strings.Builder, p pen, label string) {
	b.WriteString(label + " " + p.corner + strings.Repeat(p.floor, a.columns) + "\n")
}

// ends writes the first and the last place under the axis.
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

// number writes a number: whole ones in full as long as they are exact.
func number(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return fmt.Sprintf("%.4g", f)
}
