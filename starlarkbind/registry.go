package starlarkbind

import (
	"fmt"
	"io"
	"slices"
	"sync"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
	"github.com/bpfrepl/bpfrepl/starlarkbind/records"
)

// A registry lists what the script has created.
type registry struct {
	mu     sync.Mutex // guards the fields of this block, which goroutines in the background also use
	probes []*Probe
	maps   []kernelMap

	refs   int  // references made by newRef
	closed bool // the session is being closed: nothing is forgotten any more
}

// kernelMap is an aggregation, a table or a stream.
type kernelMap interface {
	io.Closer
	Name() string
}

func (r *registry) allProbes() []*Probe {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*Probe{}, r.probes...)
}

// allMaps returns a copy of the list of maps.
func (r *registry) allMaps() []kernelMap {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.maps)
}

// add adds a map.
func (r *registry) add(m kernelMap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.maps = append(r.maps, m)
}

// forgetAll removes the probes and maps from the registry, and returns them.
func (r *registry) forgetAll() ([]*Probe, []kernelMap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	probes, maps := r.probes, r.maps
	r.probes, r.maps = nil, nil
	return probes, maps
}

// forget removes a probe.
func (r *registry) forget(p *Probe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Change a copy, because others may be iterating over the old slice.
	r.probes = slices.DeleteFunc(slices.Clone(r.probes), func(x *Probe) bool { return x == p })
}

// remember adds a probe to those of the session, unless it is already among them.
func (r *registry) remember(p *Probe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.probes, p) {
		r.probes = append(r.probes, p)
	}
}

// requestOf returns the compiler request of a function that is a probe's handler or filter, or nil.
func (r *registry) requestOf(fn *starlark.Function) *compiler.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.probes {
		r := p.request.Load()
		if r != nil && (r.Handler.ID == fn || r.Filter != nil && r.Filter.ID == fn) {
			return r
		}
	}
	return nil
}

// newRef returns a unique name by which instructions refer to a map.
func (r *registry) newRef(name string) string {
	r.refs++
	return fmt.Sprintf("%s#%d", name, r.refs)
}

// owner returns the aggregation or table that a compiler's map belongs to, or nil.
func (r *registry) owner(decl *compiler.Map) maps.Map {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.maps {
		if m, ok := m.(maps.Map); ok && m.Decl() == decl {
			return m
		}
	}
	return nil
}

// sweep drops the stacks of a stack map that is at least half full, and keeps their frames here. n
// is the maximum number of frames of its stacks. used holds the stacks that are known to be in use.
func (r *registry) sweep(st *codec.StackStore, n string, used map[uint64]bool) error {
	all, err := st.All()
	if err != nil || 2*len(all) < st.Room() {
		return err
	}
	for _, m := range r.maps {
		if m, ok := m.(maps.Map); ok {
			if err := m.AddStacks(n, used); err != nil {
				return err
			}
		}
	}
	return st.DropAll(all, used)
}

// streams returns the session's streams.
func (r *registry) streams() []*records.Stream {
	var out []*records.Stream
	for _, m := range r.allMaps() {
		if st, ok := m.(*records.Stream); ok {
			out = append(out, st)
		}
	}
	return out
}

// stream returns the session's stream for the compiler's stream c, or nil.
func (r *registry) stream(c *compiler.Stream) *records.Stream {
	for _, st := range r.streams() {
		if st.Decl() == c {
			return st
		}
	}
	return nil
}

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
