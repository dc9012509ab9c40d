// Package starlarkbind makes kernel and script one: it holds the Starlark values and builtins (probes, aggregations, tables,
// errors), asks the compiler for programs and the bpf package for kernel objects, and is the one place that knows both
// sides. A Session is one script, or one prompt.
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
	"github.com/bpfrepl/bpfrepl/internal/lazy"
	"github.com/bpfrepl/bpfrepl/internal/paint"
	"github.com/bpfrepl/bpfrepl/internal/sysname"
	"github.com/bpfrepl/bpfrepl/starlarkbind/flags"
	"github.com/bpfrepl/bpfrepl/starlarkbind/items"
	"github.com/bpfrepl/bpfrepl/starlarkbind/proc"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
)

// Options of a session.
type Options struct {
	Stdout, Stderr io.Writer
	JSON           bool                    // print one JSON object a line
	Warnings       Warnings                // which helper errors are warned of
	Args           []string                // of the script
	Interactive    bool                    // a prompt: anything may still come
	Screen         func() (cols, rows int) // the size of the terminal that Stdout is; nil, or 0, where it is none
	Colour         bool                    // paint what is printed
	ErrColour      bool                    // paint errors and warnings
	ASCII          bool                    // draw with no other characters
	Check          bool                    // compile and load, attach nothing, run nothing
	EmitAsm        bool                    // print each program as text
	Verbose        bool                    // errors in full, with the verifier's log
	NoSummary      bool                    // do not show at the end what was counted and never read
	AllowRun       bool                    // the script may start processes
	AllowWrite     []string                // folders that the script may write files into
	Unsafe         bool                    // handlers may change what the kernel does
	MaxOverhead    float64                 // percent of all CPUs' time that the handlers may take; 0: any
	Command        *proc.Process
	PID            int // the process that probes are limited to; 0: none
}

// A Session holds what a script has made: globals, kernel objects, processes. Its methods are called from one
// goroutine, but for Interrupt and Background.
type Session struct {
	opt         Options
	out         *output
	kernel      *sys.Kernel
	memory      func(m kmap.Spec, copies int) error // bpf.Spec.CheckMemory, but in tests
	sources     *sources
	predeclared starlark.StringDict
	globals     starlark.StringDict // of the prompt
	items       *items.Namespace
	flags       *flags.Set
	ktypes      *kernelTypes

	busy sync.Mutex // held while the script, an item or a callback runs

	mu     sync.Mutex // guards what follows: the goroutine that reads records looks at it too
	probes []*Probe
	maps   []kernelMap
	names  []string          // of probes, by id
	ids    map[string]uint64 // of probes, by name
	prints []printSite
	told   map[diag.Diagnostic]bool // warnings of handlers
	warned map[warnKey]bool
	fills  map[*compiler.Map]mapUsage
	nprog  atomic.Int64 // programs loaded so far

	ctx            context.Context // of the run or item that is under way
	thread         *starlark.Thread
	cancel         context.CancelFunc
	cancelCallback context.CancelCauseFunc // ends the callback that is under way; nil: none is
	endings        []*ending               // what Ctrl-C ends, the innermost last
	overhead       *overhead               // nil: nobody watches
	printReader    *printReader
	halt           chan struct{} // a handler has called stop(), maybe one attached during run()
	control        *kmap.ControlMap
	zeros          *kmap.Map
	numbers        *kmap.Map // of system calls: sysname.CanonicalTable
	// leastShared is how many system calls a probe must have for them to share a program.
	leastShared int
	adds        *hostAdds // nil until the script adds
	copies      map[*starlark.Function]*funcCopy
	statsOn     io.Closer
	timers      []*timer
	procs       []*proc.Process
	stopped     bool
	inRun       atomic.Bool
	broken      atomic.Bool // a goroutine of ours has panicked
	closed      bool
	closing     sync.WaitGroup // what the kernel still detaches
	leaving     atomic.Bool    // the session waits for that
	checked     bool           // --check has come to a loop over a stream
	refCount    int
	wall        int64               // see host.WallClock
	stacks      map[int]*stackStore // by their most frames
	symsAt      atomic.Int64        // nprog when the kernel's symbols were looked at
	usyms       *symbol.UserSymbols
	userAddrs   atomic.Bool // some probe keeps addresses of processes
	shown       shownTexts
	faults      map[string]bool // that were told of

	waited   bool   // the script has called run(), or waited for records
	exported bool   // it has called to_csv() or to_json()
	ended    bool   // a script has come to its end
	failed   bool   // an error ended it
	aborted  bool   // Ctrl-C ended it
	file     string // of %run
}

// kernelMap is an aggregation, a table or a stream, as the session sees it.
type kernelMap interface {
	io.Closer
	Name() string
}

// New makes a session. It touches the kernel only when a probe asks for it.
func New(opt Options) (*Session, error) {
	k, err := sys.Running()
	if err != nil {
		return nil, err
	}
	s := &Session{opt: opt, kernel: k, memory: kmap.Spec.CheckMemory, sources: newSources(), ktypes: newKernelTypes(), ids: map[string]uint64{}, warned: map[warnKey]bool{}, told: map[diag.Diagnostic]bool{}, fills: map[*compiler.Map]mapUsage{}, leastShared: 2, halt: make(chan struct{}, 1), globals: starlark.StringDict{}}
	s.out = &output{w: opt.Stdout, errw: opt.Stderr, json: opt.JSON, colour: opt.Colour && !opt.JSON, errColour: opt.ErrColour}
	s.flags = flags.New(opt.Args)
	if s.flags.Help() { // the script runs to define its flags; what it prints is not asked for
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

// ExecFile runs a script.
func (s *Session) ExecFile(ctx context.Context, name string, src []byte) error {
	src = bytes.TrimPrefix(src, byteOrderMark) // the columns of the first line are those that the user sees
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
			s.globals[n] = v // -i goes on with them
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

// exec runs fn on a thread of its own, which ends when ctx does.
func (s *Session) exec(ctx context.Context, name string, fn func(*starlark.Thread) error) error {
	stop := context.AfterFunc(ctx, func() { s.cancelRunningCallback(cutByInterrupt) }) // one that the prompt has called may be under way
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
		s.setContext(context.Background(), func() {}) // values are still to be shown
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

// ErrInterrupted is what a run that Ctrl-C ended gives.
var ErrInterrupted = errors.New("interrupted")

// checkFlags is called before a script does anything to the kernel: it ends the script where help was asked for, and, once
// all flags are defined, where one is not known.
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

// flagNames returns the names of the flags that a file defines, and whether these are all.
func flagNames(f *syntax.File) (names []string, all bool) {
	others := 0 // uses of flag that say nothing
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

// errStop ends a script from inside: stop() at the top level, outside of run().
var errStop = errors.New("stop")

var question = lazy.Regexp(`^\s*([\pL_][\pL\pN_.]*)\s*(\?\??)\s*$`)

// ExecItem runs one item of the prompt, and gives the value of an expression.
func (s *Session) ExecItem(ctx context.Context, src string) (v starlark.Value, err error) {
	if strings.TrimSpace(src) == "help" && s.Value("help") == s.predeclared["help"] {
		src = "help()"
	}
	if m := question().FindStringSubmatch(src); m != nil && m[2] == "??" { // the source
		text, err := s.source(s.Value(m[1]))
		if err != nil {
			return nil, fmt.Errorf("%s??: %w", m[1], err)
		}
		s.out.text(text)
		return nil, s.out.failed()
	} else if m != nil { // x? asks for help
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
		switch { // such an item is in no file yet
		case errors.As(err, &syn):
			s.sources.keep(syn.Pos.Filename(), []byte(src))
		case errors.As(err, &res):
			s.sources.keep(res[0].Pos.Filename(), []byte(src))
		}
		return err
	})
	return v, err
}

// Render shows a value as the prompt prints it: strings in quotes, all else as print does, but not more than the screen has room for.
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

// page is the screen without the rows of the prompt before and after what is shown; the zero Page where there is no screen.
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

// Names gives the names that can be used at the prompt.
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

// Value gives the value of a name at the prompt, or nil.
func (s *Session) Value(name string) starlark.Value {
	for _, d := range []starlark.StringDict{s.globals, s.predeclared, starlark.Universe} {
		if v, ok := d[name]; ok {
			return v
		}
	}
	return nil
}

// Flags gives the script's flags.
func (s *Session) Flags() *flags.Set { return s.flags }

// Close detaches everything, prints what is left to print and warns of what went wrong, and lets the kernel objects go.
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
	errs = append(errs, s.detachAll())
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

// detachAll detaches all probes side by side: the kernel takes its time for each.
func (s *Session) detachAll() error {
	var wg sync.WaitGroup
	errs := make([]error, len(s.probes))
	for i, p := range s.probes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[i] = p.detach()
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// probeID gives the number that stands for a probe's name in the kernel.
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

// cookie packs the names of a target: its own below its function's.
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

// zerosMap gives an array of at least n zero bytes that programs insert from.
func (s *Session) zerosMap(n int) (*kmap.Map, error) {
	const size = 32 << 10 // the largest value of a per-CPU element
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

// numbersMap returns the array of the numbers that stand for system calls of other ABIs.
func (s *Session) numbersMap() (*kmap.Map, error) {
	if s.numbers == nil {
		m, err := kmap.NewNumbers(sysname.CanonicalTable())
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

// position returns where the script is: the statement that the interpreter runs. It is invalid where no script runs.
func (s *Session) position() syntax.Position {
	if s.thread == nil || s.thread.CallStackDepth() == 0 {
		return syntax.Position{}
	}
	return s.thread.CallFrame(0).Pos
}

// newRef makes a name by which instructions refer to a map.
func (s *Session) newRef(name string) string {
	s.refCount++
	return fmt.Sprintf("%s#%d", name, s.refCount)
}

// syntaxError keeps the text for the message.
func (s *Session) syntaxError(err error, name string, src []byte) error {
	s.sources.keep(name, src)
	return err
}
