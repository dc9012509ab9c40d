package plot

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// A Heat is a heat map: counts in rows at positions along the x axis.
type Heat struct {
	Rows  []string // row labels, lowest first
	X     []float64
	Count [][]uint64 // per position, by row
}

// Draw draws the map, with darker shades for higher counts. The lowest counts of successive shades
// grow by a constant factor. Counts at positions that share a column are added. There must be at
// least one position.
func (h Heat) Draw(p Paper) string {
	pen, label := p.pen(), 0
	for _, l := range h.Rows {
		label = max(label, len(l))
	}
	a := newAxis(h.X, p.room(label))
	cells := make([][]uint64, a.columns)
	most := uint64(1)
	for c := range cells {
		cells[c] = make([]uint64, len(h.Rows))
	}
	for i, x := range h.X {
		from, to := a.span(x)
		for c := from; c < to; c++ {
			for r, n := range h.Count[i] {
				cells[c][r] += n
				most = max(most, cells[c][r])
			}
		}
	}
	s := newShades(pen.shades, most)
	var b strings.Builder
	for r := len(h.Rows) - 1; r >= 0; r-- {
		line := padded(h.Rows[r], label) + " " + pen.side
		for c := range cells {
			line += s.of(cells[c][r])
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	a.draw(&b, pen, padded("", label))
	a.ends(&b, label)
	s.legend(&b, p.Columns, label+2)
	return b.String()
}

// A shades maps a count to a shade. from holds the lowest count of each shade but the first.
type shades struct {
	shade []string // the first is for 0
	from  []uint64
	most  uint64
}

func newShades(shade []string, most uint64) shades {
	s := shades{shade: shade[:1:1], most: most}
	last := len(shade) - 1
	for i := range last {
		from := uint64(math.Ceil(math.Pow(float64(most), float64(i)/float64(last)) - 1e-9))
		// There are fewer counts than shades. Use the darkest shades for the highest counts.
		if n := len(s.from); n > 0 && s.from[n-1] == from {
			s.shade[n] = shade[i+1]
			continue
		}
		s.shade, s.from = append(s.shade, shade[i+1]), append(s.from, from)
	}
	return s
}

func (s shades) of(n uint64) string {
	i := 0
	for i < len(s.from) && n >= s.from[i] {
		i++
	}
	return s.shade[i]
}

// legend writes the range of counts of each shade.
func (s shades) legend(b *strings.Builder, columns, indent int) {
	at := 0
	for i, from := range s.from {
		to := s.most
		if i+1 < len(s.from) {
			to = s.from[i+1] - 1
		}
		text := fmt.Sprintf("%s %d", s.shade[i+1], from)
		if to > from {
			text += fmt.Sprintf("-%d", to)
		}
		n := utf8.RuneCountInString(text)
		switch {
		case i == 0 || indent+at+2+n > columns:
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(strings.Repeat(" ", indent))
			at = 0
		default:
			b.WriteString("  ")
			at += 2
		}
		b.WriteString(text)
		at += n
	}
	b.WriteByte('\n')
}
