package bpf

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/cilium/ebpf"
)

// Cells counts the errors of one program: a per-CPU array with an element for each site and errno. The program adds
// to the element site*64 + errno&63; no errno that a helper gives shares these six bits with another (ETIMEDOUT, 110, is
// alone at 46).
type Cells struct{ m *Map }

const cellsPerSite = 64

// Cell is one error: what happened at a site with an errno.
type Cell struct {
	Site        int
	Errno       int // its low six bits
	Count       uint64
	First, Last uint64 // nanoseconds since boot
}

// NewCells makes the cells of a program with so many sites.
func NewCells(name string, sites int) (*Cells, error) {
	m, err := NewMap(MapSpec{Name: name, Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 24, MaxEntries: uint32(sites * cellsPerSite)})
	if err != nil {
		return nil, err
	}
	return &Cells{m}, nil
}

// Map gives the map that the program adds to.
func (c *Cells) Map() *Map { return c.m }

// Close lets the map go.
func (c *Cells) Close() error { return c.m.Close() }

// Read gives the cells that are not empty, merged over the CPUs, in the order of site and errno.
func (c *Cells) Read() (_ []Cell, err error) {
	snap, err := c.m.Snapshot(context.Background())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	var out []Cell
	for i := 0; i < snap.N; i++ {
		index := int(binary.NativeEndian.Uint32(snap.Key(i)))
		cell := Cell{Site: index / cellsPerSite, Errno: index % cellsPerSite}
		for v := snap.Value(i); len(v) >= 24; v = v[24:] {
			n, first, last := binary.NativeEndian.Uint64(v), binary.NativeEndian.Uint64(v[8:]), binary.NativeEndian.Uint64(v[16:])
			cell.Count += n
			if first != 0 && (cell.First == 0 || first < cell.First) {
				cell.First = first
			}
			cell.Last = max(cell.Last, last)
		}
		if cell.Count > 0 {
			out = append(out, cell)
		}
	}
	return out, nil
}
