package bpf

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Functions of loaded BPF programs can also be traced with fentry and fexit, if the programs have
// BTF. Names of programs are not unique, so a spec may contain the program's ID before the function
// name.

// programPart takes the place of a module name in a spec for functions of BPF programs.
const programPart = "bpf"

// programTarget returns a target at a function of a BPF program.
func programTarget(kind string, id ebpf.ProgramID, fn string) Target {
	t := newTarget(kind, programPart, strconv.Itoa(int(id)), fn)
	t.Func, t.data = fn, funcOwner{program: id}
	return t
}

// programTargets returns the functions of all loaded BPF programs that have BTF and for which keep
// returns true.
func programTargets(kind string, keep func(id ebpf.ProgramID) bool) ([]Target, error) {
	var out []Target
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
			out = append(out, programTarget(kind, id, fn.Name))
		}
	}
}

// functionsOf returns the functions of a program, or none if it has no BTF.
func functionsOf(id ebpf.ProgramID) (fns []*btf.Func, err error) {
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
		fns = append(fns, f.Func)
	}
	return fns, err
}

// resolveProgram resolves a spec of the form bpf:NAME or bpf:ID:NAME.
func resolveProgram(s Spec) ([]Target, error) {
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
	var out []Target
	var refused *AttachError
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

// contextTypes maps the context types that programs use to the types that the kernel has in their
// place (include/linux/bpf_types.h).
var contextTypes = map[string]string{
	"__sk_buff": "sk_buff", "xdp_md": "xdp_buff", "bpf_sock_addr": "bpf_sock_addr_kern", "bpf_sock_ops": "bpf_sock_ops_kern", "sk_msg_md": "sk_msg",
	"bpf_sock": "sock", "bpf_sysctl": "bpf_sysctl_kern", "bpf_sockopt": "bpf_sockopt_kern", "sk_reuseport_md": "sk_reuseport_kern",
	"bpf_sk_lookup": "bpf_sk_lookup_kern", "bpf_perf_event_data": "bpf_perf_event_data_kern", "bpf_user_pt_regs_t": "pt_regs",
}

// programFunction finds a function of a BPF program. Its context has the kernel's type.
func programFunction(id ebpf.ProgramID, name string) (f function, err error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return f, fmt.Errorf("open the program %d: %w", id, err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	info, err := p.Info()
	if err != nil {
		return f, fmt.Errorf("query program %d: %w", id, err)
	}
	btfID, ok := info.BTFID()
	if !ok {
		return f, errNoTypes
	}
	h, err := btf.NewHandleFromID(btfID)
	if err != nil {
		return f, fmt.Errorf("open the types of the program %d: %w", id, err)
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	spec, err := h.Spec(nil)
	if err != nil {
		return f, fmt.Errorf("read the types of the program %d: %w", id, err)
	}
	found, err := spec.AnyTypesByName(name)
	if errors.Is(err, btf.ErrNotFound) {
		return f, errNoTypes
	}
	if err != nil {
		return f, err
	}
	proto, typeID, err := onlyFunction(spec, found)
	if err != nil {
		return f, err
	}
	given := *proto
	given.Params = nil
	for _, q := range proto.Params {
		given.Params = append(given.Params, btf.FuncParam{Name: q.Name, Type: kernelContext(q.Type)})
	}
	return function{proto: &given, id: typeID}, nil
}

// kernelContext returns the kernel's type for a pointer to a program context. It returns other
// types unchanged.
func kernelContext(t btf.Type) btf.Type {
	p, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return t
	}
	if name := contextTypes[p.Target.TypeName()]; name != "" {
		return &btf.Pointer{Target: &btf.Struct{Name: name}}
	}
	return t
}
