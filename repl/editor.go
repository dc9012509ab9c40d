package repl

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/chzyer/readline"
	"golang.org/x/term"

	"github.com/bpfrepl/bpfrepl/internal/stall"
)

// editor is the itemReader for terminals. It uses readline to read keys and to hold the text, and
// does itself what readline does not do well: an item is edited as a whole, with all its lines, and
// drawn by display; history, search and completion work on whole items.
type editor struct {
	rl       *readline.Instance
	in       *filter
	stop     func() error // stops reading from in
	out      *stall.Writer
	display  *display
	hist     *history
	interp   Interpreter
	commands []Command
	winch    chan os.Signal
	once     sync.Once

	mu      sync.Mutex // guards the fields below: readline calls us from its own goroutine
	now     view
	pending func(view) view // the effect of the last key, applied after readline has ignored that key
	// whole is set if the item was recalled or pasted; it then needs no empty line to end it.
	whole  bool
	search *search
	// auto is set if the line up to the cursor is automatic indentation.
	auto       bool
	tabPressed bool // the last key was Tab and did not insert text
	// killed is the text that Ctrl-U, Ctrl-K or Ctrl-W removed last.
	killed []rune
}

func newEditor(opt Options) (*editor, error) {
	e := &editor{in: &filter{in: opt.In}, out: stall.New(opt.Out), interp: opt.Interp, commands: opt.Commands, hist: &history{file: opt.HistoryFile}, winch: make(chan os.Signal, 1)}
	if err := e.hist.load(); err != nil {
		return nil, err
	}
	e.display = &display{w: e.out, colour: opt.Colour, size: func() (int, int) { return size(opt.Out) }}
	var cooked *readline.State
	stdin := readline.NewCancelableStdin(e.in)
	e.stop = stdin.Close
	var err error
	e.rl, err = readline.NewEx(&readline.Config{
		Stdin: stdin, Stdout: opt.Out, Stderr: opt.Err,
		// readline does not draw, search or complete here.
		FuncIsTerminal: func() bool { return false }, FuncGetWidth: func() int { return 0 }, FuncOnWidthChanged: func(func()) {},
		FuncMakeRaw: func() (err error) {
			cooked, err = readline.MakeRaw(int(opt.In.Fd()))
			return err
		},
		FuncExitRaw: func() error {
			if cooked == nil {
				return nil
			}
			return readline.Restore(int(opt.In.Fd()), cooked)
		},
		FuncFilterInputRune: e.key, Listener: readline.FuncListener(e.changed), DisableAutoSaveHistory: true,
	})
	if err != nil {
		return nil, err
	}
	signal.Notify(e.winch, syscall.SIGWINCH)
	go func() {
		for range e.winch {
			e.display.resized()
		}
	}()
	_, err = io.WriteString(e.out, pasteOn)
	return e, err
}

// size returns the size of the terminal, or 80 by 24 if it is unknown.
func size(f *os.File) (cols, rows int) {
	cols, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || cols <= 0 || rows <= 0 {
		return 80, 24
	}
	return cols, rows
}

// decodeNewlines converts the text being edited, where newlineRune stands for a newline, to an
// item.
func decodeNewlines(text []rune) string {
	return strings.ReplaceAll(string(text), string(newlineRune), "\n")
}

// encodeNewlines is the inverse of decodeNewlines. It also expands tabs, whose width on the screen
// depends on the column.
func encodeNewlines(item string) []rune {
	return []rune(strings.NewReplacer("\n", string(newlineRune), "\t", indent).Replace(item))
}

func (e *editor) Read() (string, error) {
	if e.in.ended.Load() { // readline would wait forever
		return "", io.EOF
	}
	line, err := e.rl.Readline()
	switch {
	case e.in.ended.Load(): // readline reports the end of the input as the end of the line
		e.display.finish("")
		return "", io.EOF
	case errors.Is(err, readline.ErrInterrupt):
		return "", errInterrupt
	case err != nil:
		return "", err
	}
	return strings.TrimRight(decodeNewlines([]rune(line)), "\n "), nil
}

// changed is readline's listener. readline calls it with key 0 when it starts reading, and then
// after each key, with its current text and cursor. If ok is true, the results replace them.
func (e *editor) changed(text []rune, pos int, key rune) (newText []rune, newPos int, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.caught()
	switch key {
	case 0:
		e.now, e.pending, e.whole, e.search, e.tabPressed, e.auto = view{}, nil, false, nil, false, false
		e.hist.rewind()
		e.display.begin()
		return nil, 0, false
	case readline.CharEnter, readline.CharInterrupt: // the item has ended, and the next may have begun
		return nil, 0, false
	}
	p := view{text: text, pos: pos}
	if e.pending != nil {
		act := e.pending
		e.pending = nil
		p, ok = act(p), true
	}
	p.ghost = e.suggestion(p)
	e.now = p
	e.display.show(p)
	e.interp.Prefetch(decodeNewlines(p.text[:p.pos]))
	return p.text, p.pos, ok
}

// caught recovers from a panic in the handling of a key and reports it. The key then has no effect.
func (e *editor) caught() {
	if p := recover(); p != nil {
		reportBug(e.display, p)
	}
}

// suggestion returns a continuation of the line, taken from the latest item that begins with the
// text typed so far. It needs color: otherwise the suggestion looks like typed text.
func (e *editor) suggestion(p view) []rune {
	if !e.display.colour || p.pos < len(p.text) || p.below != nil || e.search != nil || e.hist.at < len(e.hist.items) {
		return nil
	}
	typed := decodeNewlines(p.text)
	if strings.TrimSpace(typed) == "" {
		return nil
	}
	rest, _, _ := strings.Cut(e.hist.continuation(typed), "\n")
	return encodeNewlines(rest)
}

// complete reports whether Enter executes the text typed so far.
func (e *editor) complete() bool {
	src := decodeNewlines(e.now.text)
	if isMagic(src) {
		return true
	}
	last := src[strings.LastIndexByte(src, '\n')+1:]
	if strings.TrimSpace(last) == "" { // the indentation was automatic, not typed
		src = strings.TrimSuffix(src, last)
	}
	if e.whole {
		src += "\n"
	}
	return e.interp.Complete(src)
}

func (e *editor) Remember(item string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.hist.add(item); err != nil {
		e.hist.file = "" // report it once
		if _, werr := io.WriteString(e.display, "history is not saved: "+err.Error()+"\n"); werr != nil {
			return
		}
	}
}

func (e *editor) Writer() io.Writer { return e.display }

// suspendWhile runs another program that uses the terminal, without bracketed paste.
func (e *editor) suspendWhile(run func() error) error {
	_, err := io.WriteString(e.out, pasteOff)
	err = errors.Join(err, run())
	_, werr := io.WriteString(e.out, pasteOn)
	return errors.Join(err, werr)
}

func (e *editor) HangUp() {
	e.in.ended.Store(true)
	if err := errors.Join(e.stop(), e.out.GiveUp(lastWait)); err != nil {
		return // the input or the terminal has been closed already
	}
}

// lastWait is how long HangUp waits for a terminal that accepts no output.
const lastWait = 50 * time.Millisecond

// Close restores the terminal.
func (e *editor) Close() error {
	e.once.Do(func() { signal.Stop(e.winch); close(e.winch) })
	_, err := io.WriteString(e.out, pasteOff)
	return errors.Join(err, e.rl.Close(), e.out.Close())
}
