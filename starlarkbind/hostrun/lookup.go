package hostrun

import (
	"errors"
	"fmt"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/symbol"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
)

// Lookups implements compiler.Host: it looks up symbols, cgroups and the clock of the host, when a
// handler is compiled and when the script calls one.
type Lookups struct {
	// TargetPID returns the process that probes are limited to, or 0.
	TargetPID func() int

	wall int64 // see WallClock; 0: not measured yet
}

var _ compiler.Host = (*Lookups)(nil)

// KernelAddr implements compiler.Host.
func (l *Lookups) KernelAddr(name string) (uint64, error) {
	n, err := symbol.KernelAddr(name)
	return n, noSymbol(err)
}

// UserAddr implements compiler.Host.
func (l *Lookups) UserAddr(name, path string) (uint64, error) {
	pid := l.TargetPID()
	if pid == 0 && path == "" {
		return 0, &compiler.HostError{Msg: "uaddr: of which program?", Hint: fmt.Sprintf("write uaddr(%q, \"/path/of/the/program\"), or name the process with -p or -c", name)}
	}
	n, err := symbol.UserAddr(name, path, pid)
	var pie *symbol.PositionIndependentError
	if errors.As(err, &pie) {
		return 0, &compiler.HostError{Msg: pie.Error(), Hint: "name the process with -p or -c, or link it with -no-pie"}
	}
	return n, noSymbol(err)
}

// noSymbol converts a symbol.NoSymbolError to a compiler.HostError with a suggestion as its hint.
// Other errors are returned unchanged.
func noSymbol(err error) error {
	var ns *symbol.NoSymbolError
	if errors.As(err, &ns) {
		he := &compiler.HostError{Msg: ns.Error()}
		if len(ns.Suggestions) > 0 {
			he.Hint = fmt.Sprintf("did you mean %q?", ns.Suggestions[0])
		}
		return he
	}
	return err
}

// CgroupID implements compiler.Host.
func (l *Lookups) CgroupID(path string) (uint64, error) { return symbol.CgroupID(path) }

// WallClock implements compiler.Host. The offset is measured once per session, so that equal times
// have equal text.
func (l *Lookups) WallClock() int64 {
	if l.wall == 0 {
		l.wall = wallOffset()
	}
	return l.wall
}

// wallOffset returns by how many nanoseconds the wall clock is ahead of the monotonic clock. It
// measures five times and uses the measurement with the least time between two readings.
func wallOffset() int64 {
	best, offset := int64(1<<62), int64(0)
	for range 5 {
		before, wall, after := sys.Monotonic(), time.Now().UnixNano(), sys.Monotonic()
		if after-before < best {
			best, offset = after-before, wall-(before+after)/2
		}
	}
	return offset
}
