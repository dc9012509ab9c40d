package bpf

import (
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
)

// A funcOwner is the payload of a target at a function of a named module or of a BPF program. The
// functions of other targets are found by name.
type funcOwner struct {
	module  string
	program ebpf.ProgramID
}

// lookupFunction finds the function of an fentry or fexit target.
func (t Target) lookupFunction() (kbtf.Func, error) {
	in := payload[funcOwner](t)
	switch {
	case in.program != 0:
		return kbtf.ProgramFunc(in.program, t.Func)
	case in.module != "":
		return kbtf.ModuleFunc(in.module, t.Func)
	}
	return kbtf.FindFunc(t.Func)
}

// InProgram reports whether the target is a function of a BPF program.
func (t Target) InProgram() bool { return payload[funcOwner](t).program != 0 }

// open returns the file descriptor of the BTF or program that contains the function, or 0 for the
// kernel itself. The caller must close of, which owns the descriptor.
func (t Target) open(f kbtf.Func) (fd int, of io.Closer, err error) {
	program := payload[funcOwner](t).program
	switch {
	case program != 0:
		p, err := ebpf.NewProgramFromID(program)
		if err != nil {
			return 0, nil, fmt.Errorf("open the program %d: %w", program, err)
		}
		return p.FD(), p, nil
	case f.Module != "":
		h, err := btf.FindHandle(func(info *btf.HandleInfo) bool { return info.IsModule() && info.Name == f.Module })
		if err != nil {
			return 0, nil, fmt.Errorf("open the types of the module %s: %w", f.Module, err)
		}
		return h.FD(), h, nil
	}
	return 0, nil, nil
}
