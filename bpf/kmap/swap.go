package kmap

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/cilium/ebpf"
)

// SwapMap is a map that can be exchanged for an empty one while programs use it: programs reach it through the one
// slot of an outer array, so that the host gets a map that nobody writes to any more. That makes emptying it exact:
// nothing is counted in a deleted element, and nothing between a read and a delete is lost.
type SwapMap struct {
	Outer *Map // an array of maps with one slot: what programs refer to
	mu    sync.Mutex
	inner *Map
	spec  Spec
}

// NewSwapMap makes a map of this spec and the outer map around it.
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

// Inner gives the map that programs use now.
func (s *SwapMap) Inner() *Map {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inner
}

// Swap puts an empty map in place of the inner one, and gives the old one to the caller, who closes it. When it
// returns, no program writes to the old map any more: the kernel waits for the running ones before an update of a map of
// maps returns (kernel/bpf/syscall.c: maybe_wait_bpf_programs calls synchronize_rcu, since 5.0). That does not hold for
// sleepable programs, of which we load none. It takes some milliseconds, on an idle machine tens.
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

// Close lets both maps go.
func (s *SwapMap) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.Outer.Close(), s.inner.Close())
}
