package kmap

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/cilium/ebpf"
)

// ErrorCells counts the errors of one program: a per-CPU array with an element for each site and errno. The program adds
// to the element site*64 + errno&63; no errno that a helper gives shares these six bits with another (ETIMEDOUT, 110, is
// alone at 46).
type ErrorCells struct {
	spec Spec

	mu   sync.Mutex
	m    *Map   // nil: released
	past []Cell // what released maps held
}

const cellsPerSite = 64

// Cell is one error: what happened at a site with an errno.
type Cell struct {
	Site        int
	Errno       int // its low six bits
	Count       uint64
	First, Last uint64 // nanoseconds since boot
}

// NewErrorCells makes the cells of a program with so many sites.
func NewErrorCells(name string, sites int) (*ErrorCells, error) {
	c := &ErrorCells{spec: Spec{Name: name, Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 24, MaxEntries: uint32(sites * cellsPerSite)}}
	return c, c.Renew()
}

// Renew makes the map where it was released.
func (c *ErrorCells) Renew() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m != nil {
		return nil
	}
	m, err := New(c.spec)
	if err != nil {
		return err
	}
	c.m = m
	return nil
}

// Release lets the map go; what it held is still read.
func (c *ErrorCells) Release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		return nil
	}
	all, err := c.read()
	if err == nil {
		c.past = all
	}
	err = errors.Join(err, c.m.Close())
	c.m = nil
	return err
}

// Map gives the map that the program adds to.
func (c *ErrorCells) Map() *Map { return c.m }

// Close lets the map go.
func (c *ErrorCells) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		return nil
	}
	return c.m.Close()
}

// Read gives the cells that are not empty, merged over the CPUs, in the order of site and errno.
func (c *ErrorCells) Read() ([]Cell, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

func (c *ErrorCells) read() (_ []Cell, err error) {
	if c.m == nil {
		return c.past, nil
	}
	past := map[[2]int]Cell{}
	for _, cell := range c.past {
		past[[2]int{cell.Site, cell.Errno}] = cell
	}
	snap, err := c.m.Snapshot(context.Background())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	var out []Cell
	for i := 0; i < snap.N; i++ {
		index := int(binary.NativeEndian.Uint32(snap.Key(i)))
		cell := Cell{Site: index / cellsPerSite, Errno: index % cellsPerSite}
		if old, ok := past[[2]int{cell.Site, cell.Errno}]; ok {
			cell = old
		}
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
