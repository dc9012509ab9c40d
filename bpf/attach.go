package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// AttachOptions restrict an attachment.
type AttachOptions struct {
	// PID limits events to those of one process, if the kernel can filter them; 0: all processes.
	PID    int
	Cookie uint64 // value of bpf_get_attach_cookie in the program; 0: none
	// OnHotplug is called from another goroutine when a CPU comes online, for kinds that have one
	// event per CPU. It may be nil.
	OnHotplug func(HotplugEvent)

	oneCPU bool
}

// Attachment is a program attached to a target.
type Attachment struct {
	Target  Target
	fds     []int // links, or perf events with the program attached
	atClose func() error
	without []AttachFailure        // targets that the link does not cover
	misses  func() (uint64, error) // reads the link's count of missed events; nil if it has none

	mu     sync.Mutex
	closed bool
	missed uint64 // value read before closing
	err    error
}

// ErrNoRawTracepoint is returned if the kernel has no raw tracepoint with the target's name.
var ErrNoRawTracepoint = errors.New("no raw tracepoint of that name")

// AttachError reports why the kernel did not attach a program.
type AttachError struct {
	Target     Target
	Reason     string
	Hint       string
	TargetOnly bool // the reason concerns this target only; others of its kind can be attached to
	Err        error
}

func (e *AttachError) Error() string {
	s := fmt.Sprintf("attach to %s: %s", e.Target.Name, e.Reason)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func (e *AttachError) Unwrap() error { return e.Err }

// Attach attaches a program to a target. The error is an *AttachError. It wraps ErrNoRawTracepoint
// if a program of another type may work (Target.ProgramTypes).
func Attach(t Target, p *Program, opts AttachOptions) (*Attachment, error) {
	pr := findProvider(t.Kind)
	if pr == nil {
		return nil, &AttachError{Target: t, Reason: "no such kind of probe"}
	}
	a, err := pr.attach(t, p, opts)
	if err != nil {
		var ae *AttachError
		if errors.As(err, &ae) {
			return nil, err
		}
		return nil, attachError(t, err)
	}
	return a, nil
}

func attachError(t Target, err error) *AttachError {
	e := &AttachError{Target: t, Reason: err.Error(), Err: err}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		e.Reason, e.Hint = "the kernel does not permit it", "it needs root, or CAP_BPF and CAP_PERFMON"
		if admin, err := sys.CheckPrivilege(); err == nil && !admin && perfParanoid() > 2 {
			e.Hint = "with the sysctl kernel.perf_event_paranoid above 2, which Debian's kernels have, it needs CAP_SYS_ADMIN; as root: sysctl kernel.perf_event_paranoid=2"
		}
	case errors.Is(err, unix.EEXIST):
		e.Reason = "another tracer holds this attach point exclusively"
	case errors.Is(err, unix.E2BIG):
		e.Reason = "64 programs are attached there already, which is the kernel's limit"
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV):
		e.Reason = "this machine does not have that event"
	case errors.Is(err, unix.ESRCH):
		e.Reason = "the target process has exited"
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		e.Reason, e.Hint = "no file descriptors are left", "raise the limit (ulimit -n), or match fewer events"
	}
	return e
}

// perfParanoid returns the sysctl that controls who may use perf events, or 0 if it cannot be read.
func perfParanoid() int {
	text, err := os.ReadFile("/proc/sys/kernel/perf_event_paranoid")
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return n
}

// Close detaches the program. A second call returns the result of the first. The kernel takes 50 to
// 100 ms for a tracepoint, so close many attachments concurrently.
func (a *Attachment) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return a.err
	}
	a.closed = true
	var err error
	if a.misses != nil {
		a.missed, err = a.misses()
	}
	errs := []error{err}
	for _, fd := range a.fds {
		errs = append(errs, sys.CloseFD(fd))
	}
	if a.atClose != nil {
		errs = append(errs, a.atClose())
	}
	a.err = errors.Join(errs...)
	return a.err
}

// Missed returns the number of events that never reached the program, as counted by the link: the
// kernel skips a probe that is hit while another one is being handled on the same CPU. Kernels
// before 6.7 do not report this.
func (a *Attachment) Missed() (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.misses == nil {
		return a.missed, nil
	}
	return a.misses()
}

func openRawTracepoint(name string, p *Program, cookie uint64) (int, error) {
	b := append([]byte(name), 0)
	attr := sys.RawTracepointAttr{Name: unsafe.Pointer(&b[0]), FD: uint32(p.raw.FD()), Cookie: cookie}
	if p.Type() == ebpf.Tracing {
		attr.Name = nil // the program already names its event
	}
	size := unsafe.Sizeof(attr)
	if cookie == 0 {
		size = unsafe.Offsetof(attr.Cookie) // older kernels reject fields that they do not know
	}
	fd, err := sys.BPF(sys.CmdRawTracepoint, unsafe.Pointer(&attr), size)
	runtime.KeepAlive(b)
	return int(fd), err
}

func attachRawTracepoint(t Target, name string, p *Program, o AttachOptions) (*Attachment, error) {
	fd, err := openRawTracepoint(name, p, o.Cookie)
	if errors.Is(err, unix.ENOENT) {
		return nil, &AttachError{Target: t, Reason: ErrNoRawTracepoint.Error(), Err: errors.Join(ErrNoRawTracepoint, err)}
	}
	if err != nil {
		return nil, err
	}
	return &Attachment{Target: t, fds: []int{fd}}, nil
}

// attachTracepoint opens the perf event of a tracepoint. The program then sees the event on all
// CPUs, whatever CPU the perf event is for, because it is attached to the event, not to the counter
// (kernel/trace/bpf_trace.c).
func attachTracepoint(t Target, p *Program, o AttachOptions) (*Attachment, error) {
	id, err := tracepointID(t)
	if err != nil {
		return nil, err
	}
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Config: id, Sample: 1, Wakeup: 1}
	ev, err := unix.PerfEventOpen(&attr, -1, 0, -1, sys.PerfFlagCloseExec)
	if err != nil {
		return nil, err
	}
	fds, err := attachToEvent(ev, p, o.Cookie)
	if err != nil {
		return nil, err
	}
	return &Attachment{Target: t, fds: fds}, nil
}

// attachToEvent attaches the program to a perf event, with a link if the kernel supports that
// (5.15). It takes ownership of the event.
func attachToEvent(ev int, p *Program, cookie uint64) ([]int, error) {
	k, err := sys.Running()
	if err != nil {
		return nil, errors.Join(err, sys.CloseFD(ev))
	}
	if k.HavePerfLink() {
		attr := sys.LinkCreateAttr{Prog: uint32(p.raw.FD()), Target: uint32(ev), AttachType: sys.AttachPerfEvent, Cookie: cookie}
		fd, err := sys.BPF(sys.CmdLinkCreate, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
		if err != nil {
			return nil, errors.Join(err, sys.CloseFD(ev))
		}
		return []int{int(fd), ev}, enable(ev, int(fd))
	}
	if err := unix.IoctlSetInt(ev, unix.PERF_EVENT_IOC_SET_BPF, p.raw.FD()); err != nil {
		return nil, errors.Join(err, sys.CloseFD(ev))
	}
	return []int{ev}, enable(ev, -1)
}

func enable(ev, link int) error {
	err := unix.IoctlSetInt(ev, unix.PERF_EVENT_IOC_ENABLE, 0)
	if err == nil {
		return nil
	}
	if link >= 0 {
		err = errors.Join(err, sys.CloseFD(link))
	}
	return errors.Join(err, sys.CloseFD(ev))
}

// Offsets of the missed event counts in struct bpf_link_info (include/uapi/linux/bpf.h, 6.7), by
// type of link.
const (
	missedOfPerfEvent = 48 // perf_event.kprobe.missed
	missedOfKprobes   = 32 // kprobe_multi.missed
)

// MissedReason names what the link of a target misses and explains why.
func (t Target) MissedReason() (event, reason string) {
	if p := t.Provider(); p != nil && p.missed != nil {
		return p.missed(t)
	}
	return "call", "another probe was running on that CPU"
}

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
