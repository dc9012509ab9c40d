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

// The number of stacks in a map: as many as fit into stacksBytes, within these bounds.
const (
	minStacks   = 1 << 14
	maxStacks   = 1 << 16
	stacksBytes = 16 << 20
)

// Stacks is a map of stacks that programs have recorded, each with a number as its key.
type Stacks struct{ m *Map }

// NewStacks creates a map of stacks of at most frames frames. Its elements have size bytes: the
// size of the frames in bytes, the frames, and zeros. The kernel walks at most as many frames as
// the sysctl kernel.perf_event_max_stack allows, which cannot be changed while programs that record
// stacks are loaded. If frames exceeds that, the error is a *Error.
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

// stackLimit returns the number of frames that the kernel walks at most.
func stackLimit() (int, error) {
	b, err := os.ReadFile("/proc/sys/kernel/perf_event_max_stack")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// Map returns the map to which programs write.
func (s *Stacks) Map() *Map { return s.m }

// Room returns the number of stacks for which the map has room.
func (s *Stacks) Room() int { return int(s.m.spec.MaxEntries) }

// Frames returns the addresses of a stack, innermost first.
func (s *Stacks) Frames(id uint64) ([]uint64, error) {
	b, err := s.m.Lookup(binary.NativeEndian.AppendUint64(nil, id))
	if err != nil {
		return nil, err
	}
	return frames(id, b)
}

// All returns the frames of all stacks by number.
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

// Drop removes a stack. The error is ErrKeyNotExist if it does not exist.
func (s *Stacks) Drop(id uint64) error { return s.m.Delete(binary.NativeEndian.AppendUint64(nil, id)) }

// frames decodes an element.
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

// Close closes the map.
func (s *Stacks) Close() error { return s.m.Close() }
