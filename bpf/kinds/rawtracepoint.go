package kinds

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

var rawTracepointProvider = Provider{
	Kind: "rawtracepoint", Alias: "rt", Syntax: "rawtracepoint:EVENT",
	Doc:     "A static kernel event with its arguments as the kernel passes them, typed by BTF: cheaper than tracepoint.",
	Example: "rawtracepoint:sched_switch",
	minArgs: 1, maxArgs: 1,
	List:    listRawTracepoints,
	Resolve: resolveRawTracepoint,
	Driver: bpf.Driver{
		Context: abi.Context{OwnFrame: true}, TracepointTypes: true,
		Event: func(bpf.Target) (*abi.Event, error) {
			e := &abi.Event{RawArgs: true}
			for i := range sys.MaxTestRunContext / 8 {
				e.Fields = append(e.Fields, abi.Field{Name: fmt.Sprintf("arg%d", i), CType: "u64", Offset: 8 * i, Size: 8, Kind: abi.FieldInt})
			}
			return e, nil
		},
		ProgramTypes: only(ebpf.RawTracepoint),
		Prepare:      prepareTracepoint,
		Attach: func(t bpf.Target, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
			return attachRawTracepoint(t, t.Parts[0], p, o)
		},
	},
}

// rawNames returns the names of the raw tracepoints that have an event in tracefs, which is nearly
// all of them, sorted. The kernel does not list raw tracepoints; those declared without an event
// can be attached to by name.
func rawNames() ([]string, error) {
	ts, err := listTracepoints("tracepoint:*:*")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range ts {
		if hasRaw(t.Parts[0]) {
			names = append(names, t.Parts[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func listRawTracepoints(pattern string) ([]bpf.Target, error) {
	names, err := rawNames()
	if err != nil {
		return nil, err
	}
	var out []bpf.Target
	for _, n := range names {
		out = append(out, filterTargets(pattern, newTarget("rawtracepoint", n))...)
	}
	return out, nil
}

func resolveRawTracepoint(s Spec) ([]bpf.Target, error) {
	name := s.Args[0]
	if isPattern(name) {
		ts, err := listRawTracepoints("rawtracepoint:" + name)
		if err == nil && len(ts) == 0 {
			err = &NotFoundError{Spec: s.Text, Reason: "no event matches"}
		}
		return ts, err
	}
	if validName(name) {
		dir, err := sys.EventsDir()
		var secret *sys.PrivilegeError
		if errors.As(err, &secret) { // the kernel can be asked without the list
			if ok, kerr := rawTracepointExists(name); kerr != nil || ok {
				return []bpf.Target{newTarget("rawtracepoint", name)}, kerr
			}
		}
		if err != nil {
			return nil, err
		}
		found, err := filepath.Glob(filepath.Join(dir, "*", name, "id"))
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", s.Text, err)
		}
		for _, f := range found {
			if hasRaw(filepath.Base(filepath.Dir(filepath.Dir(f)))) {
				return []bpf.Target{newTarget("rawtracepoint", name)}, nil
			}
		}
		// It may be one of the few without an event; the kernel knows.
		if ok, err := rawTracepointExists(name); err != nil || ok {
			return []bpf.Target{newTarget("rawtracepoint", name)}, err
		}
	}
	names, err := rawNames()
	if err != nil {
		return nil, err
	}
	e := &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("the kernel has no tracepoint %q", name)}
	for _, n := range suggest.Nearest(name, names, 3) {
		e.Suggestions = append(e.Suggestions, "rawtracepoint:"+n)
	}
	if near := syscallEvent(name); near != "" {
		e.Suggestions = []string{near}
	}
	return nil, e
}

// syscallEvent returns the tracepoint for sys_enter_read and the like, which have no raw
// tracepoint.
func syscallEvent(name string) string {
	t := newTarget(tracepointProvider.Kind, "syscalls", name)
	if _, err := tracepointFile(t, "id"); err != nil {
		return ""
	}
	return t.Name
}

// rawTracepointExists asks the kernel by attaching a program that does nothing.
func rawTracepointExists(name string) (bool, error) {
	p, err := bpf.NewProgram(bpf.ProgramSpec{Name: "exists", Type: ebpf.RawTracepoint,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		return false, err
	}
	fd, err := openRawTracepoint(name, p, 0)
	if err == nil {
		err = sys.CloseFD(fd)
	}
	err = errors.Join(err, p.Close())
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

// prepareTracepoint ties a program of type Tracing to its event (BPF_TRACE_RAW_TP, 5.5). The
// verifier then takes the argument types from the typedef that the kernel defines for each event
// (include/trace/bpf_probe.h).
func prepareTracepoint(s *bpf.ProgramSpec) error {
	if s.Type != ebpf.Tracing {
		return nil
	}
	event := s.Targets[0].Parts[0]
	types, err := kbtf.Kernel()
	if err != nil {
		return err
	}
	id, ok := types.TypedefID("btf_trace_" + event)
	if !ok {
		return fmt.Errorf("this kernel does not describe the event %s", event)
	}
	s.AttachType, s.AttachTo, s.AttachBTF = ebpf.AttachTraceRawTp, event, id
	return nil
}

func openRawTracepoint(name string, p *bpf.Program, cookie uint64) (int, error) {
	b := append([]byte(name), 0)
	attr := sys.RawTracepointAttr{Name: unsafe.Pointer(&b[0]), FD: uint32(p.Raw().FD()), Cookie: cookie}
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

func attachRawTracepoint(t bpf.Target, name string, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
	fd, err := openRawTracepoint(name, p, o.Cookie)
	if errors.Is(err, unix.ENOENT) {
		return nil, &bpf.AttachError{Target: t, Reason: bpf.ErrNoRawTracepoint.Error(), Err: errors.Join(bpf.ErrNoRawTracepoint, err)}
	}
	if err != nil {
		return nil, err
	}
	return &bpf.Attachment{Target: t, FDs: []int{fd}}, nil
}
