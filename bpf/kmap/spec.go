package kmap

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// Spec describes a map to be created.
type Spec struct {
	Name               string // for display only; the kernel keeps 15 characters
	Type               ebpf.MapType
	KeySize, ValueSize uint32 // in bytes; for a per-CPU map, the size of one CPU's value
	MaxEntries         uint32
	Flags              uint32 // BPF_F_*
	Inner              *Spec  // spec of the inner maps, for a map of maps
}

// Error reports why the kernel refused a map, or an operation on one.
type Error struct {
	Spec   Spec
	Op     string // "create", "update"...
	Reason string
	Hint   string // what to do, or ""
	Err    error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s map %q: %s", e.Op, e.Spec.Name, e.Reason)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

func isPerCPU(t ebpf.MapType) bool {
	return t == ebpf.PerCPUHash || t == ebpf.PerCPUArray || t == ebpf.LRUCPUHash
}

// totalValueSize returns the number of bytes that the kernel copies for one key.
func totalValueSize(s Spec) (int, error) {
	if !isPerCPU(s.Type) {
		return int(s.ValueSize), nil
	}
	n, err := sys.PossibleCPUs()
	return n * ((int(s.ValueSize) + 7) &^ 7), err
}

// bytes estimates the memory of a map from the sizes of the kernel's structures
// (kernel/bpf/hashtab.c: struct htab_elem has 48 bytes, a bucket 16).
func (s Spec) bytes() uint64 {
	n, key, value := uint64(s.MaxEntries), uint64(s.KeySize+7)&^7, uint64(s.ValueSize+7)&^7
	if total, err := totalValueSize(s); err == nil && isPerCPU(s.Type) {
		value = uint64(total) + 8
	}
	switch s.Type {
	case ebpf.Array, ebpf.PerCPUArray, ebpf.ArrayOfMaps:
		return n * value
	case ebpf.RingBuf:
		return n
	}
	return n * (48 + 16 + key + value)
}

func mebibytes(n uint64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", (n+1<<10-1)>>10)
	}
	return fmt.Sprintf("%d MiB", (n+1<<20-1)>>20)
}
