package bpf

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"unsafe"

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
}

// Attachment is a program attached to a target.
type Attachment struct {
	Target      Target
	FDs         []int                  // links, or perf events with the program attached
	AtClose     func() error           // called by Close, after FDs are closed; may be nil
	Without     []AttachFailure        // targets that the link does not cover
	CountMissed func() (uint64, error) // reads the link's count of missed events; nil if it has none

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
	if t.Driver == nil {
		return nil, &AttachError{Target: t, Reason: "no such kind of probe"}
	}
	a, err := t.Driver.Attach(t, p, opts)
	if err != nil {
		var ae *AttachError
		if errors.As(err, &ae) {
			return nil, err
		}
		return nil, NewAttachError(t, err)
	}
	return a, nil
}

// NewAttachError returns the error for a target to which the kernel did not attach a program. It
// explains the reasons that any kind of probe can have.
func NewAttachError(t Target, err error) *AttachError {
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
	if a.CountMissed != nil {
		a.missed, err = a.CountMissed()
	}
	errs := []error{err}
	for _, fd := range a.FDs {
		errs = append(errs, sys.CloseFD(fd))
	}
	if a.AtClose != nil {
		errs = append(errs, a.AtClose())
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
	if a.closed || a.CountMissed == nil {
		return a.missed, nil
	}
	return a.CountMissed()
}

// AttachToEvent attaches the program to a perf event, with a link if the kernel supports that
// (5.15). It takes ownership of the event.
func AttachToEvent(ev int, p *Program, cookie uint64) ([]int, error) {
	k, err := sys.Running()
	if err != nil {
		return nil, errors.Join(err, sys.CloseFD(ev))
	}
	if k.HavePerfLink() {
		attr := sys.LinkCreateAttr{Prog: uint32(p.Raw().FD()), Target: uint32(ev), AttachType: sys.AttachPerfEvent, Cookie: cookie}
		fd, err := sys.BPF(sys.CmdLinkCreate, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
		if err != nil {
			return nil, errors.Join(err, sys.CloseFD(ev))
		}
		return []int{int(fd), ev}, enable(ev, int(fd))
	}
	if err := unix.IoctlSetInt(ev, unix.PERF_EVENT_IOC_SET_BPF, p.Raw().FD()); err != nil {
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

// An AttachFailure is a target to which the kernel did not attach the program.
type AttachFailure struct {
	Target Target
	Err    error // as returned by Attach
}
