package starlarkbind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
	"github.com/bpfrepl/bpfrepl/internal/paint"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/export"
	"github.com/bpfrepl/bpfrepl/starlarkbind/files"
	"github.com/bpfrepl/bpfrepl/starlarkbind/flags"
	"github.com/bpfrepl/bpfrepl/starlarkbind/help"
	"github.com/bpfrepl/bpfrepl/starlarkbind/hostrun"
	"github.com/bpfrepl/bpfrepl/starlarkbind/ktypes"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
	"github.com/bpfrepl/bpfrepl/starlarkbind/modules"
	"github.com/bpfrepl/bpfrepl/starlarkbind/names"
	"github.com/bpfrepl/bpfrepl/starlarkbind/overhead"
	"github.com/bpfrepl/bpfrepl/starlarkbind/proc"
	"github.com/bpfrepl/bpfrepl/starlarkbind/records"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
	"github.com/bpfrepl/bpfrepl/starlarkbind/universe"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// Options configure a session.
type Options struct {
	Stdout, Stderr io.Writer
	JSON           bool                    // print one JSON object per line
	Warnings       warnings.Level          // helper errors to warn about
	Args           []string                // arguments of the script
	Interactive    bool                    // a prompt: more input may follow
	Screen         func() (cols, rows int) // terminal size of Stdout; nil or 0: not a terminal
	Colour         bool                    // colour the output
	ErrColour      bool                    // colour errors and warnings
	ASCII          bool                    // draw with ASCII only
	Check          bool                    // compile and load, but attach and run nothing
	EmitAsm        bool                    // print the assembly of each program
	Verbose        bool                    // full errors, with the verifier's log
	NoSummary      bool                    // do not print unread aggregations at the end
	AllowRun       bool                    // allow the script to start processes
	AllowRead      []string                // directories that the script may read files in
	AllowWrite     []string                // directories that the script may write files into
	Unsafe         bool                    // allow handlers to change kernel behaviour
	// MaxOverhead limits the CPU time of handlers, in percent of the time of all CPUs. 0 means no
	// limit.
	MaxOverhead float64
	LoadDirs    []string // where load() searches after the folder of the file that loads
	Command     *proc.Process
	PID         int      // process that probes are limited to; 0: none
	Assertions  bool     // define assert, for RunTest
	Spawned     *os.File // output and errors of started processes; nil: those of bpfrepl

	pass func(name string, f *ir.Func) // compiler.Request.Pass, in tests
}

// A Session is one script or one prompt. Its parts have locks of their own. Its methods must be
// called from one goroutine, except for Interrupt and Background.
type Session struct {
	opt     Options
	kernel  *sys.Kernel
	out     *terminal.Output
	flags   *flags.Set
	sources *source.Files
	ktypes  *ktypes.Types
	names   *names.Namespace
	modules *modules.Loader
	guards  *universe.Guards
	help    *help.Help

	run     *runner.Runner
	reg     *registry
	warner  *warnings.Warner
	waits   waits
	done    milestones
	files   *files.Files
	exports *export.Exporter
	mapEnv  *maps.Env

	ids       *codec.ProbeNames
	symbols   *codec.Symbols
	stacks    *codec.StackMaps
	codec     *codec.Codec
	records   *records.Records
	shared    *kernelShared
	detaching detaching
	overhead  *overhead.Watch // nil: not measured
	adds      *hostAdds       // nil until the script adds
	lookups   *hostrun.Lookups
	handlers  *hostrun.Handlers
	// leastShared is the minimum number of a probe's system calls for which they share one program.
	leastShared int
}

// New returns a session. It does not touch the kernel until a probe is created.
func New(opt Options) (*Session, error) {
	k, err := sys.Running()
	if err != nil {
		return nil, err
	}
	s := &Session{opt: opt, kernel: k, sources: source.New(), ktypes: ktypes.New(), ids: codec.NewProbeNames(), reg: &registry{}, stacks: &codec.StackMaps{}, leastShared: 2}
	s.out = terminal.New(opt.Stdout, opt.Stderr, opt.JSON, opt.Colour, opt.ErrColour)
	s.flags = flags.New(opt.Args)
	if s.flags.Help() { // the script runs only to define its flags, so its output is dropped
		s.out.SetWriters(io.Discard, opt.Stderr)
	}
	s.run = runner.New(s.out, opt.Interactive, opt.Warnings == warnings.None)
	s.waits.halt = make(chan struct{}, 1)
	if opt.Command != nil {
		s.waits.procs = append(s.waits.procs, opt.Command)
	}
	s.guards = universe.New(s.run)
	s.warner = warnings.New(warnings.Options{Level: opt.Warnings, Out: s.out, Sources: s.sources, Screen: opt.Screen, NoNotes: s.flags.Help()})
	s.symbols = codec.NewSymbols(s.warner.Once)
	s.codec = codec.New(s.ids, s.symbols, s.stacks, s.warner.Once)
	s.shared = &kernelShared{memory: kmap.Spec.CheckMemory}
	s.records = records.New(records.Env{Run: s.run, Out: s.out, Codec: s.codec, Warner: s.warner, Halt: s.waits.halt, Check: opt.Check, Host: recordHost{s}})
	s.files = files.New(files.Options{Run: s.run, Read: opt.AllowRead, Write: opt.AllowWrite, Interactive: opt.Interactive})
	s.exports = export.New(export.Options{Run: s.run, Out: s.out, Symbols: s.symbols, Report: s.warner.Once, Screen: opt.Screen, ASCII: opt.ASCII, Files: s.files})
	s.mapEnv = &maps.Env{Run: s.run, Out: s.out, Codec: s.codec, Stacks: s.stacks, Kernel: s.kernel, Host: mapHost{s}}
	s.names = names.New(s.sources, s.ktypes)
	s.modules = modules.New(s.sources, s.names, opt.LoadDirs, s.inFile)
	s.names.Check = s.checkItem
	s.help = &help.Help{Topics: topics(), Types: s.ktypes, Session: lookup{s}}
	s.lookups = &hostrun.Lookups{TargetPID: s.targetPID}
	s.handlers = hostrun.New(hostrun.Env{Sources: s.sources, Types: s.ktypes, Guards: s.guards, Codec: s.codec, Lookups: s.lookups, Unsafe: opt.Unsafe, Host: handlerHost{s}})
	s.names.Predeclared = s.builtins()
	return s, nil
}

// ExecFile runs the script src. name is its file name in errors. It returns ErrHelp if the script's
// arguments ask for help, and ErrInterrupted if ctx ends first.
func (s *Session) ExecFile(ctx context.Context, name string, src []byte) error {
	return s.execFile(ctx, name, src, func(*starlark.Thread, starlark.StringDict) error { return nil })
}

// execFile is ExecFile. At the end of the file it calls end with the file's globals.
func (s *Session) execFile(ctx context.Context, name string, src []byte, end func(*starlark.Thread, starlark.StringDict) error) error {
	f, prog, err := s.compileFile(name, src)
	if err != nil {
		return err
	}
	if names, all := flagNames(append(s.modules.Trees(), f)); all && !s.opt.Interactive && !s.flags.Help() {
		if err := s.flags.CheckBefore(names); err != nil {
			return err
		}
	}
	err = s.exec(ctx, name, func(thread *starlark.Thread) error {
		globals, err := prog.Init(thread, s.names.Predeclared)
		for n, v := range globals {
			s.names.Globals[n] = v // for the prompt that -i opens afterwards
		}
		if err == nil {
			err = s.checkFlags(true)
		} else if s.flags.Help() { // it may have failed because a flag is missing
			err = ErrHelp
		}
		if err == nil {
			err = end(thread, globals)
		}
		s.done.ended, s.done.aborted = err == nil, s.run.Context().Err() != nil
		s.done.stack = s.frames(err)
		s.done.failed = err != nil && !errors.Is(err, runner.ErrStop)
		return err
	})
	if err == nil && s.opt.Check {
		s.noteUnchecked()
	}
	return err
}

// compileFile compiles a file for the interpreter, and reads the modules that it loads.
func (s *Session) compileFile(name string, src []byte) (*syntax.File, *starlark.Program, error) {
	// Columns in the first line then match what the user sees.
	src = bytes.TrimPrefix(src, source.ByteOrderMark)
	f, err := source.Parse(name, src)
	if err != nil {
		return nil, nil, s.syntaxError(err, name, src)
	}
	s.sources.Add(name, src, f)
	if err := s.modules.Prepare(f, modules.FolderOf(name)); err != nil {
		return nil, nil, err
	}
	prog, err := starlark.FileProgram(f, s.names.Known)
	if err != nil {
		return nil, nil, s.syntaxError(err, name, src)
	}
	s.sources.Resolved(f)
	return f, prog, source.CheckFormats(f)
}

// exec runs fn on a thread of its own, which is cancelled when ctx ends.
func (s *Session) exec(ctx context.Context, name string, fn func(*starlark.Thread) error) error {
	// The prompt may have a callback running, which holds s.busy. Cancel it when ctx ends.
	stop := context.AfterFunc(ctx, func() { s.run.CancelCallback(runner.CutByInterrupt) })
	s.run.Busy.Lock()
	stop()
	defer s.run.Busy.Unlock()
	if ctx.Err() != nil {
		return runner.ErrInterrupted
	}
	return s.run.ExecAlone(ctx, name, func(thread *starlark.Thread) error {
		thread.Load = s.modules.Load
		return fn(thread)
	})
}

// checkFlags is called before a script touches the kernel. It returns ErrHelp if the arguments ask
// for help. If all is true, all flags are defined, and an unknown flag is an error too.
func (s *Session) checkFlags(all bool) error {
	if s.opt.Interactive {
		return nil
	}
	if s.flags.Help() {
		return ErrHelp
	}
	if all {
		return s.flags.Check()
	}
	return nil
}

// flagNames returns the flag names that files define with literal strings, and whether these are
// all of their flags.
func flagNames(files []*syntax.File) (names []string, all bool) {
	others := 0 // uses of flag whose name is not a literal
	visit := func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Ident:
			if n.Name == "flag" {
				others++
			}
		case *syntax.CallExpr:
			if fn, ok := n.Fn.(*syntax.Ident); !ok || fn.Name != "flag" || len(n.Args) == 0 {
				break
			}
			arg := n.Args[0]
			if b, ok := arg.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ { // name="limit"
				arg = b.Y
			}
			if l, ok := arg.(*syntax.Literal); ok && l.Token == syntax.STRING {
				names = append(names, l.Value.(string))
				others--
			}
		}
		return true
	}
	for _, f := range files {
		syntax.Walk(f, visit)
	}
	return names, others == 0
}

var question = lazyregexp.Regexp(`^\s*([\pL_][\pL\pN_.]*)\s*(\?\??)\s*$`)

// ExecItem runs one item of the prompt and returns the value if it is an expression.
func (s *Session) ExecItem(ctx context.Context, src string) (v starlark.Value, err error) {
	if strings.TrimSpace(src) == "help" && s.Value("help") == s.names.Predeclared["help"] {
		src = "help()"
	}
	if m := question().FindStringSubmatch(src); m != nil && m[2] == "??" { // x?? prints the source
		text, err := s.source(s.Value(m[1]))
		if err != nil {
			return nil, fmt.Errorf("%s??: %w", m[1], err)
		}
		s.out.Text(text)
		return nil, s.out.Failed()
	} else if m != nil { // x? prints help
		src = fmt.Sprintf("help(%s)", m[1])
		if s.Value(m[1]) == nil {
			src = fmt.Sprintf("help(%q)", m[1])
		}
	}
	prompt := s.names.Prompt()
	err = s.exec(ctx, "prompt", func(thread *starlark.Thread) error {
		v, err = prompt.Exec(thread, src)
		var syn syntax.Error
		var res resolve.ErrorList
		var inModule *modules.InModule
		switch { // the item is in no stored file yet
		case errors.As(err, &inModule):
		case errors.As(err, &syn):
			s.keepItem(syn.Pos, src)
		case errors.As(err, &res):
			s.keepItem(res[0].Pos, src)
		}
		return err
	})
	return v, err
}

// keepItem stores the text of an item in which there is an error, unless the error is in a text
// that the item has given to expression().
func (s *Session) keepItem(pos syntax.Position, src string) {
	if !s.sources.Has(pos.Filename()) {
		s.sources.Keep(pos.Filename(), []byte(src))
	}
}

// Render formats a value as the prompt prints it: strings in quotes, everything else as print does,
// cut to the size of the screen.
func (s *Session) Render(v starlark.Value) string {
	s.run.Busy.Lock()
	defer s.run.Busy.Unlock()
	page := s.page()
	text := ""
	if str, ok := v.(starlark.String); ok {
		text = page.Quoted(str)
	} else {
		text = s.shownOn(page, v)
	}
	if s.opt.Colour {
		text = paint.Bars(text)
	}
	return text
}

// page returns the size of the screen, less the rows for the prompt before and after the value. It
// returns the zero Page if there is no screen.
func (s *Session) page() render.Page {
	if s.opt.Screen == nil {
		return render.Page{}
	}
	cols, rows := s.opt.Screen()
	if cols <= 0 || rows <= 0 {
		return render.Page{}
	}
	return render.Page{Columns: cols, Rows: max(rows-2, 5)}
}

// Names returns the names that are defined at the prompt, in no particular order.
func (s *Session) Names() []string { return s.names.All() }

// Value returns the value of a name at the prompt, or nil if it is not defined.
func (s *Session) Value(name string) starlark.Value { return s.names.Value(name) }

// milestones record how far the script has come.
type milestones struct {
	waited  bool                // it called run() or waited for records
	ended   bool                // it ran to its end
	failed  bool                // an error ended it
	aborted bool                // Ctrl-C ended it
	exit    atomic.Pointer[int] // the status given to exit()
	stack   starlark.CallStack  // where an error ended it
}

// Interrupt handles Ctrl-C, from any goroutine. In a script the first one ends run() or a loop over
// a stream, and the script continues: it prints what was counted. Outside of these, or the second
// time, it ends the script.
func (s *Session) Interrupt() { s.run.Interrupt() }

// Flags returns the script's flags.
func (s *Session) Flags() *flags.Set { return s.flags }

// Close detaches all probes, prints what is left to print, reports what went wrong, and closes the
// kernel objects.
func (s *Session) Close() error {
	if s.reg.closed {
		return nil
	}
	s.reg.closed = true
	if s.overhead != nil {
		s.overhead.Close()
	}
	script := !s.opt.Interactive && !s.opt.Check
	if script && s.done.ended {
		s.noteUnused()
	}
	var errs []error
	errs = append(errs, detachAll(s.reg.probes))
	s.records.DrainAll()
	if script && !s.done.aborted && (!s.done.failed || s.done.waited) && s.out.Failed() == nil {
		s.summarize()
	}
	s.warnLeft()
	s.warnTotals()
	s.warnEvicted()
	for _, p := range s.waits.procs {
		p.Kill()
	}
	unprinted, err := s.records.Close()
	errs = append(errs, err)
	s.out.WarnLost(unprinted)
	for _, p := range s.reg.probes {
		errs = append(errs, p.close())
	}
	for _, m := range s.reg.maps {
		errs = append(errs, m.Close())
	}
	errs = append(errs, s.shared.close(), s.stacks.Close())
	s.detaching.leaving.Store(true)
	s.detaching.closing.Wait()
	return errors.Join(append(errs, s.out.Failed())...)
}

// detachAll detaches the probes concurrently, because the kernel takes a while for each.
func detachAll(probes []*Probe) error {
	var wg sync.WaitGroup
	errs := make([]error, len(probes))
	for i, p := range probes {
		wg.Go(func() { errs[i] = p.detach() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// syntaxError stores the source text, which the error message quotes.
func (s *Session) syntaxError(err error, name string, src []byte) error {
	s.sources.Keep(name, src)
	return err
}

// SetOutput redirects all output. It must be called before anything is printed.
func (s *Session) SetOutput(out, errOut interface{ Write([]byte) (int, error) }) {
	s.out.SetWriters(out, errOut)
}

// source returns the source text of a function or of a probe's handler.
func (s *Session) source(v starlark.Value) (string, error) {
	var pos syntax.Position
	switch v := v.(type) {
	case *starlark.Function:
		pos = v.Position()
	case *Probe:
		pos = v.pos
	case nil:
		return "", errors.New("no such name")
	default:
		return "", fmt.Errorf("only functions and probes have source, not values of type %s", v.Type())
	}
	fn := s.sources.Funcs[source.PlaceOf(pos)]
	if fn == nil || len(fn.Body) == 0 {
		return "", fmt.Errorf("the source at %s is not available", pos)
	}
	_, end := fn.Body[len(fn.Body)-1].Span()
	lines := []string{pos.String() + ":"}
	for ; pos.Line <= end.Line; pos.Line++ {
		lines = append(lines, "    "+s.sources.Line(pos))
	}
	return render.Escape(strings.Join(lines, "\n")) + "\n", nil
}

// checkItem reads the modules that an item of the prompt loads, and checks its formats. An item is
// in the current folder, a file of %run in its own.
func (s *Session) checkItem(f *syntax.File) error {
	dir := "."
	if s.waits.file != "" {
		dir = modules.FolderOf(s.waits.file)
	}
	if err := s.modules.Prepare(f, dir); err != nil {
		return err
	}
	return source.CheckFormats(f)
}

// inFile runs the top level of a module, to which the probes and timers that it creates belong. If
// it fails at a prompt, where it can be loaded again, these end.
func (s *Session) inFile(file string, run func() error) error {
	outer, tested := s.waits.file, s.waits.tested
	s.waits.file, s.waits.tested = file, s.opt.Assertions
	defer func() { s.waits.file, s.waits.tested = outer, tested }()
	probes, timers := s.reg.allProbes(), slices.Clone(s.waits.timers)
	err := run()
	if err != nil && s.opt.Interactive {
		return errors.Join(err, s.backTo(probes, timers))
	}
	return err
}

// backTo detaches the probes, and removes the timers, that are not among these.
func (s *Session) backTo(probes []*Probe, timers []*timer) error {
	s.waits.timers = timers
	return detachAll(slices.DeleteFunc(s.reg.allProbes(), func(p *Probe) bool { return slices.Contains(probes, p) }))
}
