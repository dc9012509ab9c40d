package plot

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "rewrite testdata/plots.txt")

// saw returns n values that rise and fall between 0 and most.
func saw(n int, most, step float64) (out []Point) {
	for i := range n {
		y := float64(i*37%101) / 100 * most
		out = append(out, Point{float64(i) * step, y})
	}
	return out
}

// latencies returns a heat map whose second half is slower.
func latencies(places int) (h Heat) {
	h.Rows = []string{"[1]", "[2, 4)", "[4, 8)", "[8, 16)"}
	for i := range places {
		h.X = append(h.X, float64(i))
		n := uint64(i % 10)
		if i < places/2 {
			h.Count = append(h.Count, []uint64{900 + n, 50 * n, n, 0})
		} else {
			h.Count = append(h.Count, []uint64{n, 30 * n, 700, 1})
		}
	}
	return h
}

// All plots, on paper of 40 and of 80 columns. No line is longer than the paper.
func TestPictures(t *testing.T) {
	const name = "testdata/plots.txt"
	var b strings.Builder
	for _, c := range []struct {
		name string
		draw func(p Paper) string
	}{
		{"a few numbers", func(p Paper) string { return Lines(p, []Series{{"", saw(12, 1520, 1)}}) }},
		{"more numbers than columns", func(p Paper) string { return Lines(p, []Series{{"", saw(200, 0.4, 0.5)}}) }},
		{"places without a number", func(p Paper) string {
			return Lines(p, []Series{{"", []Point{{1000, 3}, {1001, 2}, {1004, 0}, {1007, 1e6}}}})
		}},
		{"one number", func(p Paper) string { return Lines(p, []Series{{"", []Point{{5, 0}}}}) }},
		{"below zero", func(p Paper) string { return Lines(p, []Series{{"", []Point{{-1, -5}, {0, 5}, {1, 0.5}}}}) }},
		{"several", func(p Paper) string { return Lines(p, []Series{{"read", saw(30, 90, 1)}, {"write", saw(15, 30, 2)}}) }},
		{"a heat map", func(p Paper) string { return latencies(16).Draw(p) }},
		{"a heat map of more places than columns", func(p Paper) string { return latencies(100).Draw(p) }},
		{"a heat map of few", func(p Paper) string { return Heat{[]string{"[0]"}, []float64{3}, [][]uint64{{1}}}.Draw(p) }},
	} {
		for _, p := range []Paper{{40, false}, {80, false}, {40, true}} {
			fmt.Fprintf(&b, "-- %s, %d columns, ASCII %v --\n", c.name, p.Columns, p.ASCII)
			text := c.draw(p)
			b.WriteString(text)
			for l := range strings.Lines(text) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(l, "\n")); n > p.Columns {
					t.Errorf("%s: %d columns on paper of %d: %s", c.name, n, p.Columns, l)
				}
			}
			if p.ASCII && strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
				t.Errorf("%s: other characters than ASCII in\n%s", c.name, text)
			}
		}
	}
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("not as in %s (go test ./starlarkbind/plot -update rewrites it):\n%s", name, got)
	}
}
