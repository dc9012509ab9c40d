package repl

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/bpfrepl/bpfrepl/internal/cellwidth"
	"github.com/bpfrepl/bpfrepl/internal/paint"
)

// A display draws the item being typed, and prints other output above it. readline's own drawing is
// not usable: it fails with wide runes, with items of several lines, and when the terminal is
// resized.
type display struct {
	mu     sync.Mutex
	w      io.Writer
	size   func() (cols, rows int)
	colour bool
	active bool // an item is being typed
	pic    view
	cols   int    // width of the terminal when pic was drawn
	up     int    // rows from the first drawn row down to the cursor
	drawn  int    // number of rows drawn
	held   []byte // an incomplete line printed while an item is typed
	mid    bool   // the last output did not end with a newline
}

// A view is the visible state of an item.
type view struct {
	text  []rune
	pos   int      // cursor, as an index into text
	ghost []rune   // suggestion from the history, shown after the text
	below []string // lines under the item: candidates of Tab, or the query of Ctrl-R
}

// A row is one row of the terminal. If wraps is true, the text continues in the next row because
// this one is full.
type row struct {
	text   []rune
	prompt int // number of leading runes that are the prompt
	wraps  bool
}

// layout returns the rows of an item on a terminal with the given number of columns, and the row
// and column of the cursor. Text that fills a row continues in the next one without a newline, as
// the terminal itself wraps it, so that terminals that reflow text when resized reflow the item
// too.
func (p *view) layout(cols int) (rows []row, y, x int) {
	cur, col := row{text: []rune(prompt1), prompt: len(prompt1)}, len(prompt1)
	next := func(wraps bool, prompt string) {
		cur.wraps = wraps
		rows = append(rows, cur)
		cur, col = row{text: []rune(prompt), prompt: len(prompt)}, len(prompt)
	}
	for i := 0; i <= len(p.text); i++ {
		width := 1 // of the cursor, at the end
		if i < len(p.text) && p.text[i] != newlineRune {
			width = cellwidth.Rune(p.text[i])
		}
		if end := i == len(p.text) || p.text[i] == newlineRune; col+width > cols && (!end || i == p.pos || i == len(p.text)) {
			next(true, "")
		}
		if i == p.pos {
			y, x = len(rows), col
		}
		switch {
		case i == len(p.text):
		case p.text[i] == newlineRune:
			next(false, prompt2)
		default:
			cur.text, col = append(cur.text, p.text[i]), col+width
		}
	}
	return append(rows, cur), y, x
}

// begin shows the prompt with an empty item.
func (d *display) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b bytes.Buffer
	if d.mid {
		b.WriteByte('\n')
	}
	d.active, d.mid, d.pic = true, false, view{}
	d.draw(&b)
	d.flush(&b)
}

// show draws a new state of the item.
func (d *display) show(p view) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.active {
		return
	}
	var b bytes.Buffer
	if more := d.appended(p); more != nil {
		b.WriteString(string(more))
		d.pic = p
	} else {
		d.erase(&b)
		d.pic = p
		d.draw(&b)
	}
	d.flush(&b)
}

// appended returns the text typed at the end, or nil if more than that has to be drawn.
func (d *display) appended(p view) []rune {
	n := len(d.pic.text)
	if cols, _ := d.size(); cols != d.cols || len(p.text) <= n || d.pic.pos != n || p.pos != len(p.text) || len(p.below)+len(d.pic.below)+len(p.ghost)+len(d.pic.ghost) > 0 ||
		string(p.text[:n]) != string(d.pic.text) {
		return nil
	}
	more := p.text[n:]
	_, y, x := p.layout(d.cols)
	if _, before, _ := d.pic.layout(d.cols); y != before || x == 0 {
		return nil
	}
	return more
}

// finish ends the item and prints a mark, such as ^C, after it.
func (d *display) finish(mark string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.active {
		return
	}
	var b bytes.Buffer
	if end := len(d.pic.text); d.pic.pos != end || d.pic.below != nil || d.pic.ghost != nil {
		d.erase(&b)
		d.pic.pos, d.pic.below, d.pic.ghost = end, nil, nil
		d.draw(&b)
	}
	b.WriteString(mark + "\n")
	b.Write(d.held)
	d.active, d.mid, d.held = false, len(d.held) > 0, nil
	d.flush(&b)
}

// resized redraws the item after the terminal has changed its size.
func (d *display) resized() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.active {
		var b bytes.Buffer
		d.erase(&b)
		d.draw(&b)
		d.flush(&b)
	}
}

// clear clears the terminal and redraws the item.
func (d *display) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b bytes.Buffer
	b.WriteString("\x1b[H\x1b[2J")
	d.draw(&b)
	d.flush(&b)
}

// Write prints p. While an item is being typed, it prints complete lines above the item and holds
// an incomplete line back until it is complete. Otherwise it prints at once.
func (d *display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.active {
		d.mid = len(p) > 0 && p[len(p)-1] != '\n' || len(p) == 0 && d.mid
		return d.w.Write(p)
	}
	d.held = append(d.held, p...)
	i := bytes.LastIndexByte(d.held, '\n')
	if i < 0 {
		return len(p), nil
	}
	var b bytes.Buffer
	d.erase(&b)
	b.Write(d.held[:i+1])
	d.held = append([]byte{}, d.held[i+1:]...)
	d.draw(&b)
	_, err := d.w.Write(b.Bytes())
	return len(p), err
}

// erase erases what is drawn, row by row: some terminals save a screenful to the scrollback if
// everything from the top of the screen on is cleared at once. If the terminal has become wider or
// narrower, erase first computes where the rows have moved to.
func (d *display) erase(b *bytes.Buffer) {
	if cols, _ := d.size(); cols != d.cols {
		rows, y, _ := d.pic.layout(cols)
		d.up, d.drawn = y, len(rows)+len(d.pic.below)
	}
	up := func(n int) {
		if n > 0 {
			fmt.Fprintf(b, "\x1b[%dA", n)
		}
	}
	up(d.up)
	b.WriteString("\r\x1b[2K" + strings.Repeat("\x1b[B\x1b[2K", d.drawn-1))
	up(d.drawn - 1)
}

// draw draws the item, starting at the cursor. It draws only the rows that fit on the terminal.
func (d *display) draw(b *bytes.Buffer) {
	cols, height := d.size()
	rows, y, x := d.pic.layout(cols)
	below := d.pic.below
	if most := max(height-len(rows), height/2); len(below) > most {
		below = below[:most]
	}
	if most := max(height-len(below), 1); len(rows) > most {
		first := min(max(y-most/2, 0), len(rows)-most)
		rows, y = rows[first:first+most], y-first
	}
	for i, r := range rows {
		if d.colour && r.prompt > 0 {
			b.WriteString(paint.Prompt(string(r.text[:r.prompt])) + string(r.text[r.prompt:]))
		} else {
			b.WriteString(string(r.text))
		}
		switch {
		case i == len(rows)-1:
		case !r.wraps:
			b.WriteString("\r\n")
		case len(rows[i+1].text) == 0: // the cursor is after a full row
			// The space moves the terminal to the next row. A J in its first column would end the
			// wrapped line.
			b.WriteByte(' ')
		}
	}
	// Show only the part of the suggestion that fits on the row.
	if last := rows[len(rows)-1]; len(d.pic.ghost) > 0 {
		if room := cols - cellwidth.Width(string(last.text)) - 1; room > 0 {
			b.WriteString(paint.Faint(cut(string(d.pic.ghost), room, 1)[0]))
		}
	}
	for _, l := range below {
		b.WriteString("\r\n" + l)
	}
	b.WriteString("\x1b[J") // erases what was printed there in the meantime
	if n := len(rows) - 1 - y + len(below); n > 0 {
		fmt.Fprintf(b, "\x1b[%dA", n)
	}
	b.WriteByte('\r')
	if x > 0 {
		fmt.Fprintf(b, "\x1b[%dC", x)
	}
	d.cols, d.up, d.drawn = cols, y, len(rows)+len(below)
}

func (d *display) flush(b *bytes.Buffer) {
	if _, err := d.w.Write(b.Bytes()); err != nil {
		return // the terminal is gone; reading from it reports that
	}
}

// cut breaks text into lines of at most cols columns, and returns at most the given number of
// lines.
func cut(text string, cols, most int) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		from, width := 0, 0
		for i, r := range line {
			if w := cellwidth.Rune(r); width+w > cols {
				out = append(out, line[from:i])
				from, width = i, w
			} else {
				width += w
			}
		}
		out = append(out, line[from:])
	}
	return out[:min(len(out), most)]
}
