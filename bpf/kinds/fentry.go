package kinds

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/bpf/kernelfunc"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
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

// openOwner returns the file descriptor of the BTF or program that contains the function, or 0 for
// the kernel itself. The caller must close of, which owns the descriptor.
func openOwner(t bpf.Target, f kbtf.Func) (fd int, of io.Closer, err error) {
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

// usableFentry tries a probe, and returns a *NotFoundError if the kernel supports no probe of the
// kind.
func usableFentry(kind string) error {
	var refused *bpf.AttachError
	var privilege *sys.PrivilegeError
	err := tryFentry(functionTarget(kind, kind, "vfs_read"))
	switch {
	case errors.As(err, &refused) && !refused.TargetOnly:
		return &NotFoundError{Spec: kind, Reason: refused.Reason, Hint: refused.Hint}
	// Only this function was refused, or a user with more privileges may be able to use the kind.
	case errors.As(err, &refused), errors.As(err, &privilege):
		return nil
	}
	return err
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

func fentryAttachType(kind string) ebpf.AttachType {
	if kind == "fexit" {
		return ebpf.AttachTraceFExit
	}
	return ebpf.AttachTraceFEntry
}

// fentryArgs is the largest number of arguments of a function that can be traced before 6.6
// (arch/x86/net/bpf_jit_comp.c: arch_prepare_bpf_trampoline).
const fentryArgs = 6

// prepareFentry ties a program to its only target.
func prepareFentry(s *bpf.ProgramSpec) error {
	t := s.Targets[0]
	f, err := lookupFunction(t)
	if err != nil {
		return fentryUntyped(t, err)
	}
	if f.ID == 0 {
		return fentryUntyped(t, kbtf.ErrSeveral)
	}
	if n := len(f.Params); n > fentryArgs && runtime.GOARCH == "amd64" && sys.OlderThan(6, 6) {
		return &bpf.AttachError{Target: t, TargetOnly: true, Hint: instead(t), Err: sys.ErrnoNotSupported,
			Reason: fmt.Sprintf("the function has %d arguments, and kernels before 6.6 attach %s to functions with at most %d", n, t.Kind, fentryArgs)}
	}
	s.AttachType, s.AttachTo, s.AttachBTF = fentryAttachType(t.Kind), t.Func, f.ID
	s.AttachFD, s.AttachIn, err = openOwner(t, f)
	return err
}

func fentryUntyped(t bpf.Target, err error) error {
	if errors.Is(err, kbtf.ErrNoTypes) {
		return &bpf.AttachError{Target: t, TargetOnly: true, Reason: "the kernel's type information (BTF) does not describe the function, which " + t.Kind + " needs", Hint: instead(t), Err: err}
	}
	if errors.Is(err, kbtf.ErrSeveral) {
		return &bpf.AttachError{Target: t, TargetOnly: true, Reason: kbtf.ErrSeveral.Error() + ", and " + t.Kind + " can reach only one of them", Hint: instead(t), Err: err}
	}
	var noBTF *kbtf.NoBTFError
	if errors.As(err, &noBTF) {
		return &bpf.AttachError{Target: t, Reason: noBTF.Error(), Hint: instead(t), Err: err}
	}
	return err
}

// kprobeOf returns the name of the kprobe that corresponds to an fentry or fexit.
func kprobeOf(t bpf.Target) string {
	if t.Kind == "fexit" {
		return kretprobeProvider.Kind + ":" + t.Func
	}
	return kprobeProvider.Kind + ":" + t.Func
}

// instead returns a hint on how to trace a function that fentry and fexit cannot trace.
func instead(t bpf.Target) string {
	if InProgram(t) {
		return "trace what the program is attached to"
	}
	return "use " + kprobeOf(t)
}

// idle returns a program that does nothing, used to try whether a target can be traced.
func idle(t bpf.Target) bpf.ProgramSpec {
	return bpf.ProgramSpec{Name: "trial", Type: ebpf.Tracing, Targets: []bpf.Target{t}, Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}}
}

// tryFentry loads a program that does nothing, because the kernel may refuse fentry even if BTF and
// the configuration suggest that it is available. A refusal is an *AttachError or a
// *PrivilegeError.
func tryFentry(t bpf.Target) error {
	spec := idle(t)
	if err := prepareFentry(&spec); err != nil {
		return err
	}
	p, err := bpf.NewProgram(spec)
	if err == nil {
		return p.Close()
	}
	e := &bpf.AttachError{Target: t, Err: err}
	var refusal *bpf.VerifierError
	var privilege *sys.PrivilegeError
	switch {
	case errors.As(err, &privilege):
		return err
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		e.Reason = "the kernel refuses to load fentry and fexit programs, although this process has the capabilities: a system policy forbids them"
		e.Hint = "use " + kprobeOf(t) + " or a tracepoint"
		if _, err := kprobePMU(); err != nil || t.FromPattern {
			e.Hint = "use a tracepoint, which bpfrepl -l 'tracepoint:*' lists, or a kernel that allows them"
		}
	case errors.Is(err, sys.ErrnoNotSupported):
		e.Reason = noFentry
		e.Hint = instead(t)
	case errors.As(err, &refusal) && refusal.Reason != "":
		e.TargetOnly = true
		e.Reason = "the kernel does not allow this function to be traced by " + t.Kind + ": " + strings.TrimSuffix(refusal.Reason, ".")
		e.Hint = instead(t)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINVAL):
		e.TargetOnly = true
		e.Reason = "the kernel does not allow this function to be traced by " + t.Kind + ": it is notrace, or inlined"
		e.Hint = instead(t)
	default:
		e.Reason = err.Error()
	}
	return e
}

// noFentry explains ENOTSUPP.
const noFentry = "this kernel cannot attach fentry and fexit programs on " + runtime.GOARCH + " (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS; arm64 has it from 6.4)"

// fentryRefused determines whether the kernel refused the target or the handler.
func fentryRefused(t bpf.Target, err error) error {
	var ae *bpf.AttachError
	if trial := tryFentry(t); errors.As(trial, &ae) {
		return trial
	}
	return err
}

// attachFentry creates a link. Cookies require 5.19.
func attachFentry(typ ebpf.AttachType) func(bpf.Target, *bpf.Program, bpf.AttachOptions) (*bpf.Attachment, error) {
	return func(t bpf.Target, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
		var fd uintptr
		var err error
		if o.Cookie != 0 {
			attr := sys.LinkCreateTracing{Prog: uint32(p.Raw().FD()), AttachType: uint32(typ), Cookie: o.Cookie}
			fd, err = sys.BPF(sys.CmdLinkCreate, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
		} else {
			attr := sys.RawTracepointAttr{FD: uint32(p.Raw().FD())}
			fd, err = sys.BPF(sys.CmdRawTracepoint, unsafe.Pointer(&attr), unsafe.Offsetof(attr.Cookie))
		}
		if err == nil {
			return &bpf.Attachment{Target: t, FDs: []int{int(fd)}}, nil
		}
		e := &bpf.AttachError{Target: t, TargetOnly: true, Hint: instead(t), Err: err}
		switch {
		case errors.Is(err, unix.EBUSY):
			e.Reason = "its entry is patched by something else: a live patch, or a kprobe after its first instruction"
			if kernelfunc.IsNotrace(t.Func) {
				e.Reason = "the kernel does not allow this function to be traced: it is notrace (not in " + kernelfunc.FilterFile + ")"
			}
		case errors.Is(err, unix.E2BIG):
			e.Reason = "38 programs are attached there already, which is the kernel's limit"
		case errors.Is(err, sys.ErrnoNotSupported):
			e.Reason = noFentry
		default:
			return nil, bpf.NewAttachError(t, err)
		}
		return nil, e
	}
}
