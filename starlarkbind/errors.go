package starlarkbind

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/starlarkbind/cfmt"
	"github.com/bpfrepl/bpfrepl/starlarkbind/helpererr"
)

// Warnings is the level of warnings about helper errors.
type Warnings uint8

// Levels of warnings.
const (
	WarnDefault Warnings = iota // errors that lose data
	WarnAll                     // also failed reads and missing keys
	WarnNone
)

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

type cellKey struct{ site, errno int }

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
		maxKeys = s.reg.stream(site.Stream).size
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

// dropped returns the number of failed updates of a map.
func (s *Session) dropped(m *compiler.Map) (uint64, error) {
	all, err := s.allErrors(s.reg.allProbes())
	n := uint64(0)
	for _, e := range all {
		if e.Decl == m && e.Helper == "map_update_elem" {
			n += e.Count
		}
	}
	return n, err
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

// wanted reports whether the level of warnings includes e.
func (w *warner) wanted(e *helpererr.Error) bool {
	switch w.opt.Warnings {
	case WarnNone:
		return false
	case WarnAll:
		return true
	}
	return !e.Quiet
}

// warnNew prints a warning for each error that is new since the last call.
func (s *Session) warnNew() {
	all, err := s.allErrors(s.reg.allProbes())
	if err != nil {
		s.out.ReportError(err)
		return
	}
	for _, e := range all {
		s.warner.mu.Lock()
		seen := s.warner.warned[e.Key()]
		s.warner.warned[e.Key()] = true
		s.warner.mu.Unlock()
		if !seen && s.warner.wanted(e) {
			s.warner.warnOne(e, false)
		}
	}
}

// warnTotals reports, at the end, how often each error occurred and how many events the kernel
// missed.
func (s *Session) warnTotals() {
	all, err := s.allErrors(s.reg.allProbes())
	if err != nil {
		s.out.ReportError(err)
		return
	}
	for _, e := range all {
		if s.warner.wanted(e) && e.Helper != overheadHelper { // reported when it occurred
			s.warner.warnOne(e, true)
		}
	}
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
		if st.Missed > 0 && s.opt.Warnings != WarnNone {
			s.out.Warn("missed", map[string]any{"probe": p.name, "count": st.Missed}, missedText(p.name, p.targets, st.Missed-min(st.Missed, links), links))
		}
	}
}

// missedText explains why events are missing: runs is the number of times that the kernel did not
// run the program because it was already running, links the number of events that the links of the
// targets missed.
func missedText(probe string, ts []bpf.Target, runs, links uint64) string {
	var why []string
	if runs > 0 {
		why = append(why, fmt.Sprintf("the kernel skipped %s: the handler was already running on that CPU", cfmt.Count(int(runs), "run")))
	}
	if links > 0 {
		event, reason := ts[0].MissedReason()
		why = append(why, fmt.Sprintf("the kernel missed %s: %s", cfmt.Count(int(links), event), reason))
	}
	return probe + ": " + strings.Join(why, "; ")
}

// warnOne prints a warning about e: its position and hint, or with total its count at the end.
func (w *warner) warnOne(e *helpererr.Error, total bool) {
	f := map[string]any{"helper": e.Helper, "code": e.Code, "errno": e.Errno, "message": e.Message, "hint": e.Hint, "probe": e.Probe, "pos": e.Pos,
		"source": e.Source, "map": nil, "count": e.Count, "first": e.First, "last": e.Last, "total": total}
	if e.MapName != "" {
		f["map"] = e.MapName
	}
	name := e.Errno
	if e.Helper != "" {
		name = e.Helper + ": " + e.Errno
	}
	if total {
		w.out.Warn("helper_error", f, fmt.Sprintf("%s: %s (%s), %d times in all", e.Pos, e.Message, name, e.Count))
		return
	}
	text := fmt.Sprintf("%s: %s (%s)", e.Pos, e.Message, name)
	text = w.fitCarets(text + w.caret(e.Pos))
	if e.Hint != "" {
		text += "\n    hint: " + e.Hint
	}
	w.out.Warn("helper_error", f, text)
}

// caret returns the source line of a position "file:line:col" and a caret below it, or "" if there
// is none.
func (w *warner) caret(pos string) string {
	i := strings.LastIndexByte(pos, ':')
	j := strings.LastIndexByte(pos[:max(i, 0)], ':')
	if i < 0 || j < 0 {
		return ""
	}
	var line, col int32
	if _, err := fmt.Sscanf(pos[j+1:], "%d:%d", &line, &col); err != nil {
		return ""
	}
	file := pos[:j]
	return diag.Caret(w.sources.Line(syntax.MakePosition(&file, line, col)), int(col))
}

// warnEvery is the interval at which new errors are looked for during a run.
const warnEvery = 500 * time.Millisecond
