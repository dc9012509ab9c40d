package kinds

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

var watchpointProvider = Provider{
	Kind: "watchpoint", Alias: "w", Syntax: "watchpoint:ADDRESS:LENGTH:MODE with MODE of r, w and x",
	Doc:     "Memory that is read, written or executed, in all processes or in that of -p or -c: the handler runs at each access.",
	Example: "watchpoint:0x7ffe00001000:8:w",
	minArgs: 3, maxArgs: 3,
	List:    func(string) ([]bpf.Target, error) { return nil, nil }, // any address is possible
	Resolve: resolveWatchpoint,
	Driver: bpf.Driver{
		PIDFilter:    filterPerf,
		Context:      abi.Context{Registers: true},
		ProgramTypes: only(ebpf.PerfEvent),
		Attach: func(t bpf.Target, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
			if err := Watchpoints(); err != nil {
				return nil, &bpf.AttachError{Target: t, Reason: err.Error(), Hint: "a uprobe or kprobe on the code that makes the access may be enough", Err: err}
			}
			a, err := bpf.AttachPerf(t, payload[unix.PerfEventAttr](t), false, p, o)
			var e *bpf.AttachError
			if errors.As(err, &e) {
				switch {
				case errors.Is(err, unix.ENOSPC):
					e.Reason, e.Hint = "all watchpoints of the processor are in use", "detach another, or end the debugger that holds them"
				case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
					e.Reason = "this processor does not support this watchpoint"
				}
			}
			return a, err
		},
	},
}

// modes holds HW_BREAKPOINT_R, _W and _X of linux/hw_breakpoint.h.
var modes = map[byte]uint32{'r': 1, 'w': 2, 'x': 4}

func resolveWatchpoint(s Spec) ([]bpf.Target, error) {
	bad := func(hint, format string, args ...any) ([]bpf.Target, error) {
		return nil, &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: ", s.Text) + fmt.Sprintf(format, args...), Hint: hint}
	}
	addr, err := strconv.ParseUint(s.Args[0], 0, 64)
	if err != nil {
		return bad("write it as 0x7ffe00001000", "%q is not an address", s.Args[0])
	}
	length, err := parseNumber(s, s.Args[1])
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]uint64{1, 2, 4, 8}, length) {
		return bad("", "the length must be 1, 2, 4 or 8 bytes, got %d", length)
	}
	if addr%length != 0 {
		return bad("", "%#x is not a multiple of the length %d", addr, length)
	}
	var mode uint32
	for _, c := range []byte(s.Args[2]) {
		m, ok := modes[c]
		if !ok || mode&m != 0 {
			return bad("w, rw or x", "%q is not a mode: use r, w and x, each at most once", s.Args[2])
		}
		mode |= m
	}
	switch {
	case mode&modes['x'] != 0 && mode != modes['x']:
		return bad("make two probes", "execution cannot be watched together with reading or writing")
	case mode == modes['x'] && length != 8 && runtime.GOARCH == "amd64":
		return bad("", "for execution the length must be 8")
	case mode == modes['r'] && runtime.GOARCH == "amd64":
		return bad("write rw", "this processor cannot watch reads alone")
	}
	t := newTarget("watchpoint", fmt.Sprintf("%#x", addr), s.Args[1], s.Args[2])
	t.Payload = unix.PerfEventAttr{Type: unix.PERF_TYPE_BREAKPOINT, Bp_type: mode, Ext1: addr, Ext2: length, Sample: 1}
	return []bpf.Target{t}, nil
}

// Watchpoints returns an error that explains why this host has no watchpoints, or nil if it has. It
// watches a write of its own, once, because some virtual machines accept watchpoints that never
// fire.
var Watchpoints = sync.OnceValue(func() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	page, err := unix.Mmap(-1, 0, unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fmt.Errorf("map a page: %w", err)
	}
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_BREAKPOINT, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Bp_type: modes['w'],
		Ext1: uint64(uintptr(unsafe.Pointer(&page[0]))), Ext2: 8}
	ev, err := unix.PerfEventOpen(&attr, 0, -1, -1, sys.PerfFlagCloseExec)
	if err != nil {
		err = errors.Join(err, unix.Munmap(page))
		if errors.Is(err, unix.ENOSPC) { // all in use, so they work
			return nil
		}
		return fmt.Errorf("this machine has no watchpoints: %w", err)
	}
	binary.NativeEndian.PutUint64(page, 1)
	var count [8]byte
	_, err = unix.Read(ev, count[:])
	err = errors.Join(err, sys.CloseFD(ev), unix.Munmap(page))
	if err == nil && binary.NativeEndian.Uint64(count[:]) == 0 {
		err = errors.New("this machine accepts watchpoints, but they never fire, as in some virtual machines")
	}
	return err
})
