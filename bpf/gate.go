package bpf

import (
	"encoding/binary"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// A Gate stops programs at once: programs do nothing while it is shut. Detaching is slower: the
// kernel takes tens of milliseconds per perf event, one after the other, and programs run until
// then.
type Gate struct{ m *kmap.Map }

// NewGate returns a new gate, which is open.
func NewGate() (*Gate, error) {
	m, err := kmap.New(kmap.Spec{Name: "gate", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return nil, err
	}
	return &Gate{m}, (&Gate{m}).Open()
}

// Map returns the map that programs read.
func (g *Gate) Map() *kmap.Map { return g.m }

// Open lets programs run.
func (g *Gate) Open() error { return g.set(abi.GateOpen) }

// Shut stops the programs and waits until none is running.
func (g *Gate) Shut() error {
	if err := g.set(abi.GateShut); err != nil {
		return err
	}
	return kmap.WaitForPrograms()
}

func (g *Gate) set(open uint64) error {
	return g.m.Update(make([]byte, 4), binary.NativeEndian.AppendUint64(nil, open), 0)
}

// Close closes the map. Programs that use it keep it alive.
func (g *Gate) Close() error { return g.m.Close() }
