package kinds

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/bpf/tracefmt"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

var tracepointProvider = Provider{
	Kind: "tracepoint", Alias: "t", Syntax: "tracepoint:SUBSYSTEM:EVENT",
	Doc:     "A static kernel event with typed arguments.",
	Example: "tracepoint:sched:sched_switch",
	minArgs: 2, maxArgs: 2,
	List:    listTracepoints,
	Resolve: resolveTracepoint,
	Driver: bpf.Driver{
		Event: tracepointEvent,
		ProgramTypes: func(t bpf.Target, readsContext bool) []ebpf.ProgramType {
			if payload[sharedEvent](t) != "" {
				return []ebpf.ProgramType{ebpf.RawTracepoint}
			}
			if readsContext || !hasRaw(t.Parts[0]) {
				return []ebpf.ProgramType{ebpf.TracePoint}
			}
			return []ebpf.ProgramType{ebpf.RawTracepoint, ebpf.TracePoint}
		},
		Attach: func(t bpf.Target, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
			if p.Type() == ebpf.RawTracepoint {
				return attachRawTracepoint(t, t.Parts[1], p, o)
			}
			return attachTracepoint(t, p, o)
		},
		Prepare:     prepareShared,
		AttachMulti: attachSyscalls,
	},
}

// hasRaw reports whether the events of a subsystem can be raw tracepoints. Those of syscalls are
// derived from other events and have no tracepoints of their own.
func hasRaw(subsystem string) bool { return subsystem != "syscalls" && subsystem != ftraceRecords }

// ftraceRecords is the subsystem whose events are records of the kernel's own tracers: they have
// formats, but no tracepoints.
const ftraceRecords = "ftrace"

// subsystems returns the names of all subsystems that have tracepoints, sorted.
func subsystems(dir string) ([]string, error) {
	names, err := subdirs(dir)
	return slices.DeleteFunc(names, func(name string) bool { return name == ftraceRecords }), err
}

// subdirs returns the names of the directories in dir, sorted.
func subdirs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, sys.ReadError(dir, err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

func listTracepoints(pattern string) ([]bpf.Target, error) {
	dir, err := sys.EventsDir()
	if err != nil {
		return nil, err
	}
	subs, err := subsystems(dir)
	if err != nil {
		return nil, err
	}
	// A pattern that names its subsystem avoids reading all the others.
	if p := strings.SplitN(pattern, ":", 3); len(p) == 3 && !isPattern(p[1]) {
		if p[1] == ftraceRecords || !exists(filepath.Join(dir, p[1])) {
			return nil, nil
		}
		subs = []string{p[1]}
	}
	var out []bpf.Target
	for _, s := range subs {
		events, err := subdirs(filepath.Join(dir, s))
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			out = append(out, filterTargets(pattern, newTarget("tracepoint", s, e))...)
		}
	}
	return out, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// validName reports whether a name can be that of an event. It excludes paths.
func validName(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0 && s != "." && s != ".."
}

func resolveTracepoint(s Spec) ([]bpf.Target, error) {
	dir, err := sys.EventsDir()
	if err != nil {
		return nil, err
	}
	sub, event := s.Args[0], s.Args[1]
	if sub == ftraceRecords {
		return nil, &NotFoundError{Spec: s.Text, Reason: "ftrace events are records of the kernel's own tracers; no program can be attached to them"}
	}
	if !isPattern(sub) && !isPattern(event) && validName(sub) && validName(event) && exists(filepath.Join(dir, sub, event, "format")) {
		return []bpf.Target{newTarget("tracepoint", sub, event)}, nil
	}
	if !isPattern(sub) && !(validName(sub) && exists(filepath.Join(dir, sub))) {
		return nil, missingSubsystem(dir, s)
	}
	ts, err := listTracepoints("tracepoint:" + sub + ":" + event)
	if err != nil || len(ts) > 0 {
		return ts, err
	}
	if isPattern(sub) {
		return nil, &NotFoundError{Spec: s.Text, Reason: "no event matches"}
	}
	events, err := subdirs(filepath.Join(dir, sub))
	if err != nil {
		return nil, err
	}
	e := &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("no event of the subsystem %q matches", sub)}
	if !isPattern(event) {
		e.Reason = fmt.Sprintf("the subsystem %q has no event %q", sub, event)
		for _, n := range suggest.Nearest(event, events, 3) {
			e.Suggestions = append(e.Suggestions, "tracepoint:"+sub+":"+n)
		}
	}
	return nil, e
}

// missingSubsystem returns the error for a spec whose subsystem does not exist. It suggests the
// same event in subsystems with similar names, then in any other subsystem.
func missingSubsystem(dir string, s Spec) error {
	subs, err := subsystems(dir)
	if err != nil {
		return err
	}
	e := &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("no subsystem %q", s.Args[0])}
	for _, n := range suggest.Nearest(s.Args[0], subs, 3) {
		if isPattern(s.Args[1]) || exists(filepath.Join(dir, n, s.Args[1])) {
			e.Suggestions = append(e.Suggestions, "tracepoint:"+n+":"+s.Args[1])
		}
	}
	if e.Suggestions == nil && !isPattern(s.Args[1]) && validName(s.Args[1]) {
		for _, n := range subs {
			if len(e.Suggestions) < 3 && exists(filepath.Join(dir, n, s.Args[1])) {
				e.Suggestions = append(e.Suggestions, "tracepoint:"+n+":"+s.Args[1])
			}
		}
	}
	if e.Suggestions == nil {
		for _, n := range suggest.Nearest(s.Args[0], subs, 3) {
			e.Suggestions = append(e.Suggestions, "tracepoint:"+n+":*")
		}
	}
	return e
}

// tracepointFile returns the contents of one of the event's files: "format" or "id".
func tracepointFile(t bpf.Target, name string) (string, error) {
	dir, err := sys.EventsDir()
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, t.Parts[0], t.Parts[1], name)
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return "", &NotFoundError{Spec: t.Name, Reason: "it no longer exists (was its module unloaded?)"}
	}
	if err != nil {
		return "", sys.ReadError(file, err)
	}
	return string(text), nil
}

func tracepointEvent(t bpf.Target) (*abi.Event, error) {
	text, err := tracepointFile(t, "format")
	if err != nil {
		return nil, err
	}
	e, err := tracefmt.Parse(text, t.Parts[0] == "syscalls")
	if err != nil {
		return nil, fmt.Errorf("format of %s: %w", t.Name, err)
	}
	if shared := payload[sharedEvent](t); shared != "" {
		return shared.schema(e)
	}
	return e, nil
}

func tracepointID(t bpf.Target) (uint64, error) {
	text, err := tracepointFile(t, "id")
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("id of %s: %w", t.Name, err)
	}
	return id, nil
}

// attachTracepoint opens the perf event of a tracepoint. The program then sees the event on all
// CPUs, whatever CPU the perf event is for, because it is attached to the event, not to the counter
// (kernel/trace/bpf_trace.c).
func attachTracepoint(t bpf.Target, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
	id, err := tracepointID(t)
	if err != nil {
		return nil, err
	}
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Config: id, Sample: 1, Wakeup: 1}
	ev, err := unix.PerfEventOpen(&attr, -1, 0, -1, sys.PerfFlagCloseExec)
	if err != nil {
		return nil, err
	}
	fds, err := bpf.AttachToEvent(ev, p, o.Cookie)
	if err != nil {
		return nil, err
	}
	return &bpf.Attachment{Target: t, FDs: fds}, nil
}
