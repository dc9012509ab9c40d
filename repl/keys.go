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

// What readline does not know as keys comes as runes from the private use area: see filter.
const (
	// newlineRune stands for a newline inside an item.
	newlineRune = '\ue000' + iota
	deleteRune  // the key Delete; Ctrl-D on an empty line leaves, Delete does not
	pasteRune   // what was pasted waits to be taken
	literalRune // what follows was sent as text: it has its own indentation
	unusedRune  // a rune of these that was typed
)

// idle is a rune for which readline does nothing by itself.
const idle = readline.CharBell

const (
	ctrlG = 7
	ctrlZ = 26
)

// keys are those that work on the lines of an item, which readline takes for one. Each is given the text, the cursor, and where the cursor's
// line begins and ends, and gives the text and the cursor.
var keys = map[rune]func(e *editor, t []rune, pos, from, to int) ([]rune, int){
	readline.CharLineStart: func(_ *editor, t []rune, _, from, _ int) ([]rune, int) { return t, from },
	readline.CharLineEnd:   func(_ *editor, t []rune, _, _, to int) ([]rune, int) { return t, to },
	readline.CharCtrlU:     func(e *editor, t []rune, pos, from, _ int) ([]rune, int) { return e.kill(t, from, pos) },
	readline.CharKill: func(e *editor, t []rune, pos, _, to int) ([]rune, int) {
		if pos == to {
			to = min(to+1, len(t)) // joins the next line to this
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

// key says what readline is to make of a key.
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
	e.search = nil // any other key takes what was found
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
		e.rl.Terminal.KickRead() // which waits for the end of the line
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
	if auto && (r == ' ' || r == literalRune) { // what is typed takes the place of what was made, it is not added to it
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

// accepts are the keys that take what is suggested, and how much of it.
var accepts = map[rune]func(ghost []rune) []rune{
	readline.CharForward: wholeGhost,
	readline.CharLineEnd: wholeGhost,
	readline.MetaForward: func(ghost []rune) []rune { return ghost[:wordEnd(ghost, 0)] },
}

func wholeGhost(ghost []rune) []rune { return ghost }

// lineAt gives where the line begins and ends that the cursor is in.
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

// kill takes a piece of the text away, for Ctrl-Y to bring it back.
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

// backspace takes a rune away, or, in the indentation, a step of it.
func backspace(_ *editor, t []rune, pos, from, _ int) ([]rune, int) {
	n := min(pos, 1)
	if in := pos - from; in > 0 && strings.Trim(string(t[from:pos]), " ") == "" {
		n = (in-1)%len(indent) + 1
	}
	return slices.Concat(t[:pos-n], t[pos:]), pos - n
}

// newline breaks the line, and indents the next.
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

// colon ends else and elif: automatic indentation has put them into the body of what they belong to.
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

// recall goes to an earlier item, or to a later one.
func (e *editor) recall(t []rune, pos, by int) ([]rune, int) {
	item, ok := e.hist.step(decodeNewlines(t), by)
	if !ok {
		return t, pos
	}
	text := encodeNewlines(item)
	e.whole = slices.Contains(text, newlineRune)
	return text, len(text)
}

// suspend is Ctrl-Z: it stops us until the shell lets us go on; where there is none, the kernel does not.
func (e *editor) suspend() {
	resumed := make(chan os.Signal, 1)
	signal.Notify(resumed, syscall.SIGCONT)
	defer signal.Stop(resumed)
	if err := e.rl.Terminal.ExitRawMode(); err != nil {
		return // no terminal
	}
	if err := syscall.Kill(0, syscall.SIGTSTP); err == nil {
		select {
		case <-resumed:
		case <-time.After(200 * time.Millisecond): // nobody can stop us
		}
	}
	if err := e.rl.Terminal.EnterRawMode(); err != nil {
		return // no terminal
	}
	e.display.begin()
}
