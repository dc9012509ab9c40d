// Package flame draws flame graphs: it renders counted stacks as an SVG for any browser. It deals
// in names and counts only; addresses are resolved before.
package flame

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"hash/fnv"
	"sort"
	"strings"
	"unicode/utf8"
)

// A Sample is a stack and its count.
type Sample struct {
	Frames []string // outermost first
	N      int64
}

// Dimensions in pixels.
const (
	width     = 1200
	rowHeight = 17
	charWidth = 7.2 // of the font that SVG selects
	head      = 28  // height of the title
	narrowest = 0.3 // narrower boxes are omitted
)

type node struct {
	name string
	n    int64
	kids map[string]*node
}

// SVG returns a flame graph of the samples. Each frame is a box whose width is its share of the
// total, above the frame that called it.
func SVG(title string, samples []Sample) []byte {
	root := &node{name: "all", kids: map[string]*node{}}
	depth := 0
	for _, s := range samples {
		if s.N <= 0 {
			continue
		}
		at := root
		at.n += s.N
		for _, f := range s.Frames {
			kid := at.kids[f]
			if kid == nil {
				kid = &node{name: f, kids: map[string]*node{}}
				at.kids[f] = kid
			}
			kid.n += s.N
			at = kid
		}
		depth = max(depth, len(s.Frames))
	}
	var b bytes.Buffer
	height := head + (depth+1)*rowHeight + 4
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="monospace" font-size="12">
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="%d" y="18" text-anchor="middle">%s</text>
`, width, height, width, height, width/2, text(title))
	if root.n > 0 {
		root.draw(&b, root.n, 0, width, height-rowHeight-2)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// draw writes a node and its callees, sorted by name.
func (d *node) draw(b *bytes.Buffer, all int64, x, w float64, y int) {
	if w < narrowest {
		return
	}
	fmt.Fprintf(b, `<g><title>%s: %d (%.2f%%)</title><rect x="%.1f" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`,
		text(d.name), d.n, 100*float64(d.n)/float64(all), x, y, max(w-0.5, 0.1), rowHeight-1, colour(d.name))
	if room := int((w - 6) / charWidth); room >= 3 {
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`, x+3, y+12, text(cut(d.name, room)))
	}
	b.WriteString("</g>\n")
	var kids []*node
	for _, k := range d.kids {
		kids = append(kids, k)
	}
	sort.Slice(kids, func(i, j int) bool { return kids[i].name < kids[j].name })
	for _, k := range kids {
		kw := w * float64(k.n) / float64(d.n)
		k.draw(b, all, x, kw, y-rowHeight)
		x += kw
	}
}

// cut truncates s to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-2]) + ".."
}

// text escapes a string for XML.
func text(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return "?" // cannot happen: writing to a Builder does not fail
	}
	return b.String()
}

// colour returns a warm colour derived from the name.
func colour(name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	n := h.Sum32()
	return fmt.Sprintf("#%02x%02x%02x", 205+n%50, 80+(n>>8)%130, (n>>16)%55)
}
