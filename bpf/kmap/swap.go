package kmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// SwapMap is a map that can be replaced with an empty one while programs use it. Programs reach it
// through the only slot of an outer array, so after a swap, the host has a map to which nothing
// writes any more. Emptying the map is therefore exact: no count goes to a deleted element, and
// nothing is lost between a read and a delete.
type SwapMap struct {
	Outer *Map // array of maps with one slot, to which programs refer
	mu    sync.Mutex
	inner *Map
	spec  Spec
}

// NewSwapMap creates a map with the given spec, and the outer map that refers to it.
func NewSwapMap(spec Spec) (*SwapMap, error) {
	if err := spec.CheckMemory(2); err != nil {
		return nil, err
	}
	outer, err := New(Spec{Name: spec.Name, Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, Inner: &spec})
	if err != nil {
		return nil, err
	}
	s := &SwapMap{Outer: outer, spec: spec}
	if _, err := s.Swap(); err != nil {
		return nil, errors.Join(err, outer.Close())
	}
	return s, nil
}

// Inner returns the map that programs currently use.
func (s *SwapMap) Inner() *Map {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inner
}

// Swap replaces the inner map with an empty one and returns the old one, which the caller must
// close. When Swap returns, no program writes to the old map any more: the kernel waits for running
// programs before an update of a map of maps returns (kernel/bpf/syscall.c: maybe_wait_bpf_programs
// calls synchronize_rcu, since 5.0). This does not apply to sleepable programs, but we load none.
// Swap takes some milliseconds, and tens of milliseconds on an idle host.
func (s *SwapMap) Swap() (old *Map, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := New(s.spec)
	if err != nil {
		return nil, err
	}
	fd := binary.NativeEndian.AppendUint32(nil, uint32(m.raw.FD()))
	if err := s.Outer.Update(make([]byte, 4), fd, 0); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	old, s.inner = s.inner, m
	return old, nil
}

// WaitForPrograms waits until every run of a program that has begun is over. Programs run as RCU
// readers, and membarrier(2) waits for those. Kernels with nohz_full refuse it; there a map is
// swapped, which needs two descriptors.
func WaitForPrograms() error {
	const global = 1 // MEMBARRIER_CMD_GLOBAL
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, global, 0, 0); errno == 0 {
		return nil
	}
	return waitBySwap()
}

func waitBySwap() error {
	s, err := NewSwapMap(Spec{Name: "wait", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return fmt.Errorf("wait for programs that run: %w", err)
	}
	return s.Close()
}

// Close closes both maps.
func (s *SwapMap) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.Outer.Close(), s.inner.Close())
}
