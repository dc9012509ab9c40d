package kmap

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
)

// A map of stacks has room for this many: as many as fit into stacksBytes, within bounds.
const (
	minStacks   = 1 << 14
	maxStacks   = 1 << 16
	stacksBytes = 16 << 20
)

// Stacks keeps the frames of stacks that programs have taken, each under a number.
type Stacks struct{ m *Map }

// NewStacks makes a map of stacks of at most so many frames. An element of that size is the number of bytes in the frames,
// the frames, and zeros. The kernel walks through as many frames as the sysctl kernel.perf_event_max_stack says, which it
// lets nobody change as long as programs are there that take stacks.
func NewStacks(name string, frames, size int) (*Stacks, error) {
	spec := Spec{Name: name, Type: ebpf.Hash, KeySize: 8, ValueSize: uint32(size), MaxEntries: uint32(min(max(stacksBytes/size, minStacks), maxStacks))}
	limit, err := stackLimit()
	if err != nil {
		return nil, err
	}
	if limit < frames {
		return nil, &Error{Spec: spec, Op: "create", Reason: fmt.Sprintf("the kernel does not keep stacks of %d frames", frames),
			Hint: "lower n, or raise the sysctl kernel.perf_event_max_stack"}
	}
	m, err := New(spec)
	if err != nil {
		return nil, err
	}
	return &Stacks{m}, nil
}

// stackLimit is how many frames the kernel walks through.
func stackLimit() (int, error) {
	b, err := os.ReadFile("/proc/sys/kernel/perf_event_max_stack")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// Map gives the map itself, for programs.
func (s *Stacks) Map() *Map { return s.m }

// Room is how many stacks the map can keep.
func (s *Stacks) Room() int { return int(s.m.spec.MaxEntries) }

// Frames gives the addresses of a stack, the innermost first.
func (s *Stacks) Frames(id uint64) ([]uint64, error) {
	b, err := s.m.Lookup(binary.NativeEndian.AppendUint64(nil, id))
	if err != nil {
		return nil, err
	}
	return frames(id, b)
}

// All returns the frames of all stacks, by their numbers.
func (s *Stacks) All() (_ map[uint64][]uint64, err error) {
	snap, err := s.m.Snapshot(context.Background())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	out := make(map[uint64][]uint64, snap.N)
	for i := range snap.N {
		id := binary.NativeEndian.Uint64(snap.Key(i))
		if out[id], err = frames(id, snap.Value(i)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Drop removes a stack. The error is ErrKeyNotExist where it is not there.
func (s *Stacks) Drop(id uint64) error { return s.m.Delete(binary.NativeEndian.AppendUint64(nil, id)) }

// frames reads an element.
func frames(id uint64, b []byte) ([]uint64, error) {
	size := binary.NativeEndian.Uint64(b)
	if size > uint64(len(b)-8) {
		return nil, fmt.Errorf("stack %d has %d bytes of frames", id, size)
	}
	out := make([]uint64, size/8)
	for i := range out {
		out[i] = binary.NativeEndian.Uint64(b[8+8*i:])
	}
	return out, nil
}

// Close lets the map go.
func (s *Stacks) Close() error { return s.m.Close() }
