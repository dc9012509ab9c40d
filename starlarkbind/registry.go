package starlarkbind

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
)

// A registry lists what the script has created.
type registry struct {
	mu     sync.Mutex // guards the fields of this block, which the goroutine that prints also uses
	probes []*Probe
	maps   []kernelMap
	prints []printSite

	refs   int  // references made by newRef
	closed bool // the session is being closed: nothing is forgotten any more
}

// kernelMap is an aggregation, a table or a stream.
type kernelMap interface {
	io.Closer
	Name() string
}

// printSite is a print in a handler, with its probe.
type printSite struct {
	compiler.PrintSite
	probe *Probe
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

// stream returns the session's stream for the compiler's stream c, or nil.
func (r *registry) stream(c *compiler.Stream) *Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.maps {
		if st, ok := m.(*Stream); ok && st.decl == c {
			return st
		}
	}
	return nil
}

// printSite returns the print statement that a record belongs to, and the record's remaining bytes.
func (r *registry) printSite(b []byte) (*printSite, []byte, error) {
	id, args, ok := abi.ParseRecord(b)
	if !ok {
		return nil, nil, errors.New("a record without a number")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if id >= uint64(len(r.prints)) {
		return nil, nil, fmt.Errorf("a record of unknown print %d", id)
	}
	return &r.prints[id], args, nil
}

// printBase returns the number of the next print site.
func (r *registry) printBase() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.prints)
}

func (r *registry) addPrints(p *Probe, sites []compiler.PrintSite) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, site := range sites {
		r.prints = append(r.prints, printSite{site, p})
	}
}

// emitSite returns the number of the site equal to this one. It adds the site if there is none.
func (r *registry) emitSite(site compiler.PrintSite) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, x := range r.prints {
		if x.Kind == "emit" && x.probe == nil && slices.Equal(x.Names, site.Names) && slices.EqualFunc(x.Args, site.Args, (*types.Type).Equal) {
			return i
		}
	}
	r.prints = append(r.prints, printSite{site, nil})
	return len(r.prints) - 1
}
