package starlarkbind

import (
	"sort"
	"time"

	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/helpererr"
)

// readErrors returns the errors of a probe since it was loaded or its errors were cleared.
func (s *Session) readErrors(p *Probe) ([]*helpererr.Error, error) {
	var out []*helpererr.Error
	err := p.eachCell(func(g *program, site compiler.Site, c kmap.Cell) {
		if site.KeyCounter != compiler.NoKeyCounter {
			return
		}
		if n := g.cleared[cellKey{c.Site, c.Errno}]; n > 0 {
			if c.Count -= n; c.Count == 0 {
				return
			}
			c.First = 0
		}
		out = append(out, s.helperError(p, site, c))
	})
	if e := p.overheadError(); e != nil {
		out = append(out, e)
	}
	return out, err
}

func (s *Session) helperError(p *Probe, site compiler.Site, c kmap.Cell) *helpererr.Error {
	code, name := helpererr.ErrnoOf(c.Errno)
	e := &helpererr.Error{Helper: site.Helper, Code: -code, Errno: name, Probe: p.name, Pos: site.Pos.String(), Source: s.sources.Trimmed(site.Pos),
		Count: c.Count, First: c.First, Last: c.Last, Quiet: site.Quiet, Decl: site.Map, Stream: site.Stream}
	maxKeys := 0
	if site.Map != nil {
		e.MapName = site.Map.Name
		if m := s.reg.owner(site.Map); m != nil {
			maxKeys = m.MaxKeys()
		}
	}
	if site.Stream != nil {
		e.MapName = site.Stream.Name
		maxKeys = s.reg.stream(site.Stream).Size()
	}
	e.Message, e.Hint = helpererr.Explain(site, unix.Errno(code), e.MapName, maxKeys)
	return e
}

// errorList returns the errors of probes in order of first occurrence.
func (s *Session) errorList(ps []*Probe) (*starlark.List, error) {
	all, err := s.allErrors(ps)
	if err != nil {
		return nil, err
	}
	out := make([]starlark.Value, len(all))
	for i, e := range all {
		out[i] = e
	}
	return starlark.NewList(out), nil
}

func (s *Session) allErrors(ps []*Probe) ([]*helpererr.Error, error) {
	var all []*helpererr.Error
	for _, p := range ps {
		es, err := s.readErrors(p)
		if err != nil {
			return nil, err
		}
		all = append(all, es...)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].First < all[j].First })
	return all, nil
}

// countErrors returns how often the errors that of selects have occurred in all probes.
func (s *Session) countErrors(of func(*helpererr.Error) bool) (uint64, error) {
	all, err := s.allErrors(s.reg.allProbes())
	n := uint64(0)
	for _, e := range all {
		if of(e) {
			n += e.Count
		}
	}
	return n, err
}

// dropped returns the number of failed updates of a map.
func (s *Session) dropped(m *compiler.Map) (uint64, error) {
	return s.countErrors(func(e *helpererr.Error) bool { return e.Decl == m && e.Helper == "map_update_elem" })
}

// clearErrors makes errors() start from zero. The kernel's cells are not changed; their present
// counts are subtracted from now on.
func (s *Session) clearErrors() error {
	for _, p := range s.reg.allProbes() {
		p.mu.Lock()
		p.over = nil
		p.mu.Unlock()
		for _, g := range p.all() {
			if g.cells == nil {
				continue
			}
			cells, err := g.cells.Read()
			if err != nil {
				return err
			}
			g.cleared = map[cellKey]uint64{}
			for _, c := range cells {
				g.cleared[cellKey{c.Site, c.Errno}] = c.Count
			}
		}
	}
	return nil
}

// warnNew prints a warning for each error that is new since the last call.
func (s *Session) warnNew() {
	all, err := s.allErrors(s.reg.allProbes())
	if err != nil {
		s.out.ReportError(err)
		return
	}
	s.warner.HelperErrors(all)
}

// warnTotals reports, at the end, how often each error occurred and how many events the kernel
// missed.
func (s *Session) warnTotals() {
	all, err := s.allErrors(s.reg.allProbes())
	if err != nil {
		s.out.ReportError(err)
		return
	}
	s.warner.HelperTotals(all)
	for _, p := range s.reg.allProbes() {
		st, err := p.stats()
		if err != nil {
			s.out.ReportError(err)
			continue
		}
		links, err := p.allLinksMissed()
		if err != nil {
			s.out.ReportError(err)
			continue
		}
		s.warner.Missed(p.name, p.targets, st.Missed, links)
	}
}

// warnEvery is the interval at which new errors are looked for during a run.
const warnEvery = 500 * time.Millisecond

// overheadError returns what tooExpensive recorded, or nil.
func (p *Probe) overheadError() *helpererr.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}
