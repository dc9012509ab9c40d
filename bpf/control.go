package bpf

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
)

// Control is what programs and host tell each other: word 0 is not 0 once a handler has called stop().
type Control struct {
	m *Map
}

// NewControl makes the map.
func NewControl() (*Control, error) {
	m, err := NewMap(MapSpec{Name: "control", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return nil, err
	}
	return &Control{m: m}, nil
}

// Map gives the map that programs write to.
func (c *Control) Map() *Map { return c.m }

// Stopped tells whether a handler has called stop() since the last Reset.
func (c *Control) Stopped() (bool, error) {
	v, err := c.m.Lookup(make([]byte, 4))
	if err != nil {
		return false, fmt.Errorf("read the stop flag: %w", err)
	}
	return binary.NativeEndian.Uint64(v) != 0, nil
}

// Reset clears the stop flag.
func (c *Control) Reset() error { return c.m.Update(make([]byte, 4), make([]byte, 8), 0) }

// Close lets the map go.
func (c *Control) Close() error { return c.m.Close() }
