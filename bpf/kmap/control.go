package kmap

import (
	"encoding/binary"
	"fmt"

	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/cilium/ebpf"
)

// ControlMap passes control words between programs and the host. Word 0 is nonzero once a handler
// has called stop().
type ControlMap struct {
	m *Map
}

// NewControl creates the map.
func NewControl() (*ControlMap, error) {
	m, err := New(Spec{Name: "control", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return nil, err
	}
	return &ControlMap{m: m}, nil
}

// Map returns the map to which programs write.
func (c *ControlMap) Map() *Map { return c.m }

// Stopped reports whether a handler has called stop() since the last Reset.
func (c *ControlMap) Stopped() (bool, error) {
	v, err := c.m.Lookup(make([]byte, 4))
	if err != nil {
		return false, fmt.Errorf("read the stop flag: %w", err)
	}
	return binary.NativeEndian.Uint64(v) != abi.Running, nil
}

// Reset clears the stop flag.
func (c *ControlMap) Reset() error { return c.m.Update(make([]byte, 4), make([]byte, 8), 0) }

// Close closes the map.
func (c *ControlMap) Close() error { return c.m.Close() }
