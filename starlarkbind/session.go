// Package starlarkbind connects Starlark scripts to the kernel. It defines the Starlark values and
// builtins (probes, aggregations, tables, streams, errors), asks the compiler for programs, and
// asks package bpf for kernel objects. It is the only package that knows both Starlark and the
// kernel. A Session is one script or one prompt.
//
// The code is divided as follows:
//
//   - session.go, run.go, callback.go, ending.go: a session, run(), callbacks and Ctrl-C.
//   - probe*.go, load*.go, release.go, detach.go, infer.go, pidfilter.go: the life of a probe, from
//     its targets to its release.
//   - aggregation*.go, table.go, lru.go, stream*.go, stack.go, sweep.go: the values that live in
//     kernel maps.
//   - script_add.go, onhost.go, copyfunc.go, event.go, hosthalf.go: what handlers do when the
//     script does it.
//   - builtins.go, universe.go, methods.go, help.go, complete*.go: tables of functions, help and
//     completion.
//   - print_reader.go, output.go, jsonlines.go, notes.go, errors*.go, script_error.go: output,
//     warnings and errors.
//
// What needs neither a session nor the kernel belongs in a sub-package, such as render for the text
// of values or items for the items of a prompt.
package starlarkbind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/bpf/symbol"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
	"github.com/bpfrepl/bpfrepl/internal/paint"
	"github.com/bpfrepl/bpfrepl/starlarkbind/flags"
	"github.com/bpfrepl/bpfrepl/starlarkbind/items"
	"github.com/bpfrepl/bpfrepl/starlarkbind/proc"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
)

// Options configure a session.
type Options struct {
	Stdout, Stderr io.Writer
	JSON           bool                    // print one JSON object per line
	Warnings       Warnings                // helper errors to warn about
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
	AllowWrite     []string                // directories that the script may write files into
	Unsafe         bool                    // allow handlers to change kernel behaviour
	// MaxOverhead limits the CPU time of handlers, in percent of the time of all CPUs. 0 means no
	// limit.
	MaxOverhead float64
	Command     *proc.Process
	PID         int // process that probes are limited to; 0: none
}

// A Session holds what a script has created: globals, kernel objects, processes. Its methods must
// be called from one goroutine, except for Interrupt and Background.
type Session struct {
	opt         Options
	out         *output
	kernel      *sys.Kernel
	memory      func(m kmap.Spec, copies int) error // kmap.Spec.CheckMemory, replaced in tests
	sources     *sources
	predeclared starlark.StringDict
	globals     starlark.StringDict // globals of the prompt
	items       *items.Namespace
	flags       *flags.Set
	ktypes      *kernelTypes

	busy sync.Mutex // held while the script, an item or a callback runs

	mu     sync.Mutex // guards the fields below, which the goroutine that reads records also uses
	probes []*Probe
	maps   []kernelMap
	names  []string          // probe names, by ID
	ids    map[string]uint64 // probe IDs, by name
	prints []printSite
	told   map[diag.Diagnostic]bool // warnings already printed for handlers
	warned map[warnKey]bool
	fills  map[*compiler.Map]mapUsage
	nprog  atomic.Int64 // programs loaded so far

	ctx            context.Context // context of the current run or item
	thread         *starlark.Thread
	cancel         context.CancelFunc
	cancelCallback context.CancelCauseFunc // cancels the running callback; nil: none runs
	endings        []*ending               // what Ctrl-C ends, innermost last
	overhead       *overhead               // nil: not measured
	printReader    *printReader
	halt           chan struct{} // a handler called stop(), perhaps one attached during run()
	control        *kmap.ControlMap
	zeros          *kmap.Map
	numbers        *kmap.Map // system call numbers: kernelnames.CanonicalTable
	// leastShared is the minimum number of a probe's system calls for which they share one program.
	leastShared int
	adds        *hostAdds // nil until the script adds
	copies      map[*starlark.Function]*funcCopy
	statsOn     io.Closer
	timers      []*timer
	procs       []*proc.Process
	stopped     bool
	inRun       atomic.Bool
	broken      atomic.Bool // a goroutine of the session has panicked
	closed      bool
	closing     sync.WaitGroup // detaching that the kernel has not finished
	leaving     atomic.Bool    // Close is waiting for closing
	checked     bool           // --check reached a loop over a stream
	refCount    int
	wall        int64               // see host.WallClock
	stacks      map[int]*stackStore // by maximum number of frames
	symsAt      atomic.Int64        // nprog when the kernel's symbols were last read
	usyms       *symbol.UserSymbols
	userAddrs   atomic.Bool // some probe stores user-space addresses
	shown       shownTexts
	faults      map[string]bool // errors already reported

	waited   bool   // the script called run() or waited for records
	exported bool   // the script called to_csv() or to_json()
	ended    bool   // the script ran to its end
	failed   bool   // an error ended the script
	aborted  bool   // Ctrl-C ended the script
	file     string // of %run
}

// kernelMap is an aggregation, a table or a stream.
type kernelMap interface {
	io.Closer
	Name() string
}

// New returns a session. It does not touch the kernel until a probe is created.
func New(opt Options) (*Session, error) {
	k, err := sys.Running()
	if err != nil {
		return nil, err
	}
	s := &Session{opt: opt, kernel: k, memory: kmap.Spec.CheckMemory, sources: newSources(), ktypes: newKernelTypes(), ids: map[string]uint64{}, warned: map[warnKey]bool{}, told: map[diag.Diagnostic]bool{}, fills: map[*compiler.Map]mapUsage{}, leastShared: 2, halt: make(chan struct{}, 1), globals: starlark.StringDict{}}
	s.out = &output{w: opt.Stdout, errw: opt.Stderr, json: opt.JSON, colour: opt.Colour && !opt.JSON, errColour: opt.ErrColour}
	s.flags = flags.New(opt.Args)
	if s.flags.Help() { // the script runs only to define its flags, so its output is dropped
		s.out.w = io.Discard
	}
	s.predeclared = s.builtins()
	maps.Copy(s.predeclared, s.hostCallBuiltins())
	s.ctx, s.cancel = context.Background(), func() {}
	if opt.Command != nil {
		s.procs = append(s.procs, opt.Command)
	}
	return s, nil
}

// ExecFile runs the script src. name is its file name in errors. It returns ErrHelp if the script's
// arguments ask for help, and ErrInterrupted if ctx ends first.
func (s *Session) ExecFile(ctx context.Context, name string, src []byte) error {
	// Columns in the first line then match what the user sees.
	src = bytes.TrimPrefix(src, byteOrderMark)
	f, err := parse(name, src)
	if err != nil {
		return s.syntaxError(err, name, src)
	}
	s.sources.add(name, src, f)
	prog, err := starlark.FileProgram(f, s.known)
	if err != nil {
		return s.syntaxError(err, name, src)
	}
	s.sources.resolved(f)
	if err := checkFormats(f); err != nil {
		return err
	}
	if names, all := flagNames(f); all && !s.opt.Interactive && !s.flags.Help() {
		if err := s.flags.CheckBefore(names); err != nil {
			return err
		}
	}
	err = s.exec(ctx, name, func(thread *starlark.Thread) error {
		globals, err := prog.Init(thread, s.predeclared)
		for n, v := range globals {
			s.globals[n] = v // for the prompt that -i opens afterwards
		}
		if err == nil {
			err = s.checkFlags(true)
		}
		s.ended, s.aborted = err == nil, s.ctx.Err() != nil
		s.failed = err != nil && !errors.Is(err, errStop)
		return err
	})
	if err == nil && s.opt.Check {
		s.noteUnchecked()
	}
	return err
}

// exec runs fn on a thread of its own, which is cancelled when ctx ends.
func (s *Session) exec(ctx context.Context, name string, fn func(*starlark.Thread) error) error {
	// The prompt may have a callback running, which holds s.busy. Cancel it when ctx ends.
	stop := context.AfterFunc(ctx, func() { s.cancelRunningCallback(cutByInterrupt) })
	s.busy.Lock()
	stop()
	defer s.busy.Unlock()
	if ctx.Err() != nil {
		return ErrInterrupted
	}
	return s.execAlone(ctx, name, fn)
}

func (s *Session) execAlone(ctx context.Context, name string, fn func(*starlark.Thread) error) error {
	ctx, cancel := context.WithCancel(ctx)
	s.setContext(ctx, cancel)
	defer func() {
		s.setContext(context.Background(), func() {}) // values may still be printed
		cancel()
	}()
	thread := &starlark.Thread{Name: name, Print: func(_ *starlark.Thread, msg string) { s.out.line(msg) }}
	stop := context.AfterFunc(ctx, func() { thread.Cancel("interrupted") })
	defer stop()
	s.mu.Lock()
	s.thread = thread
	s.mu.Unlock()
	err := recoverPanic(func() error { return fn(thread) })
	var bug *BugError
	switch {
	case errors.As(err, &bug):
		return bug
	case err != nil && ctx.Err() != nil && s.broken.Load():
		return ErrBroken
	case errors.Is(err, errWatched):
		return nil
	case err != nil && ctx.Err() != nil:
		return ErrInterrupted
	}
	if errors.Is(err, errStop) || s.checked {
		return nil
	}
	return err
}

func (s *Session) setContext(ctx context.Context, cancel context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx, s.cancel = ctx, cancel
}

// ErrInterrupted is returned by a run that Ctrl-C ended.
var ErrInterrupted = errors.New("interrupted")

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

// flagNames returns the flag names that a file defines with literal strings, and whether these are
// all of its flags.
func flagNames(f *syntax.File) (names []string, all bool) {
	others := 0 // uses of flag whose name is not a literal
	syntax.Walk(f, func(n syntax.Node) bool {
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
	})
	return names, others == 0
}

// ErrHelp ends a script whose arguments ask for help.
var ErrHelp = errors.New("help")

// errStop ends a script that calls stop() at top level, outside run().
var errStop = errors.New("stop")

var question = lazyregexp.Regexp(`^\s*([\pL_][\pL\pN_.]*)\s*(\?\??)\s*$`)

// ExecItem runs one item of the prompt and returns the value if it is an expression.
func (s *Session) ExecItem(ctx context.Context, src string) (v starlark.Value, err error) {
	if strings.TrimSpace(src) == "help" && s.Value("help") == s.predeclared["help"] {
		src = "help()"
	}
	if m := question().FindStringSubmatch(src); m != nil && m[2] == "??" { // x?? prints the source
		text, err := s.source(s.Value(m[1]))
		if err != nil {
			return nil, fmt.Errorf("%s??: %w", m[1], err)
		}
		s.out.text(text)
		return nil, s.out.failed()
	} else if m != nil { // x? prints help
		src = fmt.Sprintf("help(%s)", m[1])
		if s.Value(m[1]) == nil {
			src = fmt.Sprintf("help(%q)", m[1])
		}
	}
	if s.items == nil {
		s.items = items.New(parse, s.predeclared)
		for n, v := range s.globals {
			s.items.Globals[n] = v
		}
		s.globals = s.items.Globals
		s.items.OnFile = s.sources.add
		s.items.Check = checkFormats
		s.items.OnResolved = s.sources.resolved
	}
	err = s.exec(ctx, "prompt", func(thread *starlark.Thread) error {
		v, err = s.items.Exec(thread, src)
		var syn syntax.Error
		var res resolve.ErrorList
		switch { // the item is in no stored file yet
		case errors.As(err, &syn):
			s.sources.keep(syn.Pos.Filename(), []byte(src))
		case errors.As(err, &res):
			s.sources.keep(res[0].Pos.Filename(), []byte(src))
		}
		return err
	})
	return v, err
}

// Render formats a value as the prompt prints it: strings in quotes, everything else as print does,
// cut to the size of the screen.
func (s *Session) Render(v starlark.Value) string {
	s.busy.Lock()
	defer s.busy.Unlock()
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
func (s *Session) Names() []string {
	seen := map[string]bool{}
	var out []string
	for _, d := range []starlark.StringDict{s.predeclared, s.globals, starlark.Universe} {
		for n := range d {
			if !seen[n] && !strings.Contains(n, "@") {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	return out
}

// Value returns the value of a name at the prompt, or nil if it is not defined.
func (s *Session) Value(name string) starlark.Value {
	for _, d := range []starlark.StringDict{s.globals, s.predeclared, starlark.Universe} {
		if v, ok := d[name]; ok {
			return v
		}
	}
	return nil
}

// Flags returns the script's flags.
func (s *Session) Flags() *flags.Set { return s.flags }

// Close detaches all probes, prints what is left to print, reports what went wrong, and closes the
// kernel objects.
func (s *Session) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if s.overhead != nil {
		s.overhead.close()
	}
	script := !s.opt.Interactive && !s.opt.Check
	if script && s.ended {
		s.noteUnused()
	}
	var errs []error
	errs = append(errs, detachAll(s.probes))
	s.drainAll()
	if script && !s.aborted && (!s.failed || s.waited) && s.out.failed() == nil {
		s.summarize()
	}
	s.warnTotals()
	s.warnEvicted()
	for _, p := range s.procs {
		p.Kill()
	}
	unprinted := 0
	if s.printReader != nil {
		errs = append(errs, s.printReader.close())
		unprinted = s.printReader.unprinted
	}
	s.out.warnLost(unprinted)
	for _, p := range s.probes {
		errs = append(errs, p.close())
	}
	for _, m := range s.maps {
		errs = append(errs, m.Close())
	}
	if s.control != nil {
		errs = append(errs, s.control.Close())
	}
	for _, m := range []*kmap.Map{s.zeros, s.numbers} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	for _, m := range s.stacks {
		errs = append(errs, m.Close())
	}
	if s.statsOn != nil {
		errs = append(errs, s.statsOn.Close())
	}
	s.leaving.Store(true)
	s.closing.Wait()
	return errors.Join(append(errs, s.out.failed())...)
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

// probeID returns the number that represents a probe's name in the kernel.
func (s *Session) probeID(name string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.ids[name]
	if !ok {
		s.names = append(s.names, name)
		id = uint64(len(s.names))
		s.ids[name] = id
	}
	return id
}

// cookie packs the name IDs of a target into an attach cookie: its own ID in the low 32 bits, its
// function's ID in the high ones.
func (s *Session) cookie(t bpf.Target) uint64 {
	c := s.probeID(t.Name)
	if t.Func != "" {
		c |= s.probeID(t.Func) << 32
	}
	return c
}

func (s *Session) probeName(id uint64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == 0 || id > uint64(len(s.names)) {
		return fmt.Sprintf("probe %d", id)
	}
	return s.names[id-1]
}

// zerosMap returns an array map with at least n zero bytes, which programs use as initial values.
func (s *Session) zerosMap(n int) (*kmap.Map, error) {
	const size = 32 << 10 // the largest value size of a per-CPU map
	if s.zeros == nil {
		m, err := kmap.New(kmap.Spec{Name: "zeros", Type: ebpf.Array, KeySize: 4, ValueSize: size, MaxEntries: 1})
		if err != nil {
			return nil, err
		}
		s.zeros = m
	}
	if n > size {
		return nil, fmt.Errorf("a value of %d bytes is too large; at most %d fit", n, size)
	}
	return s.zeros, nil
}

// numbersMap returns the array map that translates system call numbers of other ABIs.
func (s *Session) numbersMap() (*kmap.Map, error) {
	if s.numbers == nil {
		m, err := kmap.NewNumbers(kernelnames.CanonicalTable())
		if err != nil {
			return nil, err
		}
		s.numbers = m
	}
	return s.numbers, nil
}

func (s *Session) controlMap() (*kmap.ControlMap, error) {
	if s.control == nil {
		c, err := kmap.NewControl()
		if err != nil {
			return nil, err
		}
		s.control = c
	}
	return s.control, nil
}

// position returns the position of the statement that the interpreter is executing. It is invalid
// if no script runs.
func (s *Session) position() syntax.Position {
	if s.thread == nil || s.thread.CallStackDepth() == 0 {
		return syntax.Position{}
	}
	return s.thread.CallFrame(0).Pos
}

// newRef returns a unique name by which instructions refer to a map.
func (s *Session) newRef(name string) string {
	s.refCount++
	return fmt.Sprintf("%s#%d", name, s.refCount)
}

// syntaxError stores the source text, which the error message quotes.
func (s *Session) syntaxError(err error, name string, src []byte) error {
	s.sources.keep(name, src)
	return err
}
