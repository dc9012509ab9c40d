package starlarkbind

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// A loader makes the programs of one group. Types that a program gives to maps become permanent
// only on success.
type loader struct {
	s               *Session
	p               *Probe
	handler, filter *compiler.Func
	undo            []typedMap
	programs        []*program
	adds            *compiler.Map     // map of the script's own adds; nil for a handler's programs
	noTrustedLoads  bool              // the verifier rejected direct loads through pointers
	variant         compiler.Variant  // the form to compile; the verifier gave up on earlier ones
	targetless      *compiler.Request // request for a program that has no target
}

// typedMap undoes the step that gave a map its types.
type typedMap struct{ drop func() error }

func (l *loader) rollback() error {
	var errs []error
	for _, g := range l.programs {
		errs = append(errs, g.close())
	}
	for _, m := range l.undo {
		errs = append(errs, m.drop())
	}
	return errors.Join(errs...)
}

func (l *loader) commit() {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.p.programs = append(l.p.programs, l.programs...)
}

func (l *loader) request(g *group, ts []bpf.Target, pt ebpf.ProgramType) *compiler.Request {
	ev := &compiler.Event{Event: *g.event, Ret: g.event.Ret(), Probe: ts[0].Name, Func: ts[0].Func, Cookie: len(ts) > 1}
	if ev.Cookie {
		for _, t := range ts {
			ev.Names = append(ev.Names, t.Name)
			if t.Func != "" {
				ev.Names = append(ev.Names, t.Func)
			}
		}
	}
	if path := g.event.GoProgram; path != "" {
		ev.Goroutine = func() (abi.Field, error) { return kinds.GoroutineField(path) }
	}
	if g.event.Number != nil {
		ev.Syscalls = &compiler.Syscalls{Map: "syscalls", Count: l.s.opt.Interactive || l.s.shared.statsOn != nil}
	}
	if l.p != nil && len(l.p.targets) > fewTargets && slices.Contains([]ebpf.ProgramType{ebpf.TracePoint, ebpf.Kprobe}, ts[0].ProgramTypes(true)[0]) {
		ev.Gate = "gate"
	}
	ev.Context = ts[0].Driver.Context
	l.typeArgs(ev, ts[0], pt)
	if ts[0].Driver.TrustedPointers && !kinds.InProgram(ts[0]) {
		ev.BTFArgs = !l.noTrustedLoads
	}
	r := l.s.request(ts[0].Name, l.handler, ev)
	r.Filter = l.filter
	r.Features.TaskBTF = r.Features.TaskBTF && !l.noTrustedLoads
	return r
}

func (s *Session) request(name string, handler *compiler.Func, ev *compiler.Event) *compiler.Request {
	return &compiler.Request{
		Name: name, Handler: handler, Event: ev,
		Features: compiler.Features{FetchAtomics: s.kernel.HaveFetchAtomics(), Cookie: true, ForEachElem: s.kernel.AtLeast(5, 13), Loop: s.kernel.AtLeast(5, 17), TaskBTF: s.kernel.AtLeast(5, 11), PerCPULookup: s.kernel.AtLeast(5, 19)},
		Source:   func(pos syntax.Position) string { return s.sources.Line(pos) },
		Types:    s.ktypes,
		Kfunc:    s.kfunc,
		CPUs:     sys.PossibleCPUs,
		Host:     s.lookups,
		Unsafe:   s.opt.Unsafe,
		Pass:     s.opt.pass,
		ProbeID:  s.ids.ID,
		Cells:    "cells", Ring: "ring", Control: "control", Zeros: "zeros", Scratch: "scratch",
		PrintBase: s.records.NextSite(), PrintProbe: s.out.JSON(),
		CountLookupMisses: s.opt.Warnings == warnings.All,
		Canceled:          func() bool { return s.run.Context().Err() != nil },
		Compat:            compat(s.kernel),
		Canonical:         "numbers",
	}
}

func compat(k *sys.Kernel) *compiler.Compat {
	if offset, bit, ok := k.CompatBit(); ok {
		return &compiler.Compat{Offset: offset, Bit: bit}
	}
	return nil
}

// kfunc returns the BTF ID of a kernel function that programs may call. The ones that handlers use
// were added in 6.4. Older kernels are not asked, because that would require reading their types.
func (s *Session) kfunc(name string) (int64, error) {
	if !s.kernel.AtLeast(6, 4) {
		return 0, fmt.Errorf("%s needs Linux 6.4", name)
	}
	return kbtf.KfuncID(name)
}

// compile compiles the handler for targets of the group. pt is the program type, or 0 for any.
func (l *loader) compile(g *group, ts []bpf.Target, pt ebpf.ProgramType) (*compiler.Program, error) {
	r := l.targetless
	if r == nil {
		r = l.request(g, ts, pt)
		var err error
		if r.PIDFilter, err = l.p.process(ts[0]); err != nil {
			return nil, err
		}
	}
	own, err := bpf.OwnPIDNamespace()
	if err != nil {
		return nil, err
	}
	if own != nil {
		r.Namespace = &compiler.PIDNamespace{Dev: own.Dev, Ino: own.Ino}
	}
	r.Variant, r.PrintBase = l.variant, l.s.records.NextSite()
	l.p.request.CompareAndSwap(nil, r)
	code, err := compiler.Compile(r)
	if errors.Is(err, compiler.ErrCanceled) {
		return nil, l.s.run.Context().Err()
	}
	return code, err
}

// nextVariant reports whether to compile the program again in another form, because the verifier
// gave up on it with err. If so, it sets l.variant to the next form.
func (l *loader) nextVariant(err error) bool {
	var refusal *bpf.VerifierError
	if !errors.As(err, &refusal) || !refusal.TooComplex() {
		return false
	}
	r := l.targetless
	if r == nil {
		r = l.s.request("", nil, nil)
	}
	r.Variant = l.variant
	next, ok := r.Next(l.variant)
	if ok {
		l.variant = next
	}
	return ok
}

// loadOne creates the maps that the program for these targets needs and loads the program. code is
// the compiled program, or nil if it has to be compiled.
func (l *loader) loadOne(g *group, ts []bpf.Target, pt ebpf.ProgramType, code *compiler.Program) error {
	s := l.s
	if code == nil {
		var err error
		if code, err = l.compile(g, ts, pt); err != nil {
			return err
		}
	}
	s.warner.Program(code)
	maps, err := l.bindMaps(code)
	if err != nil {
		return err
	}
	pg := &program{code: code, typ: pt, targets: ts}
	if len(ts) > 0 && pt == ebpf.RawTracepoint && len(ts[0].ProgramTypes(code.ReadsContext)) > 1 {
		pg.nextType = l.nextType(g, pt)
	}
	l.programs = append(l.programs, pg) // closed together with the others from here on
	if code.UsesGate {
		if l.p.gate == nil {
			if l.p.gate, err = bpf.NewGate(); err != nil {
				return err
			}
		}
		maps["gate"] = l.p.gate.Map()
	}
	if code.UsesSyscalls {
		if pg.syscalls, err = kinds.NewSyscalls(ts, s.ids.Cookie); err != nil {
			return err
		}
		maps["syscalls"] = pg.syscalls.Map()
	}
	if code.UsesNumbers {
		if maps["numbers"], err = s.shared.numbersMap(); err != nil {
			return err
		}
	}
	if len(code.Sites) > 0 {
		if pg.cells, err = kmap.NewErrorCells("errors", len(code.Sites)); err != nil {
			return err
		}
		maps["cells"] = pg.cells.Map()
	}
	if code.UsesRing {
		ring, err := s.records.Ring()
		if err != nil {
			return err
		}
		maps["ring"] = ring.Map()
	}
	s.records.AddSites(l.p.name, code.Prints)
	if code.UsesControl {
		c, err := s.shared.controlMap()
		if err != nil {
			return err
		}
		maps["control"] = c.Map()
	}
	if code.Zeros > 0 {
		z, err := s.shared.zerosMap(code.Zeros)
		if err != nil {
			return err
		}
		maps["zeros"] = z
	}
	for _, n := range code.Stacks {
		m, err := s.stacks.Get(n)
		if err != nil {
			return err
		}
		maps[abi.StackMap(n)] = m.Map()
	}
	if code.ScratchSize > 0 {
		if pg.scratch, err = newScratch(code.ScratchSize); err != nil {
			return err
		}
		maps["scratch"] = pg.scratch
	}
	if codec.KeepsUserAddresses(code) {
		s.symbols.UserAddrs.Store(true)
	}
	l.p.captured = code.Captured
	if s.opt.EmitAsm {
		s.out.Text(render.Escape(heading(ts, pt) + code.Listing()))
	}
	n := s.symbols.Loaded.Add(1)
	pg.spec = bpf.ProgramSpec{Name: fmt.Sprintf("bpfrepl_%d", n), Type: pt, Instructions: code.Instructions, Maps: maps, Targets: ts, PID: l.p.pid}
	pg.prog, err = bpf.LoadForTargets(s.run.Context(), pg.spec, s.out.Progress("loaded"))
	if l.nextVariant(err) {
		l.programs = l.programs[:len(l.programs)-1]
		return errors.Join(pg.close(), l.loadOne(g, ts, pt, nil))
	}
	if err != nil && code.TrustedLoads && !l.noTrustedLoads {
		return l.reloadUntrusted(g, ts, pt, pg)
	}
	return err
}

// bindMaps returns the kernel maps that the program uses, by reference name. A map that gets its
// types here is created, and it stays with its aggregation or table only if everything succeeds.
func (l *loader) bindMaps(code *compiler.Program) (map[string]*kmap.Map, error) {
	out := map[string]*kmap.Map{}
	for _, st := range code.Streams {
		m, err := l.s.reg.stream(st).RingMap()
		if err != nil {
			return nil, err
		}
		out[st.Ref] = m
	}
	for _, use := range code.Maps {
		m, err := l.bindMap(use)
		if err != nil {
			return nil, err
		}
		out[use.Map.Ref] = m
	}
	return out, nil
}

func (l *loader) bindMap(use compiler.MapUse) (*kmap.Map, error) {
	m := l.s.reg.owner(use.Map)
	if m == nil {
		return nil, fmt.Errorf("map %q belongs to another session", use.Map.Name)
	}
	if m.KernelMap() != nil {
		err := l.closeTypes(use, m.Retype)
		return m.KernelMap(), err
	}
	if err := m.Create(use.Types); err != nil {
		return nil, err
	}
	l.commitTypes(use, m.Discard)
	return m.KernelMap(), nil
}

// commitTypes gives a map its types and records undo, which is called if loading the probe fails.
func (l *loader) commitTypes(use compiler.MapUse, undo func() error) {
	m := use.Map
	was := m.MapTypes
	m.MapTypes = use.Types
	if m.Val == nil {
		m.Val = types.TInt
	}
	m.Open = m == l.adds // a program for the script's own adds is recreated when types grow
	l.undo = append(l.undo, typedMap{func() error {
		m.MapTypes, m.Open = was, false
		return undo()
	}})
}

// closeTypes gives an existing map the types that the program uses, and stops them from growing
// further. Until now only the script's own adds have used the map.
func (l *loader) closeTypes(use compiler.MapUse, retype func(t compiler.MapTypes) error) error {
	m := use.Map
	if !m.Open {
		return nil
	}
	if !m.Key.Equal(use.Types.Key) || !m.Val.Equal(use.Types.Val) {
		if err := retype(use.Types); err != nil {
			return err
		}
	}
	if m != l.adds {
		m.Open = false
		l.undo = append(l.undo, typedMap{func() error { m.Open = true; return nil }})
	}
	return nil
}

// group is a set of targets that could share a program, with the event that they have in common.
type group struct {
	targets []bpf.Target
	event   *abi.Event
	err     error
}

// typeArgs lets a handler use the arguments of a raw tracepoint by name.
func (l *loader) typeArgs(ev *compiler.Event, t bpf.Target, pt ebpf.ProgramType) {
	if !t.Driver.TracepointTypes {
		return
	}
	ev.Typed = func() ([]abi.Field, error) { return l.s.ktypes.TracepointArgs(t.Parts[0]) }
	ev.BTFArgs = pt == ebpf.Tracing
}
