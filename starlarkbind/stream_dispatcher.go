package starlarkbind

import (
	"fmt"
	"sync"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// A streamDispatcher notifies the loop of run() when streams with a callback have records. The loop
// reads the records itself, for a few milliseconds at a time, so that timers and the end of run()
// are not delayed for longer.
type streamDispatcher struct {
	s       *Session
	streams []*Stream
	ready   chan readyStream
	quit    chan struct{}
	wg      sync.WaitGroup
}

// A readyStream is a stream that has records, or one on which waiting failed.
type readyStream struct {
	st  *Stream
	err error
}

const (
	dispatchSlice = 5 * time.Millisecond  // time for records before the loop does other work
	slowCall      = 20 * time.Microsecond // a slower callback must not extend run() beyond grace
)

func (s *Session) newStreamDispatcher() *streamDispatcher {
	f := &streamDispatcher{s: s, ready: make(chan readyStream), quit: make(chan struct{})}
	for _, m := range s.reg.maps {
		if st, ok := m.(*Stream); ok && st.each != nil && st.ring != nil {
			f.streams = append(f.streams, st)
			f.wg.Add(1)
			go s.run.RecoverGoroutine(func() { f.run(st) })
		}
	}
	return f
}

// run waits for records, then for the loop to take them, and repeats this.
func (f *streamDispatcher) run(st *Stream) {
	defer f.wg.Done()
	for {
		err := st.ring.Await()
		select {
		case <-f.quit:
			return
		default:
		}
		if err == nil && st.ring.Empty() {
			continue
		}
		select {
		case f.ready <- readyStream{st, err}:
		case <-f.quit:
			return
		}
		if err != nil {
			return
		}
		select {
		case <-st.served:
		case <-f.quit:
			return
		}
	}
}

// serve passes on records for a moment, and then lets the stream be waited for again.
func (f *streamDispatcher) serve(thread *starlark.Thread, st *Stream) error {
	until := time.Now().Add(dispatchSlice)
	err := st.dispatchQueued(thread, st.ring.Written(), func(int, time.Duration) bool { return time.Now().Before(until) })
	select {
	case st.served <- struct{}{}:
	default: // nobody waits: the records were read before
	}
	return err
}

// pending returns a stream with records that were read but not passed on, or nil.
func (f *streamDispatcher) pending() *Stream {
	for _, st := range f.streams {
		if !st.queue.empty() {
			return st
		}
	}
	return nil
}

// more returns a channel that is ready if pending returns a stream. Otherwise it is nil.
func (f *streamDispatcher) more() <-chan struct{} {
	if f.pending() == nil {
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
	return st.s.run.Callbacks(thread, st.each, func() (starlark.Tuple, bool, error) {
		if n > 0 && !goOn(n, time.Since(began)) {
			return nil, false, nil
		}
		n++
		v, err := st.before(to)
		return starlark.Tuple{v}, v != nil, err
	})
}

// close stops the dispatcher and passes on the records that were sent before. If the callback is
// too slow for that, records remain, which a warning reports.
func (f *streamDispatcher) close(thread *starlark.Thread, ctrlC *runner.Ending, err error) error {
	to := make([]uint64, len(f.streams))
	for i, st := range f.streams {
		to[i] = st.ring.Written()
	}
	close(f.quit)
	for _, st := range f.streams {
		if werr := st.ring.Wake(); err == nil {
			err = werr
		}
	}
	f.wg.Wait()
	for i, st := range f.streams {
		if err == nil {
			err = f.finish(thread, ctrlC, st, to[i])
		}
	}
	return err
}

// finish passes on the records up to a position. After Ctrl-C it does so for no longer than
// callbackGrace. Otherwise it continues as long as the rest can be done within grace or the
// callback is not the slow part.
func (f *streamDispatcher) finish(thread *starlark.Thread, ctrlC *runner.Ending, st *Stream, to uint64) error {
	ctx := f.s.run.Context()
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
	if n := st.queue.count(); n > 0 && f.s.opt.Warnings != warnings.None {
		f.s.out.Warn("records_left", map[string]any{"stream": st.Name(), "records": n, "callback": st.each.Name()},
			fmt.Sprintf("run() ended before %s was called for %d records of %s, because its calls are slow; the next run() or %s.take() returns them", st.each.Name(), n, st.Name(), st.Name()))
	}
	return nil
}
