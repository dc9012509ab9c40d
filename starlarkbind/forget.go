package starlarkbind

import (
	"slices"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler"
)

// keptDetached is the number of detached probes without errors or counts that the session
// remembers, because a script may attach and detach probes indefinitely. The script's own
// references to forgotten probes stay valid.
const keptDetached = 64

// forgetDetached forgets the oldest quiet probes if there are more than keptDetached.
func (r *registry) forgetDetached() {
	if r.closed {
		return
	}
	all := r.allProbes()
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
	r.mu.Lock()
	defer r.mu.Unlock()
	// Change a copy, because others may be iterating over the old slice.
	r.probes = slices.DeleteFunc(slices.Clone(r.probes), func(p *Probe) bool { return gone[p] })
}

// quiet reports whether the probe is detached, has no programs in the kernel, and counted no
// errors, no keys and no missed runs.
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
