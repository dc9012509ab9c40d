package kinds

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/bpf/kernelfunc"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

var fentryProvider = Provider{
	Kind: "fentry", Alias: "f", Syntax: "fentry:[MODULE:]FUNCTION, fentry:bpf:[ID:]FUNCTION",
	Doc:     "The entry of a kernel function: cheaper than a kprobe, with typed arguments.",
	Example: "fentry:vfs_read",
	minArgs: 1, maxArgs: 3, functions: kernelfunc.Fentry, usable: usableFentry,
	List:    func(pattern string) ([]bpf.Target, error) { return listFentry("fentry", pattern) },
	Resolve: resolveFentry,
	Driver: bpf.Driver{
		ProgramPerTarget: true,
		Context:          abi.Context{OwnFrame: true}, TrustedPointers: true,
		Event:            func(t bpf.Target) (*abi.Event, error) { return traceEvent(t, false) },
		ProgramTypes:     only(ebpf.Tracing),
		Prepare:          prepareFentry,
		Attach:           attachFentry(ebpf.AttachTraceFEntry),
		ExplainLoadError: fentryRefused,
	},
}

var fexitProvider = Provider{
	Kind: "fexit", Alias: "fr", Syntax: "fexit:[MODULE:]FUNCTION, fexit:bpf:[ID:]FUNCTION",
	Doc:     "The return of a kernel function, with its arguments and return value.",
	Example: "fexit:vfs_read",
	minArgs: 1, maxArgs: 3, functions: kernelfunc.Fentry, usable: usableFentry,
	List:    func(pattern string) ([]bpf.Target, error) { return listFentry("fexit", pattern) },
	Resolve: resolveFentry,
	Driver: bpf.Driver{
		ProgramPerTarget: true,
		Context:          abi.Context{OwnFrame: true}, TrustedPointers: true,
		Event:            func(t bpf.Target) (*abi.Event, error) { return traceEvent(t, true) },
		ProgramTypes:     only(ebpf.Tracing),
		Prepare:          prepareFentry,
		Attach:           attachFentry(ebpf.AttachTraceFExit),
		ExplainLoadError: fentryRefused,
	},
}

// listFentry lists functions of the kernel, its modules and loaded BPF programs.
func listFentry(kind, pattern string) ([]bpf.Target, error) {
	out, err := listFunctions(kind, pattern, kernelfunc.Fentry)
	if err != nil {
		return nil, err
	}
	if k, _, _ := strings.Cut(pattern, ":"); !match(k, kind) && !strings.Contains(k, "*") {
		return out, nil
	}
	programs, err := programTargets(kind, func(ebpf.ProgramID) bool { return true })
	if errors.Is(err, unix.EPERM) { // without the privilege to see programs, list the rest
		return out, nil
	}
	return append(out, filterTargets(pattern, programs...)...), err
}

func resolveFentry(s Spec) ([]bpf.Target, error) {
	fn := s.Args[0]
	switch {
	case len(s.Args) > 1 && fn == programPart:
		return resolveProgram(s)
	case len(s.Args) == 2:
		return resolveModule(s)
	case len(s.Args) > 2:
		return nil, &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q has %s", s.Text, parts(len(s.Args)+1)), Hint: "write " + findProvider(s.Kind).Syntax}
	case isPattern(fn):
		ts, err := resolveFunctions(s, kernelfunc.Fentry)
		if err != nil {
			return nil, err
		}
		var ae *bpf.AttachError // a reason that applies to all of them
		if err := tryFentry(ts[0]); errors.As(err, &ae) && !ae.TargetOnly {
			return nil, &NotFoundError{Spec: s.Text, Reason: ae.Reason, Hint: ae.Hint}
		}
		return ts, nil
	}
	if err := findFunction(s, fn); err != nil {
		return nil, err
	}
	return checkAttachable(s, functionTarget(s.Kind, s.Kind, fn))
}

// resolveModule finds a function of a module. Its name need not be unique in the kernel.
func resolveModule(s Spec) ([]bpf.Target, error) {
	module, fn := s.Args[0], s.Args[1]
	names, err := kbtf.Modules()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(names, module) {
		e := &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("no loaded module %q has types (BTF)", module), Hint: "lsmod lists modules; their types are in " + kbtf.Folder + " from kernel 5.11 on"}
		for _, n := range suggest.Nearest(module, names, 3) {
			e.Suggestions = append(e.Suggestions, s.Kind+":"+n+":"+fn)
		}
		return nil, e
	}
	all, err := kbtf.ModuleFuncs(module)
	if err != nil {
		return nil, err
	}
	found := matchNames(fn, all)
	if len(found) == 0 {
		e := &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("the module %s has no function %q, or the compiler has inlined it", module, fn)}
		for _, n := range suggest.Nearest(fn, all, 3) {
			e.Suggestions = append(e.Suggestions, s.Kind+":"+module+":"+n)
		}
		return nil, e
	}
	var out []bpf.Target
	for _, n := range found {
		t := newTarget(s.Kind, module, n)
		t.Func, t.Payload = n, funcOwner{module: module}
		out = append(out, t)
	}
	if isPattern(fn) {
		return out, nil
	}
	return checkAttachable(s, out[0])
}

// checkAttachable returns the target if the kernel allows it to be traced, and a *NotFoundError if
// not.
func checkAttachable(s Spec, t bpf.Target) ([]bpf.Target, error) {
	if err := tryFentry(t); err != nil {
		var ae *bpf.AttachError
		if errors.As(err, &ae) {
			err = &NotFoundError{Spec: s.Text, Reason: ae.Reason, Hint: ae.Hint}
		}
		return nil, err
	}
	return []bpf.Target{t}, nil
}
