package kinds

import (
	"fmt"
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
	"github.com/cilium/ebpf"
)

// Targets at kernel functions, which package kernelfunc lists.

// matchNames returns the names that match a pattern.
func matchNames(pattern string, names []string) []string {
	if pattern == "*" {
		return names
	}
	var out []string
	prefix := pattern[:strings.IndexAny(pattern+"*", "*?[\\")]
	for _, n := range names {
		if strings.HasPrefix(n, prefix) && match(pattern, n) {
			out = append(out, n)
		}
	}
	return out
}

// listFunctions returns the targets of a kind that match the pattern, for a kind with one target
// per name.
func listFunctions(kind, pattern string, names func() ([]string, error)) ([]bpf.Target, error) {
	k, rest, ok := strings.Cut(pattern, ":")
	whole := !ok || !match(k, kind) // a pattern such as *vfs* may span the colon
	if whole && ok && !strings.Contains(k, "*") {
		return nil, nil
	}
	all, err := names()
	if err != nil {
		return nil, err
	}
	if !whole {
		all = matchNames(rest, all)
	}
	out := make([]bpf.Target, 0, len(all))
	for _, n := range all {
		if t := functionTarget(kind, kind, n); !whole || match(pattern, t.Name) {
			out = append(out, t)
		}
	}
	return out, nil
}

// functionTarget returns a target of the given kind at a function. name is the kind that the spec
// used, which differs for function: and return:.
func functionTarget(name, kind, fn string) bpf.Target {
	return bpf.Target{Name: name + ":" + fn, Kind: kind, Parts: []string{fn}, Func: fn}
}

// noKernelFunction returns the error for a function that the kernel does not have.
func noKernelFunction(s Spec, fn string, names []string) error {
	e := &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("the kernel has no function %q, or the compiler has inlined it", fn)}
	var variants []string
	for _, n := range names {
		if strings.HasPrefix(n, fn+".") {
			variants = append(variants, n)
		}
	}
	if len(variants) > 0 {
		e.Reason = fmt.Sprintf("the compiler emitted %s for the function %q", strings.Join(variants, ", "), fn)
	} else {
		variants = suggest.Nearest(fn, names, 3)
	}
	for _, n := range variants {
		e.Suggestions = append(e.Suggestions, s.Kind+":"+n)
	}
	return e
}

// A funcOwner is the payload of a target at a function of a named module or of a BPF program. The
// functions of other targets are found by name.
type funcOwner struct {
	module  string
	program ebpf.ProgramID
}

// lookupFunction finds the function of an fentry or fexit target.
func lookupFunction(t bpf.Target) (kbtf.Func, error) {
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
func InProgram(t bpf.Target) bool { return payload[funcOwner](t).program != 0 }
