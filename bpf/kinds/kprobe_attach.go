package kinds

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kernelfunc"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// prepareKprobe selects a multi link if the program has many targets and the kernel may support it
// (5.18, with CONFIG_FPROBE).
func prepareKprobe(s *bpf.ProgramSpec) error {
	k, err := sys.Running()
	if err != nil {
		return err
	}
	if len(s.Targets) > 1 && k.AtLeast(5, 18) && !slices.ContainsFunc(s.Targets, func(t bpf.Target) bool { return offsetOf(t) > 0 }) {
		s.AttachType, s.Multi = ebpf.AttachTraceKprobeMulti, true
	}
	return nil
}

// attachKprobe attaches through a perf event of the kernel's kprobe PMU (4.17), which removes the
// probe when the event is closed.
func attachKprobe(t bpf.Target, ret bool, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
	ev, err := openKprobe(append([]byte(t.Func), 0), offsetOf(t), ret)
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return attachAddresses(t, ret, p, o)
	}
	if err != nil {
		return nil, kprobeError(t, err)
	}
	a := &bpf.Attachment{Target: t}
	if err := addKprobe(a, ev, p, o); err != nil {
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
func attachAddresses(t bpf.Target, ret bool, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
	syms, err := kernelfunc.Named(map[string]bool{t.Func: true})
	if err != nil {
		return nil, err
	}
	a := &bpf.Attachment{Target: t}
	for _, s := range syms {
		if s.Addr == 0 {
			return nil, errors.Join(&bpf.AttachError{Target: t, TargetOnly: true, Reason: fmt.Sprintf("the kernel has %d functions of that name, and hides their addresses", len(syms)),
				Hint: "as root: sysctl kernel.kptr_restrict=1", Err: unix.EADDRNOTAVAIL}, a.Close())
		}
		ev, err := openKprobe(nil, s.Addr+offsetOf(t), ret)
		if err == nil {
			err = addKprobe(a, ev, p, o)
		}
		if err != nil {
			return nil, errors.Join(kprobeError(t, err), a.Close())
		}
	}
	return a, nil
}

// addKprobe attaches the program to an event and takes ownership of the event.
func addKprobe(a *bpf.Attachment, ev int, p *bpf.Program, o bpf.AttachOptions) error {
	fds, err := bpf.AttachToEvent(ev, p, o.Cookie)
	if err != nil {
		return err
	}
	if len(fds) == 2 { // the link keeps the event alive
		if err := sys.CloseFD(fds[1]); err != nil {
			return errors.Join(err, sys.CloseFD(fds[0]))
		}
		fds = fds[:1]
		before, link := a.CountMissed, fds[0]
		a.CountMissed = func() (uint64, error) {
			n, err := linkMissed(link, missedOfPerfEvent)
			if err == nil && before != nil {
				var m uint64
				m, err = before()
				n += m
			}
			return n, err
		}
	}
	a.FDs = append(a.FDs, fds...)
	return nil
}

// attachKprobes attaches to all functions with one link: by the addresses that ftrace lists for
// them, or else by name. A link accepts only functions that ftrace can trace. Other functions are
// left out if they come from a pattern; a function that was named explicitly causes an error that
// explains why it cannot be traced.
func attachKprobes(ts []bpf.Target, cookies []uint64, ret bool, p *bpf.Program) (*bpf.Attachment, error) {
	names := make([]string, len(ts))
	for i, t := range ts {
		names[i] = t.Func
	}
	addrs, of, err := kernelfunc.Addresses(names)
	if err != nil {
		return nil, err
	}
	var without []bpf.AttachFailure
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
			without = append(without, bpf.AttachFailure{Target: t, Err: err})
		}
	}
	attr := sys.LinkCreateKprobes{Prog: uint32(p.Raw().FD()), AttachType: uint32(ebpf.AttachTraceKprobeMulti)}
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
	return &bpf.Attachment{Target: ts[0], FDs: []int{link}, Without: without, CountMissed: func() (uint64, error) { return linkMissed(link, missedOfKprobes) }}, nil
}

// kprobeError explains why the kernel did not attach a program to a function.
func kprobeError(t bpf.Target, err error) error {
	e := &bpf.AttachError{Target: t, Err: err}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		if lockdown() == "confidentiality" {
			e.Reason, e.Hint = "the kernel is locked down (lockdown=confidentiality), which forbids kprobes", "boot without that, or use a tracepoint"
			return e
		}
		return bpf.NewAttachError(t, err)
	case errors.Is(err, unix.EILSEQ):
		e.TargetOnly = true
		e.Reason, e.Hint = fmt.Sprintf("the offset 0x%x is not at the start of an instruction", offsetOf(t)), "kprobe:"+t.Func+" is the function's entry"
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
		return bpf.NewAttachError(t, err)
	}
	return e
}

// missedReturns explains why a kretprobe missed returns.
func missedReturns(t bpf.Target) (event, reason string) {
	return "return", "more calls were in flight than the kretprobe has room for (maxactive), or another probe was running on that CPU; fexit:" + t.Func + " has no such limit"
}

// Offsets of the missed event counts in struct bpf_link_info (include/uapi/linux/bpf.h, 6.7), by
// type of link.
const (
	missedOfPerfEvent = 48 // perf_event.kprobe.missed
	missedOfKprobes   = 32 // kprobe_multi.missed
)

// linkMissed returns a link's count of missed events. It is 0 on kernels before 6.7, which do not
// report it.
func linkMissed(link, offset int) (uint64, error) {
	var info [64]byte
	attr := sys.InfoAttr{FD: uint32(link), Len: uint32(len(info)), Info: unsafe.Pointer(&info[0])}
	_, err := sys.BPF(sys.CmdObjInfoByFD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(&info)
	if err != nil {
		return 0, fmt.Errorf("read the link's count of missed events: %w", err)
	}
	return binary.NativeEndian.Uint64(info[offset:]), nil
}

// lockdown returns the kernel's lockdown mode: "none", "integrity" or "confidentiality", or "" if
// it cannot be read.
func lockdown() string {
	text, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err != nil {
		return ""
	}
	_, mode, _ := strings.Cut(string(text), "[")
	mode, _, _ = strings.Cut(mode, "]")
	return mode
}

// kprobePMU returns the perf event type of kprobes. It is read once, because it cannot change while
// the kernel runs.
var kprobePMU = sync.OnceValues(func() (uint32, error) {
	text, err := os.ReadFile("/sys/bus/event_source/devices/kprobe/type")
	if errors.Is(err, os.ErrNotExist) {
		return 0, errNoKprobes
	}
	if err != nil {
		return 0, fmt.Errorf("read the type of kprobes: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	return uint32(n), err
})

// HasKprobes reports whether the kernel is built with kprobes.
func HasKprobes() bool {
	_, err := kprobePMU()
	return err == nil
}

var errNoKprobes = errors.New("this kernel has no kprobes: it is built without CONFIG_KPROBE_EVENTS")

// offsetInFunction is the payload of a target inside a function, in bytes from its start.
type offsetInFunction uint64

// offsetOf returns the number of bytes between the start of the function and the probe.
func offsetOf(t bpf.Target) uint64 { return uint64(payload[offsetInFunction](t)) }
