package starlarkbind

import (
	"slices"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler"
)

// keptDetached is how many probes the session remembers that are detached and have nothing to tell: a script may attach and detach probes
// for ever. The script's own values of them go on to work.
const keptDetached = 64

// remember adds a probe to those of the session, unless it is among them.
func (s *Session) remember(p *Probe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.probes, p) {
		s.probes = append(s.probes, p)
	}
}

// forgetDetached forgets the oldest of the detached probes that have nothing to tell, if they are more than keptDetached.
func (s *Session) forgetDetached() {
	if s.closed {
		return
	}
	all := s.allProbes()
	if len(all) <= keptDetached {
		return
	}
	quiet := slices.DeleteFunc(all, func(p *Probe) bool { return !p.quiet() })
	if len(quiet) <= keptDetached {
		return
	}
	gone := map[*Probe]bool{}
	for _, p := range quiet[:len(quiet)-keptDetached] {
		gone[p] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probes = slices.DeleteFunc(slices.Clone(s.probes), func(p *Probe) bool { return gone[p] }) // others may range over the old one
}

// quiet reports whether the probe is detached, holds nothing of the kernel, and counted no error, no tally and no missed run.
func (p *Probe) quiet() bool {
	if p.isAttached() {
		return false
	}
	for _, g := range p.all() {
		if g.loaded() {
			return false
		}
	}
	st, err := p.stats()
	if err != nil || st.Missed > 0 || p.overheadError() != nil {
		return false
	}
	told := false
	err = p.eachCell(func(*program, compiler.Site, kmap.Cell) { told = true })
	return err == nil && !told
}
