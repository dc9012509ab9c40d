package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// maxStacks is how many stacks a map of them has places for. The kernel finds a stack's place by a hash, and keeps none
// whose place is taken. It reserves the memory at once: 17 MiB for stacks of 127 frames.
const maxStacks = 1 << 14

// Stacks keeps the frames of stacks that programs have taken, each under a number.
type Stacks struct {
	m      *Map
	frames int
}

// NewStacks makes a map of stacks of at most so many frames. The kernel allows as many as the sysctl
// kernel.perf_event_max_stack says.
func NewStacks(name string, frames int) (*Stacks, error) {
	m, err := NewMap(MapSpec{Name: name, Type: ebpf.StackTrace, KeySize: 4, ValueSize: uint32(8 * frames), MaxEntries: maxStacks})
	var me *MapError
	if errors.As(err, &me) && errors.Is(err, unix.EINVAL) {
		me.Reason = fmt.Sprintf("the kernel does not keep stacks of %d frames", frames)
		me.Hint = "lower n, or raise the sysctl kernel.perf_event_max_stack"
	}
	if err != nil {
		return nil, err
	}
	return &Stacks{m, frames}, nil
}

// Map gives the map itself, for programs.
func (s *Stacks) Map() *Map { return s.m }

// Frames gives the addresses of a stack, the innermost first.
func (s *Stacks) Frames(id uint32) ([]uint64, error) {
	key := make([]byte, 4)
	binary.NativeEndian.PutUint32(key, id)
	b, err := s.m.Lookup(key)
	if err != nil {
		return nil, err
	}
	var out []uint64
	for i := 0; i < s.frames; i++ {
		if a := binary.NativeEndian.Uint64(b[8*i:]); a != 0 {
			out = append(out, a)
		}
	}
	return out, nil
}

// Close lets the map go.
func (s *Stacks) Close() error { return s.m.Close() }
