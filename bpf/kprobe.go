package bpf

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/bpf/kernelfunc"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

var kprobeProvider = Provider{
	Kind: "kprobe", Alias: "k", Syntax: "kprobe:FUNCTION or kprobe:FUNCTION+OFFSET",
	Doc:     "A kernel function, at its entry or at an instruction inside it.",
	Example: "kprobe:vfs_read",
	minArgs: 1, maxArgs: 1, fallbackToSingle: true, functions: kernelfunc.Kprobes, usable: usableKprobe,
	Context:      abi.Context{Registers: true, Override: true},
	List:         func(pattern string) ([]Target, error) { return listFunctions("kprobe", pattern, kernelfunc.Kprobes) },
	Resolve:      resolveKprobe,
	eventSchema:  func(t Target) (*abi.Event, error) { return kprobeTargetEvent(t, false) },
	programTypes: only(ebpf.Kprobe),
	prepare:      prepareKprobe,
	attach:       func(t Target, p *Program, o AttachOptions) (*Attachment, error) { return attachKprobe(t, false, p, o) },
	attachMulti: func(ts []Target, cs []uint64, p *Program, _ AttachOptions) (*Attachment, error) {
		return attachKprobes(ts, cs, false, p)
	},
}

var kretprobeProvider = Provider{
	Kind: "kretprobe", Alias: "kr", Syntax: "kretprobe:FUNCTION",
	Doc:     "The return of a kernel function.",
	Example: "kretprobe:vfs_read",
	minArgs: 1, maxArgs: 1, fallbackToSingle: true, functions: kernelfunc.Kprobes, usable: usableKprobe,
	Context: abi.Context{Registers: true}, missed: missedReturns,
	List:         func(pattern string) ([]Target, error) { return listFunctions("kretprobe", pattern, kernelfunc.Kprobes) },
	Resolve:      resolveKprobe,
	eventSchema:  func(t Target) (*abi.Event, error) { return kprobeTargetEvent(t, true) },
	programTypes: only(ebpf.Kprobe),
	prepare:      prepareKprobe,
	attach:       func(t Target, p *Program, o AttachOptions) (*Attachment, error) { return attachKprobe(t, true, p, o) },
	attachMulti: func(ts []Target, cs []uint64, p *Program, _ AttachOptions) (*Attachment, error) {
		return attachKprobes(ts, cs, true, p)
	},
}

// offsetInFunction is the payload of a target inside a function, in bytes from its start.
type offsetInFunction uint64

// offset returns the number of bytes between the start of the function and the probe.
func (t Target) offset() uint64 { return uint64(payload[offsetInFunction](t)) }

// usableKprobe returns a *NotFoundError if the kernel has no kprobes.
func usableKprobe(spec string) error {
	_, err := kprobePMU()
	if errors.Is(err, errNoKprobes) {
		return &NotFoundError{Spec: spec, Reason: err.Error(), Hint: "use a tracepoint, which bpfrepl -l 'tracepoint:*' lists, or a kernel that has them"}
	}
	return err
}

func resolveKprobe(s Spec) ([]Target, error) {
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
		t.data = offsetInFunction(n)
	}
	if err := findFunction(s, fn); err != nil {
		return nil, err
	}
	if at := t.offset(); at > 0 {
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
	return []Target{t}, nil
}

// resolveFunctions expands the pattern of a spec.
func resolveFunctions(s Spec, names func() ([]string, error)) ([]Target, error) {
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

func kprobeTargetEvent(t Target, ret bool) (*abi.Event, error) {
	if t.offset() > 0 {
		return &abi.Event{NoArgs: fmt.Sprintf("%s is inside the function: read its arguments at its entry, kprobe:%s", t.Name, t.Func)}, nil
	}
	return kprobeEvent(t.Func, ret)
}

// prepareKprobe selects a multi link if the program has many targets and the kernel may support it
// (5.18, with CONFIG_FPROBE).
func prepareKprobe(s *ProgramSpec) error {
	k, err := sys.Running()
	if err != nil {
		return err
	}
	if len(s.Targets) > 1 && k.AtLeast(5, 18) && !slices.ContainsFunc(s.Targets, func(t Target) bool { return t.offset() > 0 }) {
		s.attachType = ebpf.AttachTraceKprobeMulti
	}
	return nil
}

// attachKprobe attaches through a perf event of the kernel's kprobe PMU (4.17), which removes the
// probe when the event is closed.
func attachKprobe(t Target, ret bool, p *Program, o AttachOptions) (*Attachment, error) {
	ev, err := openKprobe(append([]byte(t.Func), 0), t.offset(), ret)
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return attachAddresses(t, ret, p, o)
	}
	if err != nil {
		return nil, kprobeError(t, err)
	}
	a := &Attachment{Target: t}
	if err := a.addKprobe(ev, p, o); err != nil {
		return nil, errors.Join(kprobeError(t, err), a.Close())
	}
	return a, nil
}

// openKprobe opens the event at a function or, if name is nil, at an address.
func openKprobe(name []byte, offset uint64, ret bool) (int, error) {
	typ, err := kprobePMU()
	if err != nil {
		return 0, err
	}
	attr := unix.PerfEventAttr{Type: typ, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Sample: 1, Wakeup: 1, Ext2: offset}
	if ret {
		attr.Config = 1 // /sys/bus/event_source/devices/kprobe/format/retprobe
	}
	if name != nil {
		attr.Ext1 = uint64(uintptr(unsafe.Pointer(&name[0])))
	}
	ev, err := unix.PerfEventOpen(&attr, -1, 0, -1, sys.PerfFlagCloseExec)
	runtime.KeepAlive(name)
	return ev, err
}

// attachAddresses attaches to all functions with the target's name. Since 6.6 the kernel accepts a
// name only if it is unique.
func attachAddresses(t Target, ret bool, p *Program, o AttachOptions) (*Attachment, error) {
	syms, err := kernelfunc.Named(map[string]bool{t.Func: true})
	if err != nil {
		return nil, err
	}
	a := &Attachment{Target: t}
	for _, s := range syms {
		if s.Addr == 0 {
			return nil, errors.Join(&AttachError{Target: t, TargetOnly: true, Reason: fmt.Sprintf("the kernel has %d functions of that name, and hides their addresses", len(syms)),
				Hint: "as root: sysctl kernel.kptr_restrict=1", Err: unix.EADDRNOTAVAIL}, a.Close())
		}
		ev, err := openKprobe(nil, s.Addr+t.offset(), ret)
		if err == nil {
			err = a.addKprobe(ev, p, o)
		}
		if err != nil {
			return nil, errors.Join(kprobeError(t, err), a.Close())
		}
	}
	return a, nil
}

// addKprobe attaches the program to an event and takes ownership of the event.
func (a *Attachment) addKprobe(ev int, p *Program, o AttachOptions) error {
	fds, err := attachToEvent(ev, p, o.Cookie)
	if err != nil {
		return err
	}
	if len(fds) == 2 { // the link keeps the event alive
		if err := sys.CloseFD(fds[1]); err != nil {
			return errors.Join(err, sys.CloseFD(fds[0]))
		}
		fds = fds[:1]
		before, link := a.misses, fds[0]
		a.misses = func() (uint64, error) {
			n, err := linkMissed(link, missedOfPerfEvent)
			if err == nil && before != nil {
				var m uint64
				m, err = before()
				n += m
			}
			return n, err
		}
	}
	a.fds = append(a.fds, fds...)
	return nil
}

// attachKprobes attaches to all functions with one link: by the addresses that ftrace lists for
// them, or else by name. A link accepts only functions that ftrace can trace. Other functions are
// left out if they come from a pattern; a function that was named explicitly causes an error that
// explains why it cannot be traced.
func attachKprobes(ts []Target, cookies []uint64, ret bool, p *Program) (*Attachment, error) {
	names := make([]string, len(ts))
	for i, t := range ts {
		names[i] = t.Func
	}
	addrs, of, err := kernelfunc.Addresses(names)
	if err != nil {
		return nil, err
	}
	var without []AttachFailure
	if addrs != nil {
		able := make([]bool, len(ts))
		for _, i := range of {
			able[i] = true
		}
		for i, t := range ts {
			if able[i] {
				continue
			}
			err := kprobeError(t, unix.EINVAL)
			if !t.FromPattern {
				return nil, err
			}
			without = append(without, AttachFailure{t, err})
		}
	}
	attr := sys.LinkCreateKprobes{Prog: uint32(p.raw.FD()), AttachType: uint32(ebpf.AttachTraceKprobeMulti)}
	if ret {
		attr.KprobeFlags = unix.BPF_F_KPROBE_MULTI_RETURN
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	if addrs != nil {
		attr.Count, attr.Addrs = uint32(len(addrs)), unsafe.Pointer(&addrs[0])
	} else {
		syms := make([]unsafe.Pointer, len(names))
		for i, n := range names {
			b := append([]byte(n), 0)
			pin.Pin(&b[0])
			syms[i] = unsafe.Pointer(&b[0])
		}
		attr.Count, attr.Syms = uint32(len(syms)), unsafe.Pointer(&syms[0])
		pin.Pin(&syms[0])
	}
	if len(cookies) > 0 {
		each := cookies
		if addrs != nil {
			each = make([]uint64, len(addrs))
			for i, n := range of {
				each[i] = cookies[n]
			}
		}
		attr.Cookies = unsafe.Pointer(&each[0])
		pin.Pin(&each[0])
	}
	fd, err := sys.BPF(sys.CmdLinkCreate, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(addrs)
	if err != nil {
		return nil, kprobeError(ts[0], err)
	}
	link := int(fd)
	return &Attachment{Target: ts[0], fds: []int{link}, without: without, misses: func() (uint64, error) { return linkMissed(link, missedOfKprobes) }}, nil
}

// kprobeError explains why the kernel did not attach a program to a function.
func kprobeError(t Target, err error) error {
	e := &AttachError{Target: t, Err: err}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		if lockdown() == "confidentiality" {
			e.Reason, e.Hint = "the kernel is locked down (lockdown=confidentiality), which forbids kprobes", "boot without that, or use a tracepoint"
			return e
		}
		return attachError(t, err)
	case errors.Is(err, unix.EILSEQ):
		e.TargetOnly = true
		e.Reason, e.Hint = fmt.Sprintf("the offset 0x%x is not at the start of an instruction", t.offset()), "kprobe:"+t.Func+" is the function's entry"
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		e.TargetOnly = true
		e.Reason = "the kernel no longer has this function, or it has no place for a probe"
	case errors.Is(err, unix.EINVAL):
		e.TargetOnly = true
		e.Reason, e.Hint = "the kernel does not allow kprobes there: the function is on its blacklist, or notrace", "use a function that calls it"
		switch {
		case kernelfunc.Blacklist()[t.Func]:
			e.Reason = "the kernel does not allow kprobes there: the function is on its blacklist (" + kernelfunc.BlacklistFile + ")"
		case kernelfunc.IsNotrace(t.Func):
			e.Reason = "the kernel does not allow this function to be traced: it is notrace (not in " + kernelfunc.FilterFile + ")"
		}
	default:
		return attachError(t, err)
	}
	return e
}

// missedReturns explains why a kretprobe missed returns.
func missedReturns(t Target) (event, reason string) {
	return "return", "more calls were in flight than the kretprobe has room for (maxactive), or another probe was running on that CPU; fexit:" + t.Func + " has no such limit"
}
