package kinds

import (
	"errors"
	"fmt"
	"io"
	"runtime"
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
)

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

func fentryAttachType(kind string) ebpf.AttachType {
	if kind == "fexit" {
		return ebpf.AttachTraceFExit
	}
	return ebpf.AttachTraceFEntry
}

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

// fentryArgs is the largest number of arguments of a function that can be traced before 6.6
// (arch/x86/net/bpf_jit_comp.c: arch_prepare_bpf_trampoline).
const fentryArgs = 6
