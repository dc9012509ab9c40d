package records

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/methods"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// A Stream carries records from handlers to the script through a ring buffer of its own. Records
// are read from the ring only on demand. If a script does not read, the ring fills up, and records
// that no longer fit are counted as lost. Memory use is therefore bounded.
type Stream struct {
	r    *Records
	decl *compiler.Stream
	size int
	each starlark.Callable // called for each record during run()

	served chan struct{} // signals that the loop of run() has taken records

	ring   *kmap.RingBuf
	rec    ringbuf.Record
	queue  rawQueue // read from the ring, not yet passed on
	handed bool     // the script has read a record
	read   uint64   // records read so far
}

var (
	_ starlark.HasAttrs = (*Stream)(nil)
	_ starlark.Iterable = (*Stream)(nil)
)

// Decl returns the compiler's form of the stream.
func (st *Stream) Decl() *compiler.Stream { return st.decl }

// Size returns the size of the ring buffer in bytes.
func (st *Stream) Size() int { return st.size }

func (st *Stream) Name() string          { return st.decl.Name }
func (st *Stream) String() string        { return fmt.Sprintf("<stream %s>", st.Name()) }
func (st *Stream) Type() string          { return "stream" }
func (st *Stream) Freeze()               {} // a handle: its contents live in the kernel
func (st *Stream) Truth() starlark.Bool  { return true }
func (st *Stream) Hash() (uint32, error) { return 0, errors.New("unhashable: stream") }

// NewStream returns a stream. size is the size of its ring buffer, as the script gives it.
func (r *Records) NewStream(decl *compiler.Stream, size starlark.Value) (*Stream, error) {
	n, err := byteSize(size)
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	return &Stream{r: r, decl: decl, size: n, served: make(chan struct{}, 1)}, nil
}

// Bounds of a ring buffer's size: one page, and the largest power of two that fits the map's 32-bit
// size.
const (
	minRing = 4 << 10
	maxRing = 1 << 30
)

// byteSize parses a number of bytes, or a string such as "64KiB" or "1MiB", and rounds it up to a
// power of two.
func byteSize(v starlark.Value) (int, error) {
	text := v.String()
	if s, ok := starlark.AsString(v); ok {
		text = s
	}
	digits, unit := text, 1
	for suffix, u := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if d, ok := strings.CutSuffix(text, suffix); ok {
			digits, unit = d, u
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || n > maxRing/unit {
		return 0, fmt.Errorf("size must be a number of bytes up to 1GiB, such as 65536 or \"1MiB\", got %s", v)
	}
	size := minRing
	for size < n*unit {
		size *= 2
	}
	return size, nil
}

// RingMap returns the ring buffer map, which the first call creates.
func (st *Stream) RingMap() (*kmap.Map, error) {
	if st.ring == nil {
		r, err := kmap.NewRingBuf(st.size)
		if err != nil {
			return nil, err
		}
		st.ring = r
	}
	return st.ring.Map(), nil
}

// Close implements io.Closer.
func (st *Stream) Close() error {
	if st.ring == nil {
		return nil
	}
	return st.ring.Close()
}

// decode converts a record to a struct.
func (st *Stream) decode(b []byte) (starlark.Value, error) {
	site, b, err := st.r.sites.of(b)
	var args []starlark.Value
	if err == nil {
		args, err = st.r.env.Codec.DecodeArgs(&site.PrintSite, b)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %q: %w", st.Name(), err)
	}
	return structs.Record(site.Names, args), nil
}

// emitted returns how many records handlers and the script have sent, including those
// that did not fit into the ring.
func (st *Stream) emitted() (uint64, error) {
	if err := st.drainRing(); err != nil {
		return 0, err
	}
	n, err := st.r.env.Lost(st.decl)
	return st.read + n, err
}

// Unread returns the number of records that were sent to a stream of which the script wanted none.
func (st *Stream) Unread() (uint64, error) {
	if st.handed || st.each != nil || st.ring == nil {
		return 0, nil
	}
	return st.emitted()
}

// StreamMethods are the methods of streams.
var StreamMethods = []methods.Row[*Stream]{
	methods.New("each", "each(fn)", "call a function for each record, during run() and while the prompt waits", "opens.each(lambda ev: print(ev.pid))", func(st *Stream, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var fn starlark.Callable
		if err := starlark.UnpackArgs("each", args, kw, "fn", &fn); err != nil {
			return nil, err
		}
		st.each = fn
		return starlark.None, nil
	}),
	methods.New("emit", "emit(**fields)", "put a record into the stream, as a handler does", "opens.emit(pid=1, comm=\"sh\")", func(st *Stream, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return starlark.None, st.emit(args, kw)
	}),
	methods.New("take", "take(n, timeout=None)", "a list of the next n records; fewer if the timeout, in seconds, expires", "for ev in opens.take(10, timeout=0.1): print(ev)", func(st *Stream, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var n int
		var timeout starlark.Value = starlark.None
		if err := starlark.UnpackArgs("take", args, kw, "n", &n, "timeout?", &timeout); err != nil {
			return nil, err
		}
		var deadline time.Time
		if timeout != starlark.None {
			d, err := runner.Seconds("take", timeout)
			if err != nil {
				return nil, err
			}
			deadline = time.Now().Add(d)
		}
		if st.r.env.Check {
			return nil, runner.ErrStop
		}
		if st.r.env.Passes() {
			return starlark.NewList(nil), nil
		}
		l, err := st.take(n, deadline)
		if err != nil {
			return nil, err
		}
		return l, nil
	}),
}

// Attr implements starlark.HasAttrs.
func (st *Stream) Attr(name string) (starlark.Value, error) {
	return methods.Attr(st, name, StreamMethods, func(name string) (starlark.Value, error) {
		switch name {
		case "name":
			return starlark.String(st.Name()), nil
		case "lost":
			n, err := st.r.env.Lost(st.decl)
			return starlark.MakeUint64(n), err
		case "emitted":
			n, err := st.emitted()
			st.handed = true // the script knows the count, so the records are not unread
			return starlark.MakeUint64(n), err
		}
		return nil, nil
	})
}

// AttrNames implements starlark.HasAttrs.
func (st *Stream) AttrNames() []string {
	return methods.Names(StreamMethods, "emitted", "lost", "name")
}
