package starlarkbind

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
)

// Records of a stream are read where the script wants them: by take(), by a loop, or for a callback (stream_dispatcher.go). However fast handlers
// send, none of these reads without end: a deadline, Ctrl-C and the end of run() are looked at before each record, and where what was
// recorded before such an end is still to come, that is what lies before the programs' position in the ring at that moment.

// A rawQueue holds records as handlers have sent them, each behind its length.
type rawQueue struct {
	b    []byte
	from int // what lies before is popped
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

// next returns a record: one that was read before, or the next of the ring. It waits for one until the deadline, or until wake is
// called, and then returns nil.
func (st *Stream) next(deadline time.Time) (starlark.Value, error) {
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

// before returns the next record that was recorded before a position of the ring, or nil.
func (st *Stream) before(to uint64) (starlark.Value, error) {
	if st.queue.empty() && (st.ring == nil || st.ring.Passed(to)) {
		return nil, nil
	}
	return st.next(time.Now())
}

// readOne reads a record from the ring, or nil.
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

// drainRing reads what is in the ring, so that it is known how many records that is. It keeps them as they are, and no more than fit into
// the ring.
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

// A streamLoop reads a stream until Ctrl-C, which ends the loop and not the script.
type streamLoop struct {
	st       *Stream
	ctx      context.Context
	deadline time.Time // zero: none
	ctrlC    *ending
	end      func() // is called once, when the loop is over
	over     bool   // the deadline is over
	to       uint64 // the programs' position then
}

// loop begins a loop.
func (st *Stream) loop(deadline time.Time) *streamLoop {
	s := st.s
	s.waited = true
	s.mu.Lock()
	l, cancel := &streamLoop{st: st, ctx: s.ctx, deadline: deadline}, s.cancel
	s.mu.Unlock()
	var leave func()
	l.ctrlC, leave = s.interruptible(cancel) // a body that goes on for too long: the script is ended in it
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
		case <-l.ctrlC.came:
		case <-l.ctx.Done():
		}
		if err := st.ring.Wake(); err != nil {
			s.reportError(err)
		}
	}()
	return l
}

// next waits for a record. It returns nil when the loop is over: by Ctrl-C, or by the deadline and what was recorded before it is read.
func (l *streamLoop) next() (starlark.Value, error) {
	st := l.st
	for {
		switch {
		case l.ctx.Err() != nil:
			return nil, ErrInterrupted
		case l.ctrlC.ended(l.ctx):
			return nil, nil
		case l.over || !l.deadline.IsZero() && !time.Now().Before(l.deadline):
			return l.rest()
		case !st.empty():
			if v, err := st.next(time.Now()); v != nil || err != nil {
				return v, err
			}
			continue
		}
		if err := st.s.out.failed(); err != nil {
			return nil, err
		}
		st.s.drain() // what was printed so far
		if st.ring == nil {
			return nil, l.idle()
		}
		if v, err := st.next(l.deadline); v != nil || err != nil {
			return v, err
		}
	}
}

// rest returns what was recorded before the deadline.
func (l *streamLoop) rest() (starlark.Value, error) {
	if !l.over && l.st.ring != nil {
		l.to = l.st.ring.Written()
	}
	l.over = true
	if time.Since(l.deadline) > callbackGrace {
		return nil, nil // it stays in the ring
	}
	return l.st.before(l.to)
}

// idle waits where no handler sends to the stream.
func (l *streamLoop) idle() error {
	var over <-chan time.Time
	if !l.deadline.IsZero() {
		t := time.NewTimer(time.Until(l.deadline))
		defer t.Stop()
		over = t.C
	}
	select {
	case <-over:
	case <-l.ctrlC.came:
	case <-l.ctx.Done():
		return ErrInterrupted
	}
	return nil
}

// take collects records.
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

// Iterate implements starlark.Iterable: until Ctrl-C.
func (st *Stream) Iterate() starlark.Iterator {
	if s := st.s; s.opt.Check {
		s.checked = true // a loop has no other way to end the script
		s.thread.Cancel("checked")
		return starlark.NewList(nil).Iterate()
	}
	return &streamIterator{st.loop(time.Time{})}
}

type streamIterator struct{ l *streamLoop }

// Next implements starlark.Iterator.
func (it *streamIterator) Next(p *starlark.Value) bool {
	v, err := it.l.next()
	if err != nil && !errors.Is(err, ErrInterrupted) { // an iterator has no other way to tell
		it.l.st.s.reportError(err)
	}
	if v == nil {
		return false
	}
	*p = v
	return true
}

// Done implements starlark.Iterator.
func (it *streamIterator) Done() { it.l.end() }
