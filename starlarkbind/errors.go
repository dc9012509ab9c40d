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
)

// Warnings is the level of warnings about helper errors.
type Warnings uint8

// Levels of warnings.
const (
	WarnDefault Warnings = iota // errors that lose data
	WarnAll                     // also failed reads and missing keys
	WarnNone
)

// A helperError describes an error that occurred in the kernel at one position of a handler with
// one errno, and how often it did.
type helperError struct {
	helper, errno, message, hint, probe, pos, source string
	mapName                                          string
	code                                             int
	count, first, last                               uint64
	quiet                                            bool
	decl                                             *compiler.Map
	stream                                           *compiler.Stream
}

var (
	_ starlark.HasAttrs   = (*helperError)(nil)
	_ starlark.Comparable = (*helperError)(nil)
)

func (e *helperError) Type() string          { return "helper_error" }
func (e *helperError) Freeze()               {}
func (e *helperError) Truth() starlark.Bool  { return true }
func (e *helperError) Hash() (uint32, error) { return starlark.String(e.pos + e.errno).Hash() }
func (e *helperError) String() string {
	return fmt.Sprintf("<helper_error %s %s ×%d at %s: %s>", e.helper, e.errno, e.count, e.pos, e.message)
}

func (e *helperError) AttrNames() []string {
	return []string{"count", "message", "hint", "helper", "errno", "code", "probe", "pos", "source", "map", "first", "last"}
}

func (e *helperError) Attr(name string) (starlark.Value, error) {
	switch name {
	case "code":
		return starlark.MakeInt(e.code), nil
	case "count":
		return starlark.MakeUint64(e.count), nil
	case "errno":
		return starlark.String(e.errno), nil
	case "first":
		return starlark.MakeUint64(e.first), nil
	case "helper":
		return starlark.String(e.helper), nil
	case "hint":
		return starlark.String(e.hint), nil
	case "last":
		return starlark.MakeUint64(e.last), nil
	case "map":
		if e.mapName == "" {
			return starlark.None, nil
		}
		return starlark.String(e.mapName), nil
	case "message":
		return starlark.String(e.message), nil
	case "pos":
		return starlark.String(e.pos), nil
	case "probe":
		return starlark.String(e.probe), nil
	case "source":
		return starlark.String(e.source), nil
	}
	return nil, nil
}

// CompareSameType orders errors by the time of their first occurrence, then by position and errno.
func (e *helperError) CompareSameType(op syntax.Token, y starlark.Value, _ int) (bool, error) {
	o := y.(*helperError)
	c := 0
	switch {
	case e.first < o.first:
		c = -1
	case e.first > o.first:
		c = 1
	default:
		c = strings.Compare(e.probe+e.pos+e.errno+e.helper, o.probe+o.pos+o.errno+o.helper)
		if c == 0 && e.count != o.count {
			c = 1
			if e.count < o.count {
				c = -1
			}
		}
	}
	switch op {
	case syntax.EQL:
		return c == 0, nil
	case syntax.NEQ:
		return c != 0, nil
	case syntax.LT:
		return c < 0, nil
	case syntax.LE:
		return c <= 0, nil
	case syntax.GT:
		return c > 0, nil
	}
	return c >= 0, nil
}

// errnoOf returns the full errno, and its name, for the low six bits of it that an error cell
// stores. Of the codes above 63 only ETIMEDOUT is recognized.
func errnoOf(low int) (code int, name string) {
	code = low
	if low == int(unix.ETIMEDOUT)&63 {
		code = int(unix.ETIMEDOUT)
	}
	if name = unix.ErrnoName(unix.Errno(code)); name == "" {
		name = fmt.Sprintf("errno %d", code)
	}
	return code, name
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

// readErrors returns the errors of a probe since it was loaded or its errors were cleared.
func (s *Session) readErrors(p *Probe) ([]*helperError, error) {
	var out []*helperError
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

func (s *Session) helperError(p *Probe, site compiler.Site, c kmap.Cell) *helperError {
	code, name := errnoOf(c.Errno)
	e := &helperError{helper: site.Helper, code: -code, errno: name, probe: p.name, pos: site.Pos.String(), source: s.sources.Trimmed(site.Pos),
		count: c.Count, first: c.First, last: c.Last, quiet: site.Quiet, decl: site.Map, stream: site.Stream}
	maxKeys := 0
	if site.Map != nil {
		e.mapName = site.Map.Name
		switch m := s.reg.owner(site.Map).(type) {
		case *Aggregation:
			maxKeys = m.maxKeys
		case *Table:
			maxKeys = m.maxKeys
		}
	}
	if site.Stream != nil {
		e.mapName = site.Stream.Name
		maxKeys = s.reg.stream(site.Stream).size
	}
	e.message, e.hint = explain(site, unix.Errno(code), e.mapName, maxKeys)
	return e
}

// nextSize returns the smallest power of two that is at least 2*n.
func nextSize(n int) int {
	s := 1
	for s <= n {
		s *= 2
	}
	if s < 2*n {
		s *= 2
	}
	return s
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

func (s *Session) allErrors(ps []*Probe) ([]*helperError, error) {
	var all []*helperError
	for _, p := range ps {
		es, err := s.readErrors(p)
		if err != nil {
			return nil, err
		}
		all = append(all, es...)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].first < all[j].first })
	return all, nil
}

// dropped returns the number of failed updates of a map.
func (s *Session) dropped(m *compiler.Map) (uint64, error) {
	all, err := s.allErrors(s.reg.allProbes())
	n := uint64(0)
	for _, e := range all {
		if e.decl == m && e.helper == "map_update_elem" {
			n += e.count
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

// warnKey identifies an error that has been warned about.
type warnKey struct {
	probe, pos, helper string
	code               int
}

func (e *helperError) key() warnKey { return warnKey{e.probe, e.pos, e.helper, e.code} }

// wanted reports whether the level of warnings includes e.
func (w *warner) wanted(e *helperError) bool {
	switch w.opt.Warnings {
	case WarnNone:
		return false
	case WarnAll:
		return true
	}
	return !e.quiet
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
		seen := s.warner.warned[e.key()]
		s.warner.warned[e.key()] = true
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
		if s.warner.wanted(e) && e.helper != overheadHelper { // reported when it occurred
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
func (w *warner) warnOne(e *helperError, total bool) {
	f := map[string]any{"helper": e.helper, "code": e.code, "errno": e.errno, "message": e.message, "hint": e.hint, "probe": e.probe, "pos": e.pos,
		"source": e.source, "map": nil, "count": e.count, "first": e.first, "last": e.last, "total": total}
	if e.mapName != "" {
		f["map"] = e.mapName
	}
	name := e.errno
	if e.helper != "" {
		name = e.helper + ": " + e.errno
	}
	if total {
		w.out.Warn("helper_error", f, fmt.Sprintf("%s: %s (%s), %d times in all", e.pos, e.message, name, e.count))
		return
	}
	text := fmt.Sprintf("%s: %s (%s)", e.pos, e.message, name)
	text = w.fitCarets(text + w.caret(e.pos))
	if e.hint != "" {
		text += "\n    hint: " + e.hint
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
