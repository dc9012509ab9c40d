package starlarkbind

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/compiler"
)

// A Stream carries records from handlers to the script, through a ring buffer of its own. Whoever wants a record reads the
// ring: nothing is taken out of it before, so that a script that does not read fills the ring, and what no longer fits is
// counted as lost, in memory that has a bound.
type Stream struct {
	s    *Session
	comp *compiler.Stream
	size int
	each starlark.Callable // called for each record during run()

	mu    sync.Mutex // one goroutine reads at a time
	ring  *bpf.Ring
	rec   ringbuf.Record
	queue []starlark.Value // read, and not handed on
	read  uint64           // records so far
}

var (
	_ starlark.HasAttrs = (*Stream)(nil)
	_ starlark.Iterable = (*Stream)(nil)
)

func (st *Stream) Name() string          { return st.comp.Name }
func (st *Stream) String() string        { return fmt.Sprintf("<stream %s>", st.Name()) }
func (st *Stream) Type() string          { return "stream" }
func (st *Stream) Freeze()               {} // a handle: what it names lives in the kernel
func (st *Stream) Truth() starlark.Bool  { return true }
func (st *Stream) Hash() (uint32, error) { return 0, errors.New("unhashable: stream") }

// builtinStream is stream(size="1MiB").
func (s *Session) builtinStream(t *starlark.Thread, b *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var size starlark.Value = starlark.String("1MiB")
	var name string
	if err := starlark.UnpackArgs(b.Name(), a, kw, "size?", &size, "name?", &name); err != nil {
		return nil, err
	}
	n, err := byteSize(size)
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	m := s.newMap(t, name, b.Name())
	st := &Stream{s: s, comp: &compiler.Stream{Name: m.Name, Ref: m.Ref}, size: n}
	s.addMap(st)
	return st, nil
}

// The bounds of a ring buffer: a page, and what a 32-bit size can say.
const (
	minRing = 4 << 10
	maxRing = 1 << 30
)

// byteSize reads a number of bytes, or "64KiB", "1MiB", and rounds it up to a power of two.
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

// stream finds the stream behind a compiler's.
func (s *Session) stream(c *compiler.Stream) *Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.maps {
		if st, ok := m.(*Stream); ok && st.comp == c {
			return st
		}
	}
	return nil
}

// kernelMap gives the ring buffer; the first call makes it.
func (st *Stream) kernelMap() (*bpf.Map, error) {
	if st.ring == nil {
		r, err := bpf.NewRing(st.size)
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

// next gives a record: one that was read before, or the next of the ring. It waits for one until the deadline, or until wake is
// called, and then gives nil.
func (st *Stream) next(deadline time.Time) (starlark.Value, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.queue) > 0 {
		v := st.queue[0]
		st.queue = st.queue[1:]
		return v, nil
	}
	if st.ring == nil {
		return nil, nil
	}
	return st.readOne(deadline)
}

func (st *Stream) readOne(deadline time.Time) (starlark.Value, error) {
	st.ring.SetDeadline(deadline)
	b, err := st.ring.Read(&st.rec)
	switch {
	case errors.Is(err, bpf.ErrDeadline), errors.Is(err, bpf.ErrDrained), errors.Is(err, bpf.ErrClosed):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("stream %q: %w", st.Name(), err)
	}
	v, err := st.decode(b)
	if err == nil {
		st.read++
	}
	return v, err
}

// wake ends a wait of next.
func (st *Stream) wake() error {
	if st.ring == nil {
		return nil
	}
	return st.ring.Drain()
}

// fill reads what is in the ring, so that it is known how much that is. No more is read than fits there: handlers may go on.
func (st *Stream) fill() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ring == nil {
		return nil
	}
	for bytes := 0; bytes < st.size; bytes += len(st.rec.RawSample) + ringHeader {
		v, err := st.readOne(time.Now())
		if err != nil {
			return err
		}
		if v == nil {
			return nil
		}
		st.queue = append(st.queue, v)
	}
	return nil
}

// ringHeader is what the kernel puts before each record (include/uapi/linux/bpf.h: BPF_RINGBUF_HDR_SZ).
const ringHeader = 8

// decode makes a struct of a record.
func (st *Stream) decode(b []byte) (starlark.Value, error) {
	site, args, err := st.s.decodeRecord(b)
	if err != nil {
		return nil, fmt.Errorf("stream %q: %w", st.Name(), err)
	}
	d := make(starlark.StringDict, len(args))
	for i, name := range site.Names {
		d[name] = args[i]
	}
	return starlarkstruct.FromStringDict(starlarkstruct.Default, d), nil
}

// decodeRecord finds what a record's words mean, and its values.
func (s *Session) decodeRecord(b []byte) (printSite, []starlark.Value, error) {
	if len(b) < 8 {
		return printSite{}, nil, errors.New("a record without a number")
	}
	id := binary.NativeEndian.Uint64(b)
	s.mu.Lock()
	ok := id < uint64(len(s.prints))
	var site printSite
	if ok {
		site = s.prints[id]
	}
	s.mu.Unlock()
	if !ok {
		return site, nil, fmt.Errorf("a record of unknown print %d", id)
	}
	b = b[8:]
	args := make([]starlark.Value, len(site.Args))
	for i, t := range site.Args {
		if len(b) < t.Size() {
			return site, nil, fmt.Errorf("%s: a record is too short", site.Pos)
		}
		args[i] = s.decode(t, b)
		b = b[t.Size():]
	}
	return site, args, nil
}

// lost counts the records that did not fit into the ring.
func (st *Stream) lost() (uint64, error) {
	all, err := st.s.allErrors(st.s.allProbes())
	n := uint64(0)
	for _, e := range all {
		if e.stream == st.comp {
			n += e.count
		}
	}
	return n, err
}

// wait gives the next record, or nil when the time is over or Ctrl-C came, which is told of.
func (st *Stream) wait(deadline time.Time) (v starlark.Value, interrupted bool, err error) {
	if v, err := st.next(time.Now()); v != nil || err != nil {
		return v, false, err
	}
	if err := st.s.out.failed(); err != nil {
		return nil, false, err
	}
	st.s.drain() // what was printed so far
	was := st.s.inRun.Swap(true)
	defer st.s.inRun.Store(was)
	quit, woken := make(chan struct{}), make(chan bool, 1)
	go func() {
		select {
		case <-quit:
			woken <- false
			return
		case <-st.s.interrupts:
		case <-st.s.ctx.Done():
		}
		if err := st.wake(); err != nil {
			st.s.fault(err)
		}
		woken <- true
	}()
	v, err = st.next(deadline)
	close(quit)
	interrupted = <-woken
	if err == nil && st.s.ctx.Err() != nil {
		err = ErrInterrupted
	}
	return v, interrupted, err
}

// take collects records.
func (st *Stream) take(n int, timeout time.Duration) (*starlark.List, error) {
	var deadline time.Time
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	var out []starlark.Value
	for len(out) < n {
		v, interrupted, err := st.wait(deadline)
		if err != nil {
			return nil, err
		}
		if v != nil {
			out = append(out, v)
		}
		if interrupted || v == nil && timeout > 0 && !time.Now().Before(deadline) {
			break
		}
	}
	return starlark.NewList(out), nil
}

// Iterate implements starlark.Iterable: until Ctrl-C, which ends the loop and not the script.
func (st *Stream) Iterate() starlark.Iterator { return &streamIterator{st: st} }

type streamIterator struct {
	st   *Stream
	over bool
}

func (it *streamIterator) Next(p *starlark.Value) bool {
	for !it.over {
		v, interrupted, err := it.st.wait(time.Time{})
		it.over = interrupted || err != nil
		if err != nil && !errors.Is(err, ErrInterrupted) { // an iterator has no other way to tell
			it.st.s.fault(err)
		}
		if v != nil {
			*p = v
			return true
		}
	}
	return false
}

// Done implements starlark.Iterator.
func (it *streamIterator) Done() {}

var streamMethods = []hostMethod[*Stream]{
	{"each", "each(fn)", "call a function for each record, during run() and while the prompt waits", "opens.each(lambda ev: print(ev.pid))", func(st *Stream, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var fn starlark.Callable
		if err := starlark.UnpackArgs("each", args, kw, "fn", &fn); err != nil {
			return nil, err
		}
		st.each = fn
		return starlark.None, nil
	}},
	{"take", "take(n, timeout=None)", "a list of the next n records; fewer when timeout seconds are over", "for ev in opens.take(10, timeout=0.1): print(ev)", func(st *Stream, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var n int
		var timeout starlark.Value = starlark.None
		if err := starlark.UnpackArgs("take", args, kw, "n", &n, "timeout?", &timeout); err != nil {
			return nil, err
		}
		var d time.Duration
		if timeout != starlark.None {
			var err error
			if d, err = seconds("take", timeout); err != nil {
				return nil, err
			}
			d = max(d, 1)
		}
		l, err := st.take(n, d)
		if err != nil {
			return nil, err
		}
		return l, nil
	}},
}

// Attr implements starlark.HasAttrs.
func (st *Stream) Attr(name string) (starlark.Value, error) {
	return attr(st, name, streamMethods, func(name string) (starlark.Value, error) {
		switch name {
		case "name":
			return starlark.String(st.Name()), nil
		case "lost":
			n, err := st.lost()
			return starlark.MakeUint64(n), err
		case "emitted":
			if err := st.fill(); err != nil {
				return nil, err
			}
			n, err := st.lost()
			return starlark.MakeUint64(st.read + n), err
		}
		return nil, nil
	})
}

// AttrNames implements starlark.HasAttrs.
func (st *Stream) AttrNames() []string { return attrNames(streamMethods, "emitted", "lost", "name") }

// A feed hands the records of streams with a callback to the loop of run().
type feed struct {
	s       *Session
	streams []*Stream
	records chan streamRecord
	quit    chan struct{}
	wg      sync.WaitGroup
}

type streamRecord struct {
	st  *Stream
	v   starlark.Value
	err error
}

func (s *Session) newFeed() *feed {
	f := &feed{s: s, records: make(chan streamRecord), quit: make(chan struct{})}
	for _, m := range s.maps {
		if st, ok := m.(*Stream); ok && st.each != nil && st.ring != nil {
			f.streams = append(f.streams, st)
			f.wg.Add(1)
			go s.guarded(func() { f.run(st) })
		}
	}
	return f
}

func (f *feed) run(st *Stream) {
	defer f.wg.Done()
	for {
		v, err := st.next(time.Time{})
		if v == nil && err == nil {
			select {
			case <-f.quit:
				return
			default:
				continue
			}
		}
		select {
		case f.records <- streamRecord{st, v, err}:
			if err != nil {
				return
			}
		case <-f.quit: // read, and not handed on
			st.mu.Lock()
			st.queue = append([]starlark.Value{v}, st.queue...)
			st.mu.Unlock()
			return
		}
	}
}

func (f *feed) call(thread *starlark.Thread, r streamRecord) error {
	if r.err != nil {
		return r.err
	}
	return f.s.callback(thread, r.st.each, starlark.Tuple{r.v})
}

// handOn calls the callback for the records that were read so far, unless there was an error.
func (st *Stream) handOn(thread *starlark.Thread, err error) error {
	for err == nil {
		v := st.queued()
		if v == nil {
			break
		}
		err = st.s.callback(thread, st.each, starlark.Tuple{v})
	}
	return err
}

// queued gives a record that was read before, or nil.
func (st *Stream) queued() starlark.Value {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.queue) == 0 {
		return nil
	}
	v := st.queue[0]
	st.queue = st.queue[1:]
	return v
}

// close ends the feed, and hands on what was sent before.
func (f *feed) close(thread *starlark.Thread, err error) error {
	close(f.quit)
	for _, st := range f.streams {
		if werr := st.wake(); err == nil {
			err = werr
		}
	}
	f.wg.Wait()
	for _, st := range f.streams {
		if err == nil {
			err = st.fill()
		}
		err = st.handOn(thread, err)
	}
	return err
}
