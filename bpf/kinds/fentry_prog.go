package kinds

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf"
)

// Functions of loaded BPF programs can also be traced with fentry and fexit, if the programs have
// BTF. Names of programs are not unique, so a spec may contain the program's ID before the function
// name.

// programPart takes the place of a module name in a spec for functions of BPF programs.
const programPart = "bpf"

// programTarget returns a target at a function of a BPF program.
func programTarget(kind string, id ebpf.ProgramID, fn string) bpf.Target {
	t := newTarget(kind, programPart, strconv.Itoa(int(id)), fn)
	t.Func, t.Payload = fn, funcOwner{program: id}
	return t
}

// programTargets returns the functions of all loaded BPF programs that have BTF and for which keep
// returns true.
func programTargets(kind string, keep func(id ebpf.ProgramID) bool) ([]bpf.Target, error) {
	var out []bpf.Target
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list the BPF programs: %w", err)
		}
		if id = next; !keep(id) {
			continue
		}
		fns, err := functionsOf(id)
		if errors.Is(err, os.ErrNotExist) { // unloaded in the meantime
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, fn := range fns {
			out = append(out, programTarget(kind, id, fn))
		}
	}
}

// functionsOf returns the names of a program's functions, or none if it has no BTF.
func functionsOf(id ebpf.ProgramID) (fns []string, err error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	info, err := p.Info()
	if err != nil {
		return nil, fmt.Errorf("query program %d: %w", id, err)
	}
	if _, ok := info.BTFID(); !ok {
		return nil, nil
	}
	found, err := info.FuncInfos()
	if errors.Is(err, ebpf.ErrNotSupported) {
		return nil, nil
	}
	for _, f := range found {
		fns = append(fns, f.Func.Name)
	}
	return fns, err
}

// resolveProgram resolves a spec of the form bpf:NAME or bpf:ID:NAME.
func resolveProgram(s Spec) ([]bpf.Target, error) {
	fn := s.Args[len(s.Args)-1]
	keep := func(ebpf.ProgramID) bool { return true }
	if len(s.Args) == 3 {
		n, err := strconv.ParseUint(s.Args[1], 10, 32)
		if err != nil {
			return nil, &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: %q is not the ID of a BPF program", s.Text, s.Args[1]), Hint: "bpftool prog lists them"}
		}
		keep = func(id ebpf.ProgramID) bool { return uint64(id) == n }
	}
	all, err := programTargets(s.Kind, keep)
	if err != nil {
		return nil, err
	}
	var out []bpf.Target
	var refused *bpf.AttachError
	for _, t := range all {
		if !match(fn, t.Func) {
			continue
		}
		err := tryFentry(t)
		switch {
		case err == nil:
			out = append(out, t)
		case !errors.As(err, &refused):
			return nil, err
		}
	}
	if len(out) == 0 && refused != nil {
		return nil, &NotFoundError{Spec: s.Text, Reason: refused.Reason, Hint: refused.Hint}
	}
	if len(out) == 0 {
		return nil, &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("no loaded BPF program with types (BTF) has a function %q", fn),
			Hint: "bpfrepl -l '" + s.Kind + ":bpf:*' lists them"}
	}
	return out, nil
}
