package codec

import (
	"fmt"
	"sync"

	"github.com/bpfrepl/bpfrepl/bpf"
)

// ProbeNames numbers the names of probes and of their functions, because programs and attach
// cookies hold numbers only. Numbers start at 1.
type ProbeNames struct {
	mu    sync.Mutex
	names []string          // by number, less 1
	ids   map[string]uint64 // by name
}

func NewProbeNames() *ProbeNames { return &ProbeNames{ids: map[string]uint64{}} }

// ID returns the number that represents a probe's name in the kernel.
func (n *ProbeNames) ID(name string) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	id, ok := n.ids[name]
	if !ok {
		n.names = append(n.names, name)
		id = uint64(len(n.names))
		n.ids[name] = id
	}
	return id
}

// Cookie packs the name IDs of a target into an attach cookie: its own ID in the low 32 bits, its
// function's ID in the high ones.
func (n *ProbeNames) Cookie(t bpf.Target) uint64 {
	c := n.ID(t.Name)
	if t.Func != "" {
		c |= n.ID(t.Func) << 32
	}
	return c
}

func (n *ProbeNames) name(id uint64) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id == 0 || id > uint64(len(n.names)) {
		return fmt.Sprintf("probe %d", id)
	}
	return n.names[id-1]
}
