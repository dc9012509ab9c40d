package kmap

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
)

// ControlMap is what programs and host tell each other: word 0 is not 0 once a handler has called stop().
type ControlMap struct {
	m *Map
}

// NewControl makes the map.
func NewControl() (*ControlMap, error) {
	m, err := New(Spec{Name: "control", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return nil, err
	}
	return &ControlMap{m: m}, nil
}

// Map gives the map that programs write to.
func (c *ControlMap) Map() *Map { return c.m }

// Stopped tells whether a handler has called stop() since the last Reset.
func (c *ControlMap) Stopped() (bool, error) {
	v, err := c.m.Lookup(make([]byte, 4))
	if err != nil {
		return false, fmt.Errorf("read the stop flag: %w", err)
	}
	return binary.NativeEndian.Uint64(v) != 0, nil
}

// Reset clears the stop flag.
func (c *ControlMap) Reset() error { return c.m.Update(make([]byte, 4), make([]byte, 8), 0) }

// Close lets the map go.
func (c *ControlMap) Close() error { return c.m.Close() }
