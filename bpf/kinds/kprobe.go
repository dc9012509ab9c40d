package kinds

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/bpf/kernelfunc"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

var kprobeProvider = Provider{
	Kind: "kprobe", Alias: "k", Syntax: "kprobe:FUNCTION or kprobe:FUNCTION+OFFSET",
	Doc:     "A kernel function, at its entry or at an instruction inside it.",
	Example: "kprobe:vfs_read",
	minArgs: 1, maxArgs: 1, functions: kernelfunc.Kprobes, usable: usableKprobe,
	List: func(pattern string) ([]bpf.Target, error) {
		return listFunctions("kprobe", pattern, kernelfunc.Kprobes)
	},
	Resolve: resolveKprobe,
	Driver: bpf.Driver{
		FallbackToSingle: true,
		Context:          abi.Context{Registers: true, Override: true},
		Event:            func(t bpf.Target) (*abi.Event, error) { return kprobeTargetEvent(t, false) },
		ProgramTypes:     only(ebpf.Kprobe),
		Prepare:          prepareKprobe,
		Attach: func(t bpf.Target, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
			return attachKprobe(t, false, p, o)
		},
		AttachMulti: func(ts []bpf.Target, cs []uint64, p *bpf.Program, _ bpf.AttachOptions) (*bpf.Attachment, error) {
			return attachKprobes(ts, cs, false, p)
		},
	},
}

var kretprobeProvider = Provider{
	Kind: "kretprobe", Alias: "kr", Syntax: "kretprobe:FUNCTION",
	Doc:     "The return of a kernel function.",
	Example: "kretprobe:vfs_read",
	minArgs: 1, maxArgs: 1, functions: kernelfunc.Kprobes, usable: usableKprobe,
	List: func(pattern string) ([]bpf.Target, error) {
		return listFunctions("kretprobe", pattern, kernelfunc.Kprobes)
	},
	Resolve: resolveKprobe,
	Driver: bpf.Driver{
		FallbackToSingle: true,
		Context:          abi.Context{Registers: true}, Missed: missedReturns,
		Event:        func(t bpf.Target) (*abi.Event, error) { return kprobeTargetEvent(t, true) },
		ProgramTypes: only(ebpf.Kprobe),
		Prepare:      prepareKprobe,
		Attach: func(t bpf.Target, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
			return attachKprobe(t, true, p, o)
		},
		AttachMulti: func(ts []bpf.Target, cs []uint64, p *bpf.Program, _ bpf.AttachOptions) (*bpf.Attachment, error) {
			return attachKprobes(ts, cs, true, p)
		},
	},
}

// usableKprobe returns a *NotFoundError if the kernel has no kprobes.
func usableKprobe(spec string) error {
	_, err := kprobePMU()
	if errors.Is(err, errNoKprobes) {
		return &NotFoundError{Spec: spec, Reason: err.Error(), Hint: "use a tracepoint, which bpfrepl -l 'tracepoint:*' lists, or a kernel that has them"}
	}
	return err
}

func resolveKprobe(s Spec) ([]bpf.Target, error) {
	if err := usableKprobe(s.Text); err != nil {
		return nil, err
	}
	fn, offset, hasOffset := strings.Cut(s.Args[0], "+")
	if isPattern(s.Args[0]) {
		if hasOffset {
			return nil, &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: an offset belongs to one function, not to a pattern", s.Text)}
		}
		return resolveFunctions(s, kernelfunc.Kprobes)
	}
	t := functionTarget(s.Kind, s.Kind, fn)
	if hasOffset {
		n, err := strconv.ParseUint(offset, 0, 32)
		switch {
		case err != nil:
			return nil, &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: %q is not an offset", s.Text, offset), Hint: "write bytes: " + s.Kind + ":" + fn + "+0x10"}
		case s.Kind == "kretprobe":
			return nil, &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: a return has no offset", s.Text), Hint: "write kretprobe:" + fn}
		}
		t.Payload = offsetInFunction(n)
	}
	if err := findFunction(s, fn); err != nil {
		return nil, err
	}
	if at := offsetOf(t); at > 0 {
		t.Parts = []string{fmt.Sprintf("%s+0x%x", fn, at)}
		t.Name = s.Kind + ":" + t.Parts[0]
		size, err := kernelfunc.Size(fn)
		if err != nil {
			return nil, err
		}
		if size > 0 && at >= size {
			return nil, &RangeError{s.Text, fmt.Sprintf("the offset 0x%x is past the function's end: %s has 0x%x bytes", at, fn, size)}
		}
	}
	return []bpf.Target{t}, nil
}

// resolveFunctions expands the pattern of a spec.
func resolveFunctions(s Spec, names func() ([]string, error)) ([]bpf.Target, error) {
	ts, err := listFunctions(s.Kind, s.Kind+":"+s.Args[0], names)
	if err == nil && len(ts) == 0 {
		err = &NotFoundError{Spec: s.Text, Reason: "no kernel function matches"}
	}
	return ts, err
}

// syscallPrefix is the kernel's prefix for the names of functions that implement system calls.
var syscallPrefix = map[string]string{"amd64": "__x64_", "arm64": "__arm64_"}

// findFunction returns a *NotFoundError if the kernel has no function fn. It checks BTF first,
// which is needed anyway, because reading all symbols takes longer.
func findFunction(s Spec, fn string) error {
	if _, err := kbtf.KernelFunc(fn); err == nil || errors.Is(err, kbtf.ErrSeveral) {
		return nil
	}
	if known, err := kernelfunc.Exists(fn); err != nil || known {
		return err
	}
	call := syscallPrefix[runtime.GOARCH] + fn
	known, err := kernelfunc.Exists(call)
	if err != nil {
		return err
	}
	if known {
		return &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("the kernel has no function %q, but one for the system call", fn), Suggestions: []string{s.Kind + ":" + call}}
	}
	names, err := kernelfunc.Traceable()
	if err != nil {
		return err
	}
	return noKernelFunction(s, fn, names)
}

func kprobeTargetEvent(t bpf.Target, ret bool) (*abi.Event, error) {
	if offsetOf(t) > 0 {
		return &abi.Event{NoArgs: fmt.Sprintf("%s is inside the function: read its arguments at its entry, kprobe:%s", t.Name, t.Func)}, nil
	}
	return kprobeEvent(t.Func, ret)
}
