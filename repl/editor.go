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

// editor is the itemReader on a terminal. readline reads the keys and keeps what is typed; what it cannot do well is done here: an item
// is edited as a whole, with all its lines, and drawn by the display; history, search and completion are about whole items.
type editor struct {
	rl       *readline.Instance
	in       *filter
	stop     func() error // ends the reading of in
	out      *stall.Writer
	display  *display
	hist     *history
	interp   Interpreter
	commands []Command
	winch    chan os.Signal
	once     sync.Once

	mu         sync.Mutex // guards what follows: readline calls us from a goroutine of its own
	now        view
	pending    func(view) view // what the key that was typed does, once readline has done nothing with it
	whole      bool            // the item was recalled or pasted: it needs no empty line to end it
	search     *search
	auto       bool   // the line up to the cursor is the indentation that was made for it
	tabPressed bool   // the last key was Tab, and offered something
	killed     []rune // what Ctrl-U, Ctrl-K or Ctrl-W took away last
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
		// it does not draw, does not search, and completes nothing
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

// size is the terminal's; the usual one where it does not tell.
func size(f *os.File) (cols, rows int) {
	cols, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || cols <= 0 || rows <= 0 {
		return 80, 24
	}
	return cols, rows
}

// decodeNewlines is an item as people write it, with newlines where it has newlineRune while it is edited.
func decodeNewlines(text []rune) string {
	return strings.ReplaceAll(string(text), string(newlineRune), "\n")
}

// encodeNewlines undoes lines. A tab would take nobody knows how many columns.
func encodeNewlines(item string) []rune {
	return []rune(strings.NewReplacer("\n", string(newlineRune), "\t", indent).Replace(item))
}

func (e *editor) Read() (string, error) {
	if e.in.ended.Load() { // readline would wait for ever
		return "", io.EOF
	}
	line, err := e.rl.Readline()
	switch {
	case e.in.ended.Load(): // readline takes the end of the input for the end of the line
		e.display.finish("")
		return "", io.EOF
	case errors.Is(err, readline.ErrInterrupt):
		return "", errInterrupt
	case err != nil:
		return "", err
	}
	return strings.TrimRight(decodeNewlines([]rune(line)), "\n "), nil
}

// changed is called by readline when it begins to read (key 0), and after each key, with what it has then. What it gives takes the place of that.
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
	case readline.CharEnter, readline.CharInterrupt: // it has ended, and another may have begun
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
	e.interp.Ahead(decodeNewlines(p.text[:p.pos]))
	return p.text, p.pos, ok
}

// caught reports a panic in what a key does; the key has done nothing then.
func (e *editor) caught() {
	if p := recover(); p != nil {
		reportBug(e.display, p)
	}
}

// suggestion returns how the line may go on: as in the latest item that begins with what is typed. It is shown where the terminal can
// tell it from what is typed.
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

// complete tells whether Enter runs what is typed.
func (e *editor) complete() bool {
	src := decodeNewlines(e.now.text)
	if isMagic(src) {
		return true
	}
	last := src[strings.LastIndexByte(src, '\n')+1:]
	if strings.TrimSpace(last) == "" { // the indentation was made, not typed
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
		e.hist.file = "" // say it once
		if _, werr := io.WriteString(e.display, "history is not kept: "+err.Error()+"\n"); werr != nil {
			return
		}
	}
}

func (e *editor) Writer() io.Writer { return e.display }

// suspendWhile leaves the terminal to another program.
func (e *editor) suspendWhile(run func() error) error {
	_, err := io.WriteString(e.out, pasteOff)
	err = errors.Join(err, run())
	_, werr := io.WriteString(e.out, pasteOn)
	return errors.Join(err, werr)
}

func (e *editor) HangUp() {
	e.in.ended.Store(true)
	if err := errors.Join(e.stop(), e.out.GiveUp(lastWait)); err != nil {
		return // it has no input, or no terminal any more
	}
}

// lastWait is how long a terminal that takes no output is waited for when the prompt is to end.
const lastWait = 50 * time.Millisecond

// Close restores the terminal.
func (e *editor) Close() error {
	e.once.Do(func() { signal.Stop(e.winch); close(e.winch) })
	_, err := io.WriteString(e.out, pasteOff)
	return errors.Join(err, e.rl.Close(), e.out.Close())
}
