package starlarkbind

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/internal/plural"
	"github.com/bpfrepl/bpfrepl/starlarkbind/helpererr"
	"github.com/bpfrepl/bpfrepl/starlarkbind/methods"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// A Probe is a handler in the kernel: one program for each group of targets with the same kind of
// event, attached to each target of the group.
type Probe struct {
	s        *Session
	name     string
	spec     []string
	targets  []bpf.Target
	captured []compiler.Captured
	programs []*program

	pos     syntax.Position                  // of the handler
	request atomic.Pointer[compiler.Request] // of its first program
	file    string                           // the %run file that created the probe, if any
	pid     int                              // process that the probe is limited to; 0: none
	gate    *bpf.Gate                        // for many targets; nil: detaching is quick
	// closing is closed when the kernel has released the links that were detached last. It is nil
	// if none were.
	closing chan struct{}
	missing string              // "error", "warn" or "ignore"
	some    bool                // it is an error if every target is refused
	left    []bpf.AttachFailure // refused targets not warned about yet

	mu       sync.Mutex
	attached bool
	over     *helpererr.Error // set if the probe exceeded MaxOverhead
}

// A program is one loaded program with its error cells and its attachments.
type program struct {
	code    *compiler.Program
	typ     ebpf.ProgramType
	spec    bpf.ProgramSpec // the specification prog was created from
	prog    *bpf.Program    // nil while the probe is detached
	kept    pastStats
	cells   *kmap.ErrorCells
	scratch *kmap.Map // for long strings; may be nil
	// syscalls maps the system calls to targets for a program that is attached to all of them. runs
	// is the number of runs that it had counted when the kernel began to measure.
	syscalls *kinds.Syscalls
	runs     uint64
	frozen   *bpf.Stats         // stats when the gate was closed
	cleared  map[cellKey]uint64 // counts cleared by clear_errors()
	// nextType makes the program of the next type that the targets accept. It is nil if there is
	// none.
	nextType func(ts []bpf.Target) (*program, error)
	targets  []bpf.Target
	links    []*bpf.Attachment
	missed   uint64 // missed events of links that are closed now
}

var _ starlark.HasAttrs = (*Probe)(nil)

func (p *Probe) Type() string          { return "probe" }
func (p *Probe) Freeze()               {}
func (p *Probe) Truth() starlark.Bool  { return true }
func (p *Probe) Hash() (uint32, error) { return starlark.String(p.name).Hash() }

// String describes the probe: its targets, the constants that its handler captured, missed events,
// and the cost of a run. The kernel measures runs only after the first stats(), so the run count is
// not how often the handler ran.
func (p *Probe) String() string {
	state := "attached"
	switch {
	case !p.isAttached():
		state = "detached"
	case p.empty():
		state = "attached to nothing"
	}
	s := fmt.Sprintf("<probe %s, %s", strings.Join(p.spec, ", "), state)
	if n := len(targetNames(p.targets)); n > 1 {
		s += fmt.Sprintf(", %d targets", n)
	}
	if len(p.captured) > 0 {
		var c []string
		for _, x := range p.captured {
			c = append(c, x.Name+"="+x.Value)
		}
		s += ", captured: " + strings.Join(c, ", ")
	}
	if st, err := p.stats(); err == nil {
		if st.Runs > 0 && p.s.shared.statsOn != nil { // another process may have enabled kernel statistics
			s += fmt.Sprintf(", %d ns a run (%s measured)", st.PerRun().Nanoseconds(), plural.Of(st.Runs, "run"))
		}
		if st.Missed > 0 {
			s += fmt.Sprintf(", %d missed", st.Missed)
		}
	}
	return s + ">"
}

// all returns a copy of the list of the probe's programs.
func (p *Probe) all() []*program {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*program{}, p.programs...)
}

func (p *Probe) isAttached() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.attached
}

func (p *Probe) stats() (bpf.Stats, error) {
	var st bpf.Stats
	for _, g := range p.all() {
		one, err := g.stats()
		if err != nil {
			return st, err
		}
		links, err := p.linksMissed(g)
		if err != nil {
			return st, err
		}
		st.Runs += one.Runs
		st.Missed += one.Missed + links
		st.Time += one.Time
	}
	return st, nil
}

// allLinksMissed returns the sum of linksMissed over all programs.
func (p *Probe) allLinksMissed() (uint64, error) {
	sum := uint64(0)
	for _, g := range p.all() {
		n, err := p.linksMissed(g)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// linksMissed returns the number of events that never reached the program.
func (p *Probe) linksMissed(g *program) (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := g.missed
	for _, l := range g.links {
		m, err := l.Missed()
		if err != nil {
			return 0, err
		}
		n += m
	}
	return n, nil
}

var probeMethods = []methods.Row[*Probe]{
	methods.New("asm", "asm()", "the programs as text, with the source lines", "print(p.asm())", func(p *Probe, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return starlark.String(p.listing()), nil
	}),
	methods.New("attach", "attach()", "attach it again", "p.attach()", func(p *Probe, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		err := p.attach()
		if err == nil {
			p.s.reg.remember(p) // it may have been forgotten
		}
		return starlark.None, scriptError(err)
	}),
	methods.New("detach", "detach()", "detach it; errors() and stats() remain available", "p.detach()", func(p *Probe, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return starlark.None, scriptError(p.detach())
	}),
	methods.New("errors", "errors()", "the helper errors of this probe", "p.errors()", func(p *Probe, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return p.s.errorList([]*Probe{p})
	}),
	methods.New("stats", "stats()", "struct(hits, missed, time_ns, ns_per_hit); hits and time are counted from the first probe of a script that calls stats()", "p.stats().missed", func(p *Probe, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		if err := p.s.enableStats(); err != nil {
			return nil, scriptError(err)
		}
		st, err := p.stats()
		if err != nil {
			return nil, err
		}
		return structs.New("stats", structs.Field{Name: "hits", Value: starlark.MakeUint64(st.Runs)}, structs.Field{Name: "missed", Value: starlark.MakeUint64(st.Missed)},
			structs.Field{Name: "time_ns", Value: starlark.MakeInt64(st.Time.Nanoseconds())}, structs.Field{Name: "ns_per_hit", Value: starlark.MakeInt64(st.PerRun().Nanoseconds())}), nil
	}),
}

func (p *Probe) listing() string {
	var b strings.Builder
	for _, g := range p.all() {
		b.WriteString(heading(g.targets, g.typ) + g.code.Listing())
	}
	return b.String()
}

// targetNames returns the names of the places a probe is attached to.
func targetNames(ts []bpf.Target) []string {
	var out []string
	for _, t := range eachOnce(ts) {
		out = append(out, t.ResolvedName())
	}
	return out
}

// eachOnce returns the targets with distinct names. A static probe (USDT) can consist of several
// targets with one name.
func eachOnce(ts []bpf.Target) []bpf.Target {
	var out []bpf.Target
	seen := map[string]bool{}
	for _, t := range ts {
		if !seen[t.Name] {
			seen[t.Name] = true
			out = append(out, t)
		}
	}
	return out
}

// heading returns the comments above a program's listing: its probes, its program type, and why a
// target did not get the cheapest kind of attachment if the probe asked for it.
func heading(ts []bpf.Target, typ ebpf.ProgramType) string {
	const most = 16
	var out []string
	why := ""
	for i, t := range eachOnce(ts) {
		if i == most {
			out = append(out, fmt.Sprintf("and %d more", len(ts)-most))
			break
		}
		name := t.Name
		if p := t.ResolvedName(); p != name {
			name += " (" + p + ")"
		}
		out = append(out, name)
		if t.FallbackReason != "" && why == "" {
			why = fmt.Sprintf("; not %s\n", t.FallbackReason)
		}
	}
	return fmt.Sprintf("; %s as %s program\n%s", strings.Join(out, ", "), typ, why)
}

// Attr implements starlark.HasAttrs.
func (p *Probe) Attr(name string) (starlark.Value, error) {
	return methods.Attr(p, name, probeMethods, func(name string) (starlark.Value, error) {
		switch name {
		case "attached":
			return starlark.Bool(p.isAttached()), nil
		case "name":
			return starlark.String(p.name), nil
		case "spec":
			return starlark.String(strings.Join(p.spec, ",")), nil
		case "targets":
			var out []starlark.Value
			var ts []bpf.Target
			for _, g := range p.all() {
				ts = append(ts, g.targets...)
			}
			for _, name := range targetNames(ts) {
				out = append(out, starlark.String(name))
			}
			return starlark.NewList(out), nil
		}
		return nil, nil
	})
}

// AttrNames implements starlark.HasAttrs.
func (p *Probe) AttrNames() []string {
	return methods.Names(probeMethods, "attached", "name", "spec", "targets")
}

// enableStats makes the kernel measure programs. This costs two clock reads per run.
func (s *Session) enableStats() error {
	if s.shared.statsOn != nil {
		return nil
	}
	for _, p := range s.reg.probes { // the kernel has not counted the runs so far
		for _, g := range p.all() {
			if g.syscalls == nil {
				continue
			}
			var err error
			if g.runs, err = g.syscalls.Runs(); err != nil {
				return err
			}
		}
	}
	c, err := bpf.EnableStats()
	if err != nil {
		return err
	}
	s.shared.statsOn = c
	return nil
}

// eachCell calls fn for each non-zero cell of a probe's programs.
func (p *Probe) eachCell(fn func(g *program, site compiler.Site, c kmap.Cell)) error {
	for _, g := range p.all() {
		if g.cells == nil {
			continue
		}
		cells, err := g.cells.Read()
		if err != nil {
			return err
		}
		for _, c := range cells {
			if c.Site < len(g.code.Sites) {
				fn(g, g.code.Sites[c.Site], c)
			}
		}
	}
	return nil
}

type cellKey struct{ site, errno int }

// empty reports whether the probe has no target.
func (p *Probe) empty() bool {
	return !slices.ContainsFunc(p.all(), func(g *program) bool { return len(g.targets) > 0 })
}
