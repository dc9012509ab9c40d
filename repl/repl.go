// Package repl is the prompt: it reads items (a line, a block, a pasted piece), has them run, and shows what they give.
// What an item means is the interpreter's business; who types at a terminal has an editor around chzyer/readline, behind itemReader.
package repl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"

	"go.starlark.net/starlark"
	"golang.org/x/term"
)

// An Interpreter runs items.
type Interpreter interface {
	// ExecItem runs one item; the value is nil for what is no expression. It returns soon after ctx has ended.
	ExecItem(ctx context.Context, src string) (starlark.Value, error)
	// RunFile runs a file in place of what an earlier run of it has left behind.
	RunFile(ctx context.Context, file, src string) (starlark.Value, error)
	// Complete tells whether the text is a whole item.
	Complete(src string) bool
	// Render shows a value, FormatError an error.
	Render(v starlark.Value) string
	FormatError(err error) string
	// Completions lists what the word before pos can become, whole and sorted, and where that word begins (byte offsets).
	Completions(line string, pos int) (words []string, from int)
	// Ahead tells what is typed so far: what Completions may need later can be prepared in the background.
	Ahead(text string)
	// Signature tells how the call is written that the end of the text is in, and what it does; "" where it is in none.
	Signature(text string) string
}

// Options of a REPL.
type Options struct {
	In, Out, Err *os.File
	HistoryFile  string // "" keeps none
	Banner       string
	Interp       Interpreter
	Colour       bool      // the terminal shows colours, and they are wanted
	Commands     []Command // beside those of the prompt itself
}

// A Command is a line that begins with % and a name.
type Command struct {
	Name, Args, Doc string
	Run             func(ctx context.Context, arg string) (text string, err error)
}

// The prompts.
const (
	prompt1 = ">>> "
	prompt2 = "... "
	indent  = "    "
)

// A REPL is one prompt.
type REPL struct {
	opt   Options
	items itemReader // nil where the input is no terminal
	log   *log
	out   io.Writer  // the terminal, and the log
	errw  io.Writer  // the same for errors
	done  []executed // what went through
	typed []string   // all items
}

// An itemReader reads items from a person.
type itemReader interface {
	// Read shows the prompt and gives a whole item. The error is io.EOF for Ctrl-D, errInterrupt for Ctrl-C.
	Read() (string, error)
	// Remember makes an item recallable.
	Remember(item string)
	// Writer prints above the item that is being typed.
	Writer() io.Writer
	// HangUp makes a Read that waits, and all later ones, give io.EOF. It may be called from any goroutine.
	HangUp()
	Close() error
}

var errInterrupt = errors.New("interrupt")

// New makes a REPL on a terminal, or on piped input.
func New(opt Options) (*REPL, error) {
	r := &REPL{opt: opt, log: &log{}}
	out, errw := io.Writer(opt.Out), io.Writer(opt.Err)
	if term.IsTerminal(int(opt.In.Fd())) {
		var err error
		if os.Getenv("TERM") == "dumb" {
			r.items, err = newPlain(opt)
		} else {
			r.items, err = newEditor(opt)
		}
		if err != nil {
			return nil, err
		}
		out, errw = r.items.Writer(), r.items.Writer()
	}
	r.out, r.errw = io.MultiWriter(out, r.log), io.MultiWriter(errw, r.log)
	return r, nil
}

// Writer is where others print: above the line that is being typed.
func (r *REPL) Writer() io.Writer { return r.out }

// Run reads and runs items until the end, or until ctx ends, and gives the exit status: piped input ends at the first error,
// with status 1. The terminal is as it was before.
func (r *REPL) Run(ctx context.Context) (int, error) {
	if r.items == nil {
		return r.piped(ctx)
	}
	defer context.AfterFunc(ctx, r.items.HangUp)()
	between := make(chan os.Signal, 1) // Ctrl-C when an item has just ended is nobody's
	signal.Notify(between, os.Interrupt)
	defer signal.Stop(between)
	fmt.Fprintln(r.out, r.opt.Banner)
	for {
		item, err := r.items.Read()
		if errors.Is(err, errInterrupt) || err == nil && strings.TrimSpace(item) == "" {
			continue
		}
		if err != nil {
			return 0, errors.Join(ignoreEOF(err), r.items.Close(), r.log.stop())
		}
		r.items.Remember(item)
		if leaves(item) {
			return 0, errors.Join(r.items.Close(), r.log.stop())
		}
		r.run(ctx, item)
	}
}

// run runs an item, or a command of the prompt, and tells whether it went through.
func (r *REPL) run(ctx context.Context, item string) bool {
	r.log.record(shown(item) + "\n")
	r.typed = append(r.typed, item)
	if isMagic(item) {
		return r.magic(ctx, item)
	}
	return r.exec(ctx, item)
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func leaves(item string) bool {
	switch strings.TrimSpace(item) {
	case "exit", "quit", "exit()", "quit()":
		return true
	}
	return false
}

// exec runs an item and shows its value. Ctrl-C ends the item only. It tells whether the item went through.
func (r *REPL) exec(ctx context.Context, item string) (ok bool) {
	return r.execBy(ctx, item, r.opt.Interp.ExecItem)
}

// execBy is exec by another function of the interpreter's.
func (r *REPL) execBy(ctx context.Context, item string, run func(ctx context.Context, src string) (starlark.Value, error)) (ok bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, os.Interrupt)
	defer signal.Stop(sig)
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-sig:
			if r.items != nil {
				fmt.Fprintln(r.items.Writer()) // behind the ^C that the terminal shows
			}
			cancel()
		case <-done:
		}
	}()
	defer func() {
		if p := recover(); p != nil {
			reportBug(r.errw, p)
			ok = false
		}
	}()
	v, err := run(ctx, item)
	if err != nil {
		fmt.Fprintln(r.errw, r.opt.Interp.FormatError(err))
		return false
	}
	if src := strings.TrimRight(item, "\n"); !strings.HasSuffix(src, "?") {
		r.done = append(r.done, executed{src, v != nil && v != starlark.None && v.Type() != "probe"})
	}
	if v != nil && v != starlark.None {
		if _, err := fmt.Fprintln(r.out, r.opt.Interp.Render(v)); err != nil {
			return false // who read our output has gone: nobody to tell
		}
	}
	return true
}

// reportBug tells of a panic in our own code.
func reportBug(w io.Writer, p any) {
	fmt.Fprintf(w, "bug in bpfrepl: %v\n%splease report this, with what was typed; the session goes on\n", p, debug.Stack())
}

// piped runs items from input that is no terminal, as they become whole.
func (r *REPL) piped(ctx context.Context) (int, error) {
	in := readLines(ctx, r.opt.In)
	var buf strings.Builder
	for {
		var line string
		var err error
		select {
		case <-ctx.Done():
			return 1, nil
		case l := <-in:
			line, err = l.text, l.err
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 1, fmt.Errorf("read the input: %w", err)
		}
		end := err != nil
		text := strings.TrimSuffix(line, "\n")
		// a line that begins at the margin ends the block before it
		starts := buf.Len() > 0 && text != "" && !strings.HasPrefix(text, " ") && !strings.HasPrefix(text, "\t") && !continues(text)
		if starts && r.opt.Interp.Complete(buf.String()+"\n") {
			if item := buf.String(); !r.run(ctx, item) {
				return 1, nil
			}
			buf.Reset()
		}
		buf.WriteString(line)
		if src := strings.TrimRight(buf.String(), "\n"); strings.TrimSpace(src) != "" && (end || isMagic(src) || r.opt.Interp.Complete(src)) {
			if leaves(src) {
				return 0, nil
			}
			if !r.run(ctx, src) {
				return 1, nil
			}
			buf.Reset()
		}
		if end {
			return 0, nil
		}
	}
}

// inputLine is a line of piped input with its newline; the last comes with an error.
type inputLine struct {
	text string
	err  error
}

// readLines reads on a goroutine of its own: a read of a pipe cannot be interrupted.
func readLines(ctx context.Context, f io.Reader) <-chan inputLine {
	lines := make(chan inputLine)
	go func() {
		in := bufio.NewReader(f)
		for {
			text, err := in.ReadString('\n')
			select {
			case lines <- inputLine{text, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return lines
}

// continues tells of lines that belong to the block before them.
func continues(line string) bool {
	return strings.HasPrefix(line, "else") || strings.HasPrefix(line, "elif")
}
