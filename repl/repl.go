// Package repl implements the interactive prompt. It reads items (a line, a block or a pasted
// text), passes them to an Interpreter, and prints the resulting values and errors.
//
// The package knows nothing about the language beyond what Interpreter declares. Input comes from
// one of three sources: on a terminal, an editor built on chzyer/readline; on a terminal without
// control sequences (TERM=dumb), line input edited by the kernel; otherwise, a pipe. The first two
// implement itemReader.
//
//	repl.go     Interpreter, REPL, the loop that reads and runs items
//	magic.go    commands of the prompt, such as %save
//	save.go     %save: the items that make a script
//	log.go      %log: a file of items and their output
//	editor.go   the editor on a terminal, on top of readline
//	keys.go     its keys and what they do
//	display.go  drawing of the item being typed
//	tab.go      completion with Tab
//	search.go   Ctrl-R
//	history.go  the history and its file
//	stdin.go    bytes from the terminal before readline gets them, pasted text
//	plain.go    line input edited by the kernel
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

// An Interpreter executes items.
type Interpreter interface {
	// ExecItem executes one item. The value is nil if the item is not an expression. ExecItem
	// returns soon after ctx is canceled.
	ExecItem(ctx context.Context, src string) (starlark.Value, error)
	// Exit returns the exit status with which the last item asked to leave the prompt, and whether
	// it did.
	Exit() (status int, called bool)
	// RunFile executes src, the contents of file, in the session, replacing what an earlier
	// run of the same file left behind.
	RunFile(ctx context.Context, file, src string) (starlark.Value, error)
	// Complete reports whether src is a complete item.
	Complete(src string) bool
	// Render returns a value as text; FormatError does the same for an error.
	Render(v starlark.Value) string
	FormatError(err error) string
	// Completions returns the candidates for the word that ends at pos, as complete words in sorted
	// order, and the position where that word begins. Positions are byte offsets.
	Completions(line string, pos int) (words []string, from int)
	// Prefetch receives the text typed so far, so that data that Completions may need can be prepared
	// in the background.
	Prefetch(text string)
	// Signature returns the signature and description of the call that the end of text is inside,
	// or "" if it is not inside a call.
	Signature(text string) string
}

// Options configures a REPL.
type Options struct {
	In, Out, Err *os.File
	// HistoryFile stores the items of all sessions; if it is empty, none are stored.
	HistoryFile string
	Banner      string
	Interp      Interpreter
	// Colour allows color: the terminal supports it and the user wants it.
	Colour bool
	// Commands are added to the built-in % commands.
	Commands []Command
}

// A Command is a % command: the user types % and its name at the prompt.
type Command struct {
	Name, Args, Doc string
	Run             func(ctx context.Context, arg string) (text string, err error)
}

// Prompts and indentation.
const (
	prompt1 = ">>> "
	prompt2 = "... "
	indent  = "    "
)

// A REPL is one interactive session.
type REPL struct {
	opt   Options
	items itemReader // nil if the input is not a terminal
	log   *log
	out   io.Writer  // the terminal and the log
	errw  io.Writer  // the same, for errors
	done  []executed // items that succeeded
	typed []string   // all items
}

// An itemReader reads items that a person types.
type itemReader interface {
	// Read shows the prompt and returns a complete item. The error is io.EOF for Ctrl-D and
	// errInterrupt for Ctrl-C.
	Read() (string, error)
	// Remember adds an item to the history.
	Remember(item string)
	// Writer returns a writer that prints above the item being typed.
	Writer() io.Writer
	// HangUp makes a pending Read and all later ones return io.EOF. It may be called from any
	// goroutine.
	HangUp()
	Close() error
}

var errInterrupt = errors.New("interrupt")

// New returns a REPL that reads from a terminal or, if opt.In is not a terminal, from a pipe.
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

// Writer returns the writer for all other output of the process. It prints above the line being
// typed.
func (r *REPL) Writer() io.Writer { return r.out }

// Run reads and executes items until the input ends or ctx is canceled, and returns the exit
// status. On a terminal the status is 0. Piped input stops at the first error with status 1. Run
// restores the terminal before it returns.
func (r *REPL) Run(ctx context.Context) (int, error) {
	if r.items == nil {
		return r.piped(ctx)
	}
	defer context.AfterFunc(ctx, r.items.HangUp)()
	// Catch a Ctrl-C that arrives just after an item has ended; nothing is left to interrupt.
	between := make(chan os.Signal, 1)
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
		if status, called := r.opt.Interp.Exit(); called {
			return status, errors.Join(r.items.Close(), r.log.stop())
		}
	}
}

// run executes an item or a % command, and reports whether it succeeded.
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

// exec executes an item and prints its value. Ctrl-C cancels only the item. It reports whether the
// item succeeded.
func (r *REPL) exec(ctx context.Context, item string) (ok bool) {
	return r.execBy(ctx, item, r.opt.Interp.ExecItem)
}

// execBy is like exec, but calls run instead of ExecItem.
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
				fmt.Fprintln(r.items.Writer()) // after the ^C that the terminal echoes
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
			return false // the reader of our output is gone
		}
	}
	return true
}

// reportBug reports a panic in our own code.
func reportBug(w io.Writer, p any) {
	fmt.Fprintf(w, "bug in bpfrepl: %v\n%splease report this, with what was typed; the session continues\n", p, debug.Stack())
}

// piped executes items from input that is not a terminal, each as soon as it is complete.
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
		// A line without indentation ends the block before it.
		starts := buf.Len() > 0 && text != "" && !strings.HasPrefix(text, " ") && !strings.HasPrefix(text, "\t") && !continues(text)
		if starts && r.opt.Interp.Complete(buf.String()+"\n") {
			if status, over := r.runPiped(ctx, buf.String()); over {
				return status, nil
			}
			buf.Reset()
		}
		buf.WriteString(line)
		if src := strings.TrimRight(buf.String(), "\n"); strings.TrimSpace(src) != "" && (end || isMagic(src) || r.opt.Interp.Complete(src)) {
			if leaves(src) {
				return 0, nil
			}
			if status, over := r.runPiped(ctx, src); over {
				return status, nil
			}
			buf.Reset()
		}
		if end {
			return 0, nil
		}
	}
}

// runPiped executes an item of piped input. It reports whether the input ends with it, and the exit
// status.
func (r *REPL) runPiped(ctx context.Context, item string) (status int, over bool) {
	if !r.run(ctx, item) {
		return 1, true
	}
	return r.opt.Interp.Exit()
}

// inputLine is a line of piped input with its newline. The last line comes with an error.
type inputLine struct {
	text string
	err  error
}

// readLines reads lines on a separate goroutine, because a read from a pipe cannot be interrupted.
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

// continues reports whether a line belongs to the block before it.
func continues(line string) bool {
	return strings.HasPrefix(line, "else") || strings.HasPrefix(line, "elif")
}
