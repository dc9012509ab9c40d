package starlarkbind

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// newScratch creates the scratch map, which holds what does not fit on a program's stack. It has
// abi.ScratchSlots slots of the given size in bytes for each CPU.
func newScratch(size int) (*kmap.Map, error) {
	cpus, err := sys.PossibleCPUs()
	if err != nil {
		return nil, err
	}
	m, err := kmap.New(kmap.Spec{Name: "scratch", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(size), MaxEntries: uint32(abi.ScratchElements(cpus))})
	if err != nil {
		return nil, fmt.Errorf("memory for the long strings and stacks of a handler, %d bytes for each of %d runs on %d CPUs: %w", size, abi.ScratchSlots, cpus, err)
	}
	return m, nil
}
