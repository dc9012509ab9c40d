package bpf

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

var fentries = Provider{
	Kind: "fentry", Alias: "f", Syntax: "fentry:FUNCTION",
	Doc:     "The entry of a function of the kernel: cheaper than a kprobe, with typed arguments.",
	Example: "fentry:vfs_read",
	minArgs: 1, maxArgs: 1, untouchedFilter: true, each: true,
	List:    func(pattern string) ([]Target, error) { return listFunctions("fentry", pattern, fentryNames) },
	Resolve: resolveFentry,
	event:   func(t Target) (*Event, error) { return traceEvent(t.Func, false) },
	types:   only(ebpf.Tracing),
	prepare: prepareFentry,
	attach:  attachFentry,
	explain: fentryRefused,
}

var fexits = Provider{
	Kind: "fexit", Alias: "fr", Syntax: "fexit:FUNCTION",
	Doc:     "The return of a function of the kernel, with its arguments and its result.",
	Example: "fexit:vfs_read",
	minArgs: 1, maxArgs: 1, untouchedFilter: true, each: true,
	List:    func(pattern string) ([]Target, error) { return listFunctions("fexit", pattern, fentryNames) },
	Resolve: resolveFentry,
	event:   func(t Target) (*Event, error) { return traceEvent(t.Func, true) },
	types:   only(ebpf.Tracing),
	prepare: prepareFentry,
	attach:  attachFentry,
	explain: fentryRefused,
}

// fentryNames gives the functions that ftrace can trace and BTF describes.
func fentryNames() ([]string, error) {
	names, err := traceableNames()
	if err != nil {
		return nil, err
	}
	typed, err := btfFunctionNames()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(names, func(n string) bool {
		for len(typed) > 0 && typed[0] < n { // both are sorted
			typed = typed[1:]
		}
		return len(typed) == 0 || typed[0] != n
	}), nil
}

func resolveFentry(s Spec) ([]Target, error) {
	fn := s.Args[0]
	if isPattern(fn) {
		ts, err := resolveFunctions(s, fentryNames)
		if err != nil {
			return nil, err
		}
		var ae *AttachError // what speaks against all of them
		if err := tryFentry(ts[0]); errors.As(err, &ae) && !ae.Own {
			return nil, &NotFoundError{Spec: s.Text, Reason: ae.Reason, Hint: ae.Hint}
		}
		return ts, nil
	}
	if err := findFunction(s, fn); err != nil {
		return nil, err
	}
	t := functionTarget(s.Kind, s.Kind, fn)
	if err := tryFentry(t); err != nil {
		var ae *AttachError
		if errors.As(err, &ae) {
			err = &NotFoundError{Spec: s.Text, Reason: ae.Reason, Hint: ae.Hint}
		}
		return nil, err
	}
	return []Target{t}, nil
}

func fentryAttachType(kind string) ebpf.AttachType {
	if kind == "fexit" {
		return ebpf.AttachTraceFExit
	}
	return ebpf.AttachTraceFEntry
}

// prepareFentry ties a program to its one target.
func prepareFentry(s *ProgramSpec) error {
	t := s.Targets[0]
	_, id, err := kernelFunction(t.Func)
	if err != nil {
		return fentryUntyped(t, err)
	}
	if id == 0 {
		return fentryUntyped(t, errSeveral)
	}
	s.attachType, s.attachTo, s.attachBTF = fentryAttachType(t.Kind), t.Func, id
	return nil
}

func fentryUntyped(t Target, err error) error {
	if errors.Is(err, errNoTypes) {
		return &AttachError{Target: t, Own: true, Reason: "the types of the kernel (BTF) do not describe the function, which " + t.Kind + " needs", Hint: "use " + kprobeOf(t), Err: err}
	}
	if errors.Is(err, errSeveral) {
		return &AttachError{Target: t, Own: true, Reason: errSeveral.Error() + ", of which " + t.Kind + " reaches one only", Hint: "use " + kprobeOf(t), Err: err}
	}
	var noBTF *NoBTFError
	if errors.As(err, &noBTF) {
		return &AttachError{Target: t, Reason: noBTF.Error(), Hint: "use " + kprobeOf(t), Err: err}
	}
	return err
}

// kprobeOf names the kprobe in place of an fentry or fexit.
func kprobeOf(t Target) string {
	if t.Kind == "fexit" {
		return "kretprobe:" + t.Func
	}
	return "kprobe:" + t.Func
}

// idle is a program that does nothing, for trials.
func idle(t Target) ProgramSpec {
	return ProgramSpec{Name: "trial", Type: ebpf.Tracing, Targets: []Target{t}, Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}}
}

// tryFentry loads a program that does nothing: BTF and configuration may say that fentry is there while the kernel refuses it.
// The error is an *AttachError.
func tryFentry(t Target) error {
	spec := idle(t)
	if err := prepareFentry(&spec); err != nil {
		return err
	}
	spec.Targets = nil // prepared
	p, err := NewProgram(spec)
	if err == nil {
		return p.Close()
	}
	e := &AttachError{Target: t, Err: err}
	var refusal *VerifierRefusal
	var privilege *PrivilegeError
	switch {
	case errors.As(err, &privilege):
		return err
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		e.Reason = "the kernel refuses to load programs of fentry and fexit, though this process has the capabilities for it: a policy of this system forbids them"
		e.Hint = "use " + kprobeOf(t) + " or a tracepoint"
		if _, err := kprobePMU(); err != nil || t.Wild {
			e.Hint = "use a tracepoint, which bpfrepl -l 'tracepoint:*' lists, or a kernel that allows them"
		}
	case errors.Is(err, errnoNotSupported):
		e.Reason = "this kernel cannot attach programs of fentry and fexit on " + runtime.GOARCH + " (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS; arm64 has it from 6.4)"
		e.Hint = "use " + kprobeOf(t)
	case errors.As(err, &refusal) && refusal.Reason != "":
		e.Own = true
		e.Reason = "the kernel does not let this function be traced by " + t.Kind + ": " + strings.TrimSuffix(refusal.Reason, ".")
		e.Hint = "use " + kprobeOf(t)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINVAL):
		e.Own = true
		e.Reason = "the kernel does not let this function be traced by " + t.Kind + ": it is notrace, or inlined"
		e.Hint = "use " + kprobeOf(t)
	default:
		e.Reason = err.Error()
	}
	return e
}

// fentryRefused finds out whether the target or the handler was refused.
func fentryRefused(t Target, err error) error {
	var ae *AttachError
	if trial := tryFentry(t); errors.As(trial, &ae) {
		return trial
	}
	return err
}

// attachFentry makes a link: with a cookie from 5.19 on.
func attachFentry(t Target, p *Program, o AttachOptions) (*Attachment, error) {
	var fd uintptr
	var err error
	if o.Cookie != 0 {
		attr := linkCreateTracing{prog: uint32(p.raw.FD()), attachType: uint32(p.spec.attachType), cookie: o.Cookie}
		fd, err = bpfCall(cmdLinkCreate, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	} else {
		attr := rawTracepointAttr{fd: uint32(p.raw.FD())}
		fd, err = bpfCall(cmdRawTracepoint, unsafe.Pointer(&attr), unsafe.Offsetof(attr.cookie))
	}
	if err == nil {
		return &Attachment{Target: t, fds: []int{int(fd)}}, nil
	}
	e := &AttachError{Target: t, Own: true, Hint: "use " + kprobeOf(t), Err: err}
	switch {
	case errors.Is(err, unix.EBUSY):
		e.Reason = "its entry is patched by something else: a live patch, or a kprobe behind its first instruction"
		if isNotrace(t.Func) {
			e.Reason = "the kernel does not let this function be traced: it is notrace (" + filterFile + " lacks it)"
		}
	case errors.Is(err, unix.E2BIG):
		e.Reason = "as many programs as the kernel allows (38) are attached there"
	case errors.Is(err, errnoNotSupported):
		e.Reason = fmt.Sprintf("this kernel cannot attach programs of fentry and fexit on %s (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS; arm64 has it from 6.4)", runtime.GOARCH)
	default:
		return nil, refused(t, err)
	}
	return nil, e
}
