package repl

import (
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/chzyer/readline"
)

// Keys and events that readline does not know are passed to it as runes from the private use area;
// see filter.
const (
	// newlineRune stands for a newline inside an item.
	newlineRune = '\ue000' + iota
	deleteRune  // the Delete key; unlike Ctrl-D, it does not exit on an empty line
	pasteRune   // a paste is waiting to be taken
	literalRune // the text after it was sent as a whole and has its own indentation
	unusedRune  // replaces one of these runes if it was typed
)

// idle is a rune that readline ignores.
const idle = readline.CharBell

const (
	ctrlG = 7
	ctrlZ = 26
)

// keys maps a key to its function. These are the keys that work on one line of an item, because
// readline treats the whole item as one line. A function receives the text, the cursor, and the
// start and end of the cursor's line; it returns the new text and cursor.
var keys = map[rune]func(e *editor, t []rune, pos, from, to int) ([]rune, int){
	readline.CharLineStart: func(_ *editor, t []rune, _, from, _ int) ([]rune, int) { return t, from },
	readline.CharLineEnd:   func(_ *editor, t []rune, _, _, to int) ([]rune, int) { return t, to },
	readline.CharCtrlU:     func(e *editor, t []rune, pos, from, _ int) ([]rune, int) { return e.kill(t, from, pos) },
	readline.CharKill: func(e *editor, t []rune, pos, _, to int) ([]rune, int) {
		if pos == to {
			to = min(to+1, len(t)) // joins the next line to this one
		}
		return e.kill(t, pos, to)
	},
	readline.CharCtrlW:     killWord,
	readline.MetaBackspace: killWord,
	readline.MetaDelete: func(e *editor, t []rune, pos, _, _ int) ([]rune, int) {
		return e.kill(t, pos, wordEnd(t, pos))
	},
	readline.MetaForward: func(_ *editor, t []rune, pos, _, _ int) ([]rune, int) { return t, wordEnd(t, pos) },
	readline.CharCtrlY: func(e *editor, t []rune, pos, _, _ int) ([]rune, int) {
		return slices.Concat(t[:pos], e.killed, t[pos:]), pos + len(e.killed)
	},
	deleteRune: func(_ *editor, t []rune, pos, _, _ int) ([]rune, int) {
		return slices.Concat(t[:pos], t[min(pos+1, len(t)):]), pos
	},
	readline.CharBackspace: backspace,
	readline.CharCtrlH:     backspace,
	newlineRune:            newline,
	':':                    colon,
	pasteRune: func(e *editor, t []rune, pos, _, _ int) ([]rune, int) {
		text := e.in.pasted()
		e.whole = e.whole || slices.Contains(text, newlineRune)
		return slices.Concat(t[:pos], text, t[pos:]), pos + len(text)
	},
	readline.CharPrev: func(e *editor, t []rune, pos, from, _ int) ([]rune, int) {
		if from == 0 {
			return e.recall(t, pos, -1)
		}
		above, _ := lineAt(t, from-1)
		return t, min(above+pos-from, from-1)
	},
	readline.CharNext: func(e *editor, t []rune, pos, from, to int) ([]rune, int) {
		if to == len(t) {
			return e.recall(t, pos, 1)
		}
		_, end := lineAt(t, to+1)
		return t, min(to+1+pos-from, end)
	},
	readline.CharCtrlL: func(e *editor, t []rune, pos, _, _ int) ([]rune, int) { e.display.clear(); return t, pos },
	ctrlZ:              func(e *editor, t []rune, pos, _, _ int) ([]rune, int) { e.suspend(); return t, pos },
}

// key filters the keys that readline reads, and returns the rune that readline handles instead.
func (e *editor) key(r rune) (as rune, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	as, ok = idle, true
	defer e.caught()
	tabbed, auto := e.tabPressed, e.auto
	e.tabPressed, e.auto = false, false
	switch {
	case r == 0: // the end of the input
		return r, true
	case r == readline.CharBckSearch, r == readline.CharFwdSearch, e.search != nil && (unicode.IsPrint(r) || r == readline.CharBackspace || r == readline.CharCtrlH || r == ctrlG):
		e.pending = func(p view) view { return e.searchKey(p, r) }
		return idle, true
	}
	e.search = nil // any other key accepts the item found
	switch {
	case r == readline.CharInterrupt:
		e.display.finish("^C")
		return r, true
	case r == readline.CharDelete && len(e.now.text) == 0:
		e.display.finish("")
		return r, true
	case r == readline.CharEnter, r == readline.CharCtrlJ:
		if e.complete() {
			e.display.finish("")
			return readline.CharEnter, true
		}
		e.rl.Terminal.KickRead() // readline waits for this at the end of a line
		r = newlineRune
	case r == readline.CharTab:
		e.pending = func(p view) view { return e.tab(p, tabbed) }
		return idle, true
	}
	if accept := accepts[r]; accept != nil && len(e.now.ghost) > 0 {
		ghost := e.now.ghost
		e.pending = func(p view) view { return p.insert(accept(ghost)) }
		return idle, true
	}
	// Typed text replaces automatic indentation instead of being added to it.
	if auto && (r == ' ' || r == literalRune) {
		e.pending = func(p view) view {
			from, _ := lineAt(p.text, p.pos)
			p.text, p.pos = slices.Concat(p.text[:from], p.text[p.pos:]), from
			if r == ' ' {
				p = p.insert([]rune(" "))
			}
			return p
		}
		return idle, true
	}
	if f := keys[r]; f != nil {
		e.pending = func(p view) view {
			from, to := lineAt(p.text, p.pos)
			p.text, p.pos = f(e, p.text, p.pos, from, to)
			return p
		}
		return idle, true
	}
	if r < ' ' && r != readline.CharForward && r != readline.CharBackward && r != readline.CharTranspose && r != readline.CharDelete && r != readline.MetaBackward || r == unusedRune || r == literalRune {
		return idle, true
	}
	return r, true
}

// accepts maps the keys that accept a suggestion to the part of it that they accept.
var accepts = map[rune]func(ghost []rune) []rune{
	readline.CharForward: wholeGhost,
	readline.CharLineEnd: wholeGhost,
	readline.MetaForward: func(ghost []rune) []rune { return ghost[:wordEnd(ghost, 0)] },
}

func wholeGhost(ghost []rune) []rune { return ghost }

// lineAt returns the start and the end of the line that contains pos.
func lineAt(t []rune, pos int) (from, to int) {
	from, to = pos, pos
	for from > 0 && t[from-1] != newlineRune {
		from--
	}
	for to < len(t) && t[to] != newlineRune {
		to++
	}
	return from, to
}

// kill removes t[from:to] and keeps it for Ctrl-Y.
func (e *editor) kill(t []rune, from, to int) ([]rune, int) {
	if from < to {
		e.killed = slices.Clone(t[from:to])
	}
	return slices.Concat(t[:from], t[to:]), from
}

func inWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

func killWord(e *editor, t []rune, pos, _, _ int) ([]rune, int) {
	from := pos
	for from > 0 && !inWord(t[from-1]) {
		from--
	}
	for from > 0 && inWord(t[from-1]) {
		from--
	}
	return e.kill(t, from, pos)
}

func wordEnd(t []rune, pos int) int {
	for pos < len(t) && !inWord(t[pos]) {
		pos++
	}
	for pos < len(t) && inWord(t[pos]) {
		pos++
	}
	return pos
}

// backspace deletes a rune or, inside the indentation, one level of indentation.
func backspace(_ *editor, t []rune, pos, from, _ int) ([]rune, int) {
	n := min(pos, 1)
	if in := pos - from; in > 0 && strings.Trim(string(t[from:pos]), " ") == "" {
		n = (in-1)%len(indent) + 1
	}
	return slices.Concat(t[:pos-n], t[pos:]), pos - n
}

// newline breaks the line and indents the next one.
func newline(e *editor, t []rune, pos, from, _ int) ([]rune, int) {
	before := string(t[from:pos])
	in := before[:len(before)-len(strings.TrimLeft(before, " "))]
	if strings.HasSuffix(strings.TrimRight(before, " "), ":") {
		in += indent
	}
	e.auto = in != ""
	added := append([]rune{newlineRune}, []rune(in)...)
	return slices.Concat(t[:pos], added, t[pos:]), pos + len(added)
}

// colon inserts a colon. After else and elif it first removes one level of indentation, because
// automatic indentation has put them into the body of the block that they end.
func colon(_ *editor, t []rune, pos, from, _ int) ([]rune, int) {
	line := string(t[from:pos])
	word := strings.TrimLeft(line, " ")
	in := len(line) - len(word)
	if from > 0 && in >= len(indent) && (word == "else" || strings.HasPrefix(word, "elif ")) {
		above, _ := lineAt(t, from-1)
		before := strings.TrimRight(string(t[above:from-1]), " ")
		body := strings.TrimLeft(before, " ")
		if len(before)-len(body) == in && !strings.HasPrefix(body, "if ") && !strings.HasPrefix(body, "elif ") {
			t, pos = slices.Concat(t[:from], t[from+len(indent):]), pos-len(indent)
		}
	}
	return slices.Concat(t[:pos], []rune{':'}, t[pos:]), pos + 1
}

// recall replaces the text with an earlier (by < 0) or later (by > 0) item.
func (e *editor) recall(t []rune, pos, by int) ([]rune, int) {
	item, ok := e.hist.step(decodeNewlines(t), by)
	if !ok {
		return t, pos
	}
	text := encodeNewlines(item)
	e.whole = slices.Contains(text, newlineRune)
	return text, len(text)
}

// suspend handles Ctrl-Z: it stops the process until the shell continues it. Without a job-control
// shell, the kernel discards the signal and suspend returns after a short wait.
func (e *editor) suspend() {
	resumed := make(chan os.Signal, 1)
	signal.Notify(resumed, syscall.SIGCONT)
	defer signal.Stop(resumed)
	if err := e.rl.Terminal.ExitRawMode(); err != nil {
		return // not a terminal
	}
	if err := syscall.Kill(0, syscall.SIGTSTP); err == nil {
		select {
		case <-resumed:
		case <-time.After(200 * time.Millisecond): // no shell to stop us
		}
	}
	if err := e.rl.Terminal.EnterRawMode(); err != nil {
		return // not a terminal
	}
	e.display.begin()
}
