package starlarkbind

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/symbol"
	"github.com/bpfrepl/bpfrepl/compiler"
)

// host implements compiler.Host: it looks up the host's symbols, cgroups and clock for the
// compiler.
type host struct{ s *Session }

// KernelAddr implements compiler.Host.
func (h host) KernelAddr(name string) (uint64, error) {
	n, err := symbol.KernelAddr(name)
	return n, noSymbol(err)
}

// UserAddr implements compiler.Host.
func (h host) UserAddr(name, path string) (uint64, error) {
	pid := h.s.targetPID()
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
func (h host) CgroupID(path string) (uint64, error) { return symbol.CgroupID(path) }

// WallClock implements compiler.Host. The offset is measured once per session, so that equal times
// have equal text.
func (h host) WallClock() int64 {
	if h.s.wall == 0 {
		h.s.wall = wallOffset()
	}
	return h.s.wall
}

// wallOffset returns by how many nanoseconds the wall clock is ahead of the monotonic clock. It
// measures five times and uses the measurement with the least time between two readings.
func wallOffset() int64 {
	best, offset := int64(1<<62), int64(0)
	for range 5 {
		before, wall, after := monotonic(), time.Now().UnixNano(), monotonic()
		if after-before < best {
			best, offset = after-before, wall-(before+after)/2
		}
	}
	return offset
}

func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // cannot happen: every kernel has this clock
	}
	return ts.Nano()
}
