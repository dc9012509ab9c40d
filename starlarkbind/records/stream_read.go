package records

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// Records of a stream are read when the script wants them: by take(), by a loop, or for a callback
// (dispatcher.go). However fast handlers send, none of these reads forever. The deadline,
// Ctrl-C and the end of run() are checked before each record. The records sent before such an end
// are those before the programs' position in the ring at that moment.

// A rawQueue holds records as handlers sent them, each preceded by its length.
type rawQueue struct {
	b    []byte
	from int // what lies before it has been popped
}

func (q *rawQueue) push(rec []byte) {
	if q.from == len(q.b) {
		q.b, q.from = q.b[:0], 0
	}
	q.b = binary.NativeEndian.AppendUint32(q.b, uint32(len(rec)))
	q.b = append(q.b, rec...)
}

// pop returns the first record, or nil. It is valid until the next push.
func (q *rawQueue) pop() []byte {
	if q.empty() {
		return nil
	}
	n := int(binary.NativeEndian.Uint32(q.b[q.from:]))
	rec := q.b[q.from+4 : q.from+4+n]
	q.from += 4 + n
	if q.empty() {
		q.b, q.from = nil, 0
	}
	return rec
}

func (q *rawQueue) empty() bool { return q.size() == 0 }

func (q *rawQueue) size() int { return len(q.b) - q.from }

// count returns the number of records.
func (q *rawQueue) count() int {
	n := 0
	for at := q.from; at < len(q.b); at += 4 + int(binary.NativeEndian.Uint32(q.b[at:])) {
		n++
	}
	return n
}

// Next returns a record that was read before, or the next one from the ring. It waits for one until
// the deadline, or until the ring is woken, and then returns nil.
func (st *Stream) Next(deadline time.Time) (starlark.Value, error) {
	b := st.queue.pop()
	if b == nil && st.ring != nil {
		var err error
		if b, err = st.readOne(deadline); err != nil {
			return nil, err
		}
	}
	if b == nil {
		return nil, nil
	}
	st.handed = true
	return st.decode(b)
}

// empty reports whether there is no record.
func (st *Stream) empty() bool { return st.queue.empty() && (st.ring == nil || st.ring.Empty()) }

// before returns the next record that was sent before a position of the ring, or nil.
func (st *Stream) before(to uint64) (starlark.Value, error) {
	if st.queue.empty() && (st.ring == nil || st.ring.Passed(to)) {
		return nil, nil
	}
	return st.Next(time.Now())
}

// readOne reads a record from the ring. It returns nil if there is none by the deadline.
func (st *Stream) readOne(deadline time.Time) ([]byte, error) {
	st.ring.SetDeadline(deadline)
	b, err := st.ring.Read(&st.rec)
	switch {
	case errors.Is(err, kmap.ErrDeadline), errors.Is(err, kmap.ErrWoken), errors.Is(err, kmap.ErrClosed):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("stream %q: %w", st.Name(), err)
	}
	st.read++
	return b, nil
}

// drainRing reads the records in the ring, so that their number is known. It queues them undecoded,
// and no more bytes than fit into the ring.
func (st *Stream) drainRing() error {
	if st.ring == nil {
		return nil
	}
	for to := st.ring.Written(); !st.ring.Passed(to) && len(st.queue.b) < st.size; {
		b, err := st.readOne(time.Now())
		if err != nil {
			return err
		}
		if b != nil {
			st.queue.push(b)
		}
	}
	return nil
}

// A streamLoop reads a stream until Ctrl-C, which ends the loop but not the script.
type streamLoop struct {
	st       *Stream
	ctx      context.Context
	deadline time.Time // zero: none
	ctrlC    *runner.Ending
	end      func() // called once, when the loop is over
	over     bool   // the deadline has passed
	to       uint64 // the programs' position at that time
}

// loop begins a loop.
func (st *Stream) loop(deadline time.Time) *streamLoop {
	env := &st.r.env
	env.Waits()
	ctx, cancel := env.Run.Current()
	l := &streamLoop{st: st, ctx: ctx, deadline: deadline}
	var leave func()
	// If the body runs on for too long after Ctrl-C, the script is cancelled in it.
	l.ctrlC, leave = env.Run.Interruptible(cancel)
	quit := make(chan struct{})
	l.end = func() { leave(); close(quit) }
	if st.ring == nil {
		return l
	}
	woken := make(chan struct{})
	l.end = func() { leave(); close(quit); <-woken }
	go func() {
		defer close(woken)
		select {
		case <-quit:
			return
		case <-l.ctrlC.Came:
		case <-l.ctx.Done():
		}
		if err := st.ring.Wake(); err != nil {
			env.Out.ReportError(err)
		}
	}()
	return l
}

// next waits for a record. It returns nil when the loop is over: after Ctrl-C, or when the deadline
// has passed and all records sent before it are read.
func (l *streamLoop) next() (starlark.Value, error) {
	st := l.st
	for {
		switch {
		case l.ctx.Err() != nil:
			return nil, runner.ErrInterrupted
		case l.ctrlC.Ended(l.ctx):
			return nil, nil
		case l.over || !l.deadline.IsZero() && !time.Now().Before(l.deadline):
			return l.rest()
		case !st.empty():
			if v, err := st.Next(time.Now()); v != nil || err != nil {
				return v, err
			}
			continue
		}
		if err := st.r.env.Out.Failed(); err != nil {
			return nil, err
		}
		st.r.Drain() // print what was sent so far
		if st.ring == nil {
			return nil, l.idle()
		}
		if v, err := st.Next(l.deadline); v != nil || err != nil {
			return v, err
		}
	}
}

// rest returns the next record that was sent before the deadline, or nil.
func (l *streamLoop) rest() (starlark.Value, error) {
	if !l.over && l.st.ring != nil {
		l.to = l.st.ring.Written()
	}
	l.over = true
	if time.Since(l.deadline) > runner.CallbackGrace {
		return nil, nil // the records stay in the ring
	}
	return l.st.before(l.to)
}

// idle waits for the end of the loop if no handler sends to the stream.
func (l *streamLoop) idle() error {
	var over <-chan time.Time
	if !l.deadline.IsZero() {
		t := time.NewTimer(time.Until(l.deadline))
		defer t.Stop()
		over = t.C
	}
	select {
	case <-over:
	case <-l.ctrlC.Came:
	case <-l.ctx.Done():
		return runner.ErrInterrupted
	}
	return nil
}

// take returns up to n records as a list.
func (st *Stream) take(n int, deadline time.Time) (*starlark.List, error) {
	l := st.loop(deadline)
	defer l.end()
	var out []starlark.Value
	for len(out) < n {
		v, err := l.next()
		if err != nil {
			return nil, err
		}
		if v == nil {
			break
		}
		out = append(out, v)
	}
	return starlark.NewList(out), nil
}

// Iterate implements starlark.Iterable. The iterator ends on Ctrl-C.
func (st *Stream) Iterate() starlark.Iterator {
	if st.r.env.Check {
		st.r.env.Run.EndCheck() // there is no other way to end the script in a loop
		return starlark.NewList(nil).Iterate()
	}
	if st.r.env.Passes() {
		return starlark.NewList(nil).Iterate()
	}
	return &streamIterator{st.loop(time.Time{})}
}

type streamIterator struct{ l *streamLoop }

// Next implements starlark.Iterator.
func (it *streamIterator) Next(p *starlark.Value) bool {
	v, err := it.l.next()
	if err != nil && !errors.Is(err, runner.ErrInterrupted) { // an iterator cannot return an error
		it.l.st.r.env.Out.ReportError(err)
	}
	if v == nil {
		return false
	}
	*p = v
	return true
}

// Done implements starlark.Iterator.
func (it *streamIterator) Done() { it.l.end() }
