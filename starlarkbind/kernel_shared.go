package starlarkbind

import (
	"errors"
	"fmt"
	"io"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
	"github.com/cilium/ebpf"
)

// kernelShared holds the kernel objects that all programs of a session share. Each is created on
// first use.
type kernelShared struct {
	control *kmap.ControlMap
	zeros   *kmap.Map
	numbers *kmap.Map                           // system call numbers: kernelnames.CanonicalTable
	statsOn io.Closer                           // nil: the kernel does not measure programs
	memory  func(m kmap.Spec, copies int) error // kmap.Spec.CheckMemory, replaced in tests
}

// zerosMap returns an array map with at least n zero bytes, which programs use as initial values.
func (k *kernelShared) zerosMap(n int) (*kmap.Map, error) {
	const size = 32 << 10 // the largest value size of a per-CPU map
	if k.zeros == nil {
		m, err := kmap.New(kmap.Spec{Name: "zeros", Type: ebpf.Array, KeySize: 4, ValueSize: size, MaxEntries: 1})
		if err != nil {
			return nil, err
		}
		k.zeros = m
	}
	if n > size {
		return nil, fmt.Errorf("a value of %d bytes is too large; at most %d fit", n, size)
	}
	return k.zeros, nil
}

// numbersMap returns the array map that translates system call numbers of other ABIs.
func (k *kernelShared) numbersMap() (*kmap.Map, error) {
	if k.numbers == nil {
		m, err := kmap.NewNumbers(kernelnames.CanonicalTable())
		if err != nil {
			return nil, err
		}
		k.numbers = m
	}
	return k.numbers, nil
}

func (k *kernelShared) controlMap() (*kmap.ControlMap, error) {
	if k.control == nil {
		c, err := kmap.NewControl()
		if err != nil {
			return nil, err
		}
		k.control = c
	}
	return k.control, nil
}

// close closes the objects.
func (k *kernelShared) close() error {
	var errs []error
	if k.control != nil {
		errs = append(errs, k.control.Close())
	}
	for _, m := range []*kmap.Map{k.zeros, k.numbers} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	if k.statsOn != nil {
		errs = append(errs, k.statsOn.Close())
	}
	return errors.Join(errs...)
}

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
