package repl

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/bpfrepl/bpfrepl/internal/columns"
	"github.com/bpfrepl/bpfrepl/internal/paint"
)

// A display draws the item that is being typed, and prints above it. readline's own drawing cannot be used: it goes wrong with wide
// runes, with an item of several lines, and when the terminal changes its size.
type display struct {
	mu     sync.Mutex
	w      io.Writer
	size   func() (cols, rows int)
	colour bool
	active bool // an item is being typed
	pic    view
	cols   int    // of the terminal when pic was drawn
	up     int    // the cursor is that many rows below the first that is drawn
	drawn  int    // rows
	held   []byte // half a line that was printed meanwhile
	mid    bool   // what was printed last has not ended its line
}

// A view is what is to be seen of an item.
type view struct {
	text  []rune
	pos   int      // of the cursor in it
	ghost []rune   // what may come after it, by the history
	below []string // lines under it: what Tab offers, what Ctrl-R looks for
}

// A row is one of the terminal's. wraps: the next goes on where this is full.
type row struct {
	text   []rune
	prompt int // how many runes of it are the prompt
	wraps  bool
}

// layout gives the rows of an item on a terminal of so many columns, and the cursor's row and column. What is full goes on in the next
// row by itself, as terminals have it, so that those which flow their text anew when they are made wider do so with this too.
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
			width = columns.Rune(p.text[i])
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

// begin shows the prompt, and an empty item.
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

// show draws another picture of the item.
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

// appended gives what was typed at the end, if that is all there is to draw.
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

// finish ends the item with a mark, such as ^C.
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

// resized draws the item anew for a terminal that has another size.
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

// clear empties the terminal but for the item.
func (d *display) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b bytes.Buffer
	b.WriteString("\x1b[H\x1b[2J")
	d.draw(&b)
	d.flush(&b)
}

// Write prints: whole lines above the item that is being typed, and half a line when it is whole; else at once.
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

// erase takes away what is drawn, row by row: at the top of the screen some terminals take what is cleared at once for a screenful to be
// kept. A terminal that has become narrower or wider has moved it.
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

// draw draws the item from the cursor on: as much of it as the terminal has rows for.
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
		case len(rows[i+1].text) == 0: // the cursor is behind a full row
			b.WriteByte(' ') // makes the terminal go there; in its first column, J would undo that it is the same line
		}
	}
	if last := rows[len(rows)-1]; len(d.pic.ghost) > 0 { // no more of it than fits on the row
		if room := cols - columns.Width(string(last.text)) - 1; room > 0 {
			b.WriteString(paint.Faint(cut(string(d.pic.ghost), room, 1)[0]))
		}
	}
	for _, l := range below {
		b.WriteString("\r\n" + l)
	}
	b.WriteString("\x1b[J") // what has come there since
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
		return // the terminal has gone: its reader tells
	}
}

// cut breaks a text into lines of at most so many columns, but not more lines than most.
func cut(text string, cols, most int) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		from, width := 0, 0
		for i, r := range line {
			if w := columns.Rune(r); width+w > cols {
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
