package kinds

import (
	"errors"
	"fmt"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kernelfunc"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// functionProvider and returnProvider choose, for each function, the cheapest kind that the kernel
// supports. Their targets have the kind fentry, fexit, kprobe or kretprobe, but keep the name that
// the spec used.
var functionProvider = Provider{
	Kind: "function", Syntax: "function:FUNCTION",
	Doc:     "The entry of a kernel function, using the cheapest kind that this kernel has: fentry, else kprobe.",
	Example: "function:vfs_read",
	minArgs: 1, maxArgs: 1, functions: kernelfunc.Kprobes, usable: usableFunction,
	List: func(pattern string) ([]bpf.Target, error) {
		return listFunctions("function", pattern, kernelfunc.Kprobes)
	},
	Resolve: func(s Spec) ([]bpf.Target, error) {
		return resolveFunction(s, fentryProvider.Kind, kprobeProvider.Kind)
	},
	Driver: bpf.Driver{
		Event: func(t bpf.Target) (*abi.Event, error) { return kprobeEvent(t.Func, false) },
	},
}

var returnProvider = Provider{
	Kind: "return", Syntax: "return:FUNCTION",
	Doc:     "The return of a kernel function, using the cheapest kind that this kernel has: fexit, else kretprobe.",
	Example: "return:vfs_read",
	minArgs: 1, maxArgs: 1, functions: kernelfunc.Kprobes, usable: usableFunction,
	List: func(pattern string) ([]bpf.Target, error) {
		return listFunctions("return", pattern, kernelfunc.Kprobes)
	},
	Resolve: func(s Spec) ([]bpf.Target, error) {
		return resolveFunction(s, fexitProvider.Kind, kretprobeProvider.Kind)
	},
	Driver: bpf.Driver{
		Event: func(t bpf.Target) (*abi.Event, error) { return kprobeEvent(t.Func, true) },
	},
}

// usableFunction returns a *NotFoundError if the kernel supports neither of the kinds that kind
// chooses from.
func usableFunction(kind string) error {
	fast, slow := fentryProvider.Kind, kprobeProvider.Kind
	if kind == "return" {
		fast, slow = fexitProvider.Kind, kretprobeProvider.Kind
	}
	_, noKprobes := kprobePMU()
	if !errors.Is(noKprobes, errNoKprobes) {
		return noKprobes
	}
	var none *NotFoundError
	err := usableFentry(fast)
	if errors.As(err, &none) {
		return noFunctionKind(kind, fast, none.Reason, slow, noKprobes)
	}
	return err
}

// noFunctionKind returns the error that explains why neither kind works.
func noFunctionKind(spec, fast, reason, slow string, noKprobes error) *NotFoundError {
	return &NotFoundError{Spec: spec, Reason: fmt.Sprintf("no kind of function probe works here: %s: %s; %s: %v", fast, reason, slow, noKprobes),
		Hint: "use a tracepoint, which bpfrepl -l 'tracepoint:*' lists"}
}

// manyFunctions is the number of functions above which one multi link is cheaper than a program and
// a patched entry per function.
const manyFunctions = 32

func resolveFunction(s Spec, fast, slow string) ([]bpf.Target, error) {
	fn := s.Args[0]
	names := []string{fn}
	if isPattern(fn) {
		all, err := kernelfunc.Kprobes()
		if err != nil {
			return nil, err
		}
		if names = matchNames(fn, all); len(names) == 0 {
			return nil, &NotFoundError{Spec: s.Text, Reason: "no kernel function matches"}
		}
	} else if err := findFunction(s, fn); err != nil {
		return nil, err
	}
	_, noKprobes := kprobePMU()
	if noKprobes != nil && !errors.Is(noKprobes, errNoKprobes) {
		return nil, noKprobes
	}
	var out []bpf.Target
	var last error
	for _, n := range names {
		t := functionTarget(s.Kind, fast, n)
		if len(names) > manyFunctions && noKprobes == nil {
			t.Kind, t.FallbackReason = slow, fmt.Sprintf("%d targets are too many for %s", len(names), fast)
			out = append(out, t)
			continue
		}
		var refused *bpf.AttachError
		err := tryFentry(t)
		switch {
		case err == nil:
			out = append(out, t)
		case !errors.As(err, &refused):
			return nil, err
		case noKprobes == nil:
			t.Kind, t.FallbackReason = slow, fast+": "+refused.Reason
			out = append(out, t)
		default:
			last = noFunctionKind(s.Text, fast, refused.Reason, slow, noKprobes)
			if !refused.TargetOnly {
				return nil, last
			}
		}
	}
	if len(out) == 0 {
		return nil, last
	}
	return out, nil
}
