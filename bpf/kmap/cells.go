package kmap

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/cilium/ebpf"
)

// ErrorCells counts the errors of one program in a per-CPU array with an element for each site and
// errno, laid out as package abi describes.
type ErrorCells struct {
	spec Spec

	mu   sync.Mutex
	m    *Map   // nil: released
	past []Cell // contents of released maps
}

// Cell counts the occurrences of one errno at one site.
type Cell struct {
	Site        int
	Errno       int // the low six bits
	Count       uint64
	First, Last uint64 // nanoseconds since boot
}

// NewErrorCells creates the cells for a program with the given number of sites.
func NewErrorCells(name string, sites int) (*ErrorCells, error) {
	c := &ErrorCells{spec: Spec{Name: name, Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: abi.CellSize, MaxEntries: uint32(sites * abi.CellsPerSite)}}
	return c, c.Renew()
}

// Renew creates the map again if it was released.
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

// Release closes the map. Its contents can still be read.
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

// Map returns the map to which the program adds.
func (c *ErrorCells) Map() *Map { return c.m }

// Close closes the map.
func (c *ErrorCells) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		return nil
	}
	return c.m.Close()
}

// Read returns the cells that are not empty, merged over all CPUs, sorted by site and errno.
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
		var cell Cell
		cell.Site, cell.Errno = abi.CellOf(int(binary.NativeEndian.Uint32(snap.Key(i))))
		if old, ok := past[[2]int{cell.Site, cell.Errno}]; ok {
			cell = old
		}
		for v := snap.Value(i); len(v) >= abi.CellSize; v = v[abi.CellSize:] {
			n, first, last := binary.NativeEndian.Uint64(v[abi.CellCount:]), binary.NativeEndian.Uint64(v[abi.CellFirst:]), binary.NativeEndian.Uint64(v[abi.CellLast:])
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
