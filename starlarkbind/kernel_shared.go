package starlarkbind

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
	"github.com/cilium/ebpf"
)

// kernelShared holds the kernel objects that all programs of a session share. Each is created on
// first use.
type kernelShared struct {
	run    *runner.Runner
	reg    *registry
	codec  *codec.Codec
	warner *warnings.Warner
	out    *terminal.Output
	halt   chan<- struct{} // a handler called stop()

	control     *kmap.ControlMap
	zeros       *kmap.Map
	numbers     *kmap.Map // system call numbers: kernelnames.CanonicalTable
	printReader *printReader
	statsOn     io.Closer                           // nil: the kernel does not measure programs
	memory      func(m kmap.Spec, copies int) error // kmap.Spec.CheckMemory, replaced in tests
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

// ringSize is the size in bytes of the ring buffer for records that are not read yet.
const ringSize = 4 << 20

// ring returns the session's ring buffer. The first call creates it and starts the reader.
func (k *kernelShared) ring() (*kmap.RingBuf, error) {
	if k.printReader == nil {
		r, err := kmap.NewRingBuf(ringSize)
		if err != nil {
			return nil, err
		}
		k.printReader = &printReader{k: k, ring: r, done: make(chan struct{})}
		go k.run.RecoverGoroutine(k.printReader.run)
	}
	return k.printReader.ring, nil
}

// drain returns when all records sent before the call are printed, regardless of how many are added
// in the meantime. It returns earlier if the script is interrupted or if the reader of the output
// stalls. The records are then printed later.
func (k *kernelShared) drain() {
	if k.printReader == nil {
		return
	}
	printed, err := k.printReader.wait()
	if err != nil {
		k.out.ReportError(err)
		return
	}
	look := time.NewTicker(runner.CallbackGrace / 5)
	defer look.Stop()
	ctx := k.run.Context()
	for {
		select {
		case <-printed:
			return
		case <-k.printReader.done:
			return
		case <-ctx.Done():
			return
		case <-look.C:
			if k.out.Stalled() {
				return
			}
		}
	}
}

// drainAll is drain for the end of the session. It waits for the reader of the output as long as it
// takes, as any program does.
func (k *kernelShared) drainAll() {
	if k.printReader == nil {
		return
	}
	printed, err := k.printReader.wait()
	if err != nil {
		k.out.ReportError(err)
		return
	}
	select {
	case <-printed:
	case <-k.printReader.done:
	}
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
