package records

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/internal/plural"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// A Dispatcher notifies the loop of run() when streams with a callback have records. The loop
// reads the records itself, for a few milliseconds at a time, so that timers and the end of run()
// are not delayed for longer.
type Dispatcher struct {
	// Ready receives a stream that has records, or one on which waiting failed.
	Ready <-chan ReadyStream

	env     *Env
	streams []*Stream
	ready   chan ReadyStream
	quit    chan struct{}
	wg      sync.WaitGroup
}

// A ReadyStream is a stream that is to be served.
type ReadyStream struct {
	st  *Stream
	err error
}

const (
	dispatchSlice = 5 * time.Millisecond  // time for records before the loop does other work
	slowCall      = 20 * time.Microsecond // a slower callback must not extend run() beyond grace
)

// NewDispatcher returns a dispatcher for the streams that have a callback. The caller must close
// it.
func (r *Records) NewDispatcher(streams []*Stream) *Dispatcher {
	d := &Dispatcher{env: &r.env, ready: make(chan ReadyStream), quit: make(chan struct{})}
	d.Ready = d.ready
	for _, st := range streams {
		if st.hasCallback() {
			d.streams = append(d.streams, st)
			d.wg.Add(1)
			go r.env.Run.RecoverGoroutine(func() { d.run(st) })
		}
	}
	return d
}

// run waits for records, then for the loop to take them, and repeats this.
func (d *Dispatcher) run(st *Stream) {
	defer d.wg.Done()
	for {
		err := st.ring.Await()
		select {
		case <-d.quit:
			return
		default:
		}
		if err == nil && st.ring.Empty() {
			continue
		}
		select {
		case d.ready <- ReadyStream{st, err}:
		case <-d.quit:
			return
		}
		if err != nil {
			return
		}
		select {
		case <-st.served:
		case <-d.quit:
			return
		}
	}
}

// Serve passes on records for a moment, and then lets the stream be waited for again.
func (d *Dispatcher) Serve(thread *starlark.Thread, r ReadyStream) error {
	if r.err != nil {
		return r.err
	}
	return d.serve(thread, r.st)
}

// ServeQueued is Serve for a stream that More announced.
func (d *Dispatcher) ServeQueued(thread *starlark.Thread) error {
	return d.serve(thread, d.queued())
}

func (d *Dispatcher) serve(thread *starlark.Thread, st *Stream) error {
	until := time.Now().Add(dispatchSlice)
	err := st.dispatchQueued(thread, st.ring.Written(), func(int, time.Duration) bool { return time.Now().Before(until) })
	select {
	case st.served <- struct{}{}:
	default: // nobody waits: the records were read before
	}
	return err
}

// queued returns a stream with records that were read but not passed on, or nil.
func (d *Dispatcher) queued() *Stream {
	for _, st := range d.streams {
		if !st.queue.empty() {
			return st
		}
	}
	return nil
}

// More returns a channel that is ready if a stream has records that were read but not passed on.
// Otherwise it is nil.
func (d *Dispatcher) More() <-chan struct{} {
	if d.queued() == nil {
		return nil
	}
	c := make(chan struct{})
	close(c)
	return c
}

// dispatchQueued calls the callback for the records up to a position of the ring, as long as goOn
// returns true. goOn receives the number of calls so far and the time they took.
func (st *Stream) dispatchQueued(thread *starlark.Thread, to uint64, goOn func(n int, took time.Duration) bool) error {
	began, n := time.Now(), 0
	return st.r.env.Run.Callbacks(thread, st.each, func() (starlark.Tuple, bool, error) {
		if n > 0 && !goOn(n, time.Since(began)) {
			return nil, false, nil
		}
		n++
		v, err := st.before(to)
		return starlark.Tuple{v}, v != nil, err
	})
}

// Close stops the dispatcher and passes on the records that were sent before. If the callback is
// too slow for that, records remain for the next run() or take(). WarnLeft reports those that
// nothing takes.
func (d *Dispatcher) Close(thread *starlark.Thread, ctrlC *runner.Ending, err error) error {
	to := make([]uint64, len(d.streams))
	for i, st := range d.streams {
		to[i] = st.ring.Written()
	}
	close(d.quit)
	for _, st := range d.streams {
		if werr := st.ring.Wake(); err == nil {
			err = werr
		}
	}
	d.wg.Wait()
	for i, st := range d.streams {
		if err == nil {
			err = d.finish(thread, ctrlC, st, to[i])
		}
	}
	return err
}

// finish passes on the records up to a position. After Ctrl-C it does so for no longer than
// callbackGrace. Otherwise it continues as long as the rest can be done within grace or the
// callback is not the slow part.
func (d *Dispatcher) finish(thread *starlark.Thread, ctrlC *runner.Ending, st *Stream, to uint64) error {
	ctx := d.env.Run.Context()
	left := func() float64 { return float64(st.ring.Left(to)) + float64(st.queue.size()) }
	all := left()
	err := st.dispatchQueued(thread, to, func(n int, took time.Duration) bool {
		if took < runner.CallbackGrace {
			return true
		}
		if ctrlC.Ended(ctx) {
			return false
		}
		rest := left()
		return took/time.Duration(n) < slowCall || took.Seconds()*rest/(all-rest) < runner.Grace.Seconds()
	})
	if err != nil {
		return err
	}
	for len(st.queue.b) < st.size && !st.ring.Passed(to) { // kept for the next run() or take()
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

// WarnLeft warns of records for which run() did not call the callback, and which nothing has taken
// since.
func (st *Stream) WarnLeft() {
	if n := st.queue.count(); n > 0 && st.each != nil && st.r.env.Warns() {
		st.r.env.Out.Warn("records_left", map[string]any{"stream": st.Name(), "records": n, "callback": st.each.Name()},
			fmt.Sprintf("run() ended before %s was called for %s of %s, because its calls are slow; the next run() or %s.take() returns them", st.each.Name(), plural.Of(n, "record"), st.Name(), st.Name()))
	}
}

// hasCallback reports whether each() was called, and a program sends to the stream.
func (st *Stream) hasCallback() bool { return st.each != nil && st.ring != nil }

// Serve calls the callback, if there is one, for the records that are available. It returns at some
// time after until: the next call handles the remaining records. A callback that fails is not
// called again.
func (st *Stream) Serve(ctx context.Context, until time.Time) error {
	if !st.hasCallback() {
		return nil
	}
	run, to := st.r.env.Run, st.ring.Written()
	run.InRun.Store(true) // a callback cannot call run()
	defer run.InRun.Store(false)
	err := run.ExecAlone(ctx, "stream", func(thread *starlark.Thread) error {
		return st.dispatchQueued(thread, to, func(int, time.Duration) bool { return ctx.Err() == nil && time.Now().Before(until) })
	})
	if err != nil && !errors.Is(err, runner.ErrCallbackCancelled) && ctx.Err() == nil {
		st.each = nil
	}
	return err
}
