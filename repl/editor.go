package repl

import (
	"errors"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/chzyer/readline"
	"golang.org/x/term"
)

// editor is the lineReader on a terminal: readline, with its known faults guarded.
type editor struct {
	rl   *readline.Instance
	in   *filter
	stop func() error // ends the reading of in
	out  io.Writer
	hist *history
	w    *lineWriter
}

func newEditor(opt Options) (*editor, error) {
	e := &editor{in: &filter{in: opt.In}, out: opt.Out, hist: &history{file: opt.HistoryFile}}
	items, err := e.hist.load()
	if err != nil {
		return nil, err
	}
	width := func() int {
		w, _, err := term.GetSize(int(opt.Out.Fd()))
		if err != nil || w <= 0 {
			return 80
		}
		return w
	}
	stdin := readline.NewCancelableStdin(e.in)
	e.stop = stdin.Close
	e.rl, err = readline.NewEx(&readline.Config{
		Stdin: stdin, Stdout: opt.Out, Stderr: opt.Err,
		FuncGetWidth: width,
		AutoComplete: &completer{opt.Interp, width}, Painter: painter{},
		DisableAutoSaveHistory: true, HistoryLimit: maxHistory, InterruptPrompt: "^C", EOFPrompt: "",
	})
	if err != nil {
		return nil, err
	}
	for _, it := range items {
		if err := e.rl.SaveHistory(flat(it)); err != nil {
			return nil, err
		}
	}
	e.w = &lineWriter{w: e.rl.Stdout()}
	_, err = io.WriteString(e.out, pasteOn)
	return e, err
}

// flat makes an item of several lines one line to edit; Read undoes it.
func flat(item string) string { return strings.ReplaceAll(item, "\n", string(newlineRune)) }

func (e *editor) Read(prompt, preset string) (string, error) {
	if e.in.ended.Load() { // readline would wait for ever
		return "", io.EOF
	}
	e.rl.SetPrompt(prompt)
	line, err := e.rl.ReadlineWithDefault(preset)
	switch {
	case e.in.ended.Load(): // readline takes the end of the input for the end of the line
		return "", io.EOF
	case errors.Is(err, readline.ErrInterrupt):
		return "", errInterrupt
	case err != nil:
		return "", err
	}
	return strings.ReplaceAll(line, string(newlineRune), "\n"), nil
}

func (e *editor) Remember(item string) {
	if err := e.hist.add(item); err != nil {
		e.hist.file = "" // say it once
		if _, werr := io.WriteString(e.w, "history is not kept: "+err.Error()+"\n"); werr != nil {
			return
		}
	}
	if err := e.rl.SaveHistory(flat(item)); err != nil {
		return // only its own file can fail, and it has none
	}
}

func (e *editor) Writer() io.Writer { return e.w }

func (e *editor) HangUp() {
	e.in.ended.Store(true)
	if err := e.stop(); err != nil {
		return // it has none
	}
}

// Close restores the terminal.
func (e *editor) Close() error {
	_, err := io.WriteString(e.out, pasteOff)
	return errors.Join(err, e.rl.Close())
}

// painter shows the newlines of an item that is edited as one line.
type painter struct{}

func (painter) Paint(line []rune, _ int) []rune {
	out := append([]rune{}, line...)
	for i, r := range out {
		if r == newlineRune {
			out[i] = '↵'
		}
	}
	return out
}

// lineWriter hands whole lines on: half of one would be overwritten when the line that is being typed is drawn again.
type lineWriter struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	i := strings.LastIndexByte(string(l.buf), '\n')
	if i < 0 {
		return len(p), nil
	}
	_, err := l.w.Write(l.buf[:i+1])
	l.buf = append([]byte{}, l.buf[i+1:]...)
	return len(p), err
}

// completer asks the interpreter, and keeps from readline what it cannot bear.
type completer struct {
	interp Interpreter
	width  func() int
}

// Do implements readline.AutoCompleter. Left of any text Tab indents. A candidate as wide as the terminal makes readline
// divide by zero, so such are left out.
func (c *completer) Do(line []rune, pos int) ([][]rune, int) {
	text := string(line[:pos])
	if start := strings.LastIndexByte(strings.ReplaceAll(text, string(newlineRune), "\n"), '\n'); strings.TrimSpace(text[max(start, 0):]) == "" {
		return [][]rune{[]rune(indent)}, 0
	}
	words, from := c.interp.Completions(text, len(text))
	typed := text[from:]
	var out [][]rune
	for _, w := range words {
		if rest, ok := strings.CutPrefix(w, typed); ok && utf8.RuneCountInString(w)+3 < c.width() {
			out = append(out, []rune(rest))
		}
	}
	return out, utf8.RuneCountInString(typed)
}
