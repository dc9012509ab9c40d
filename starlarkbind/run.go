package starlarkbind

import (
	"errors"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hostrun"
	"github.com/bpfrepl/bpfrepl/starlarkbind/proc"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// A timer is a callback registered with every().
type timer struct {
	every time.Duration
	next  time.Time
	fn    starlark.Callable
	file  string // the %run file that created the timer, if any
}

// waits holds what run() waits for.
type waits struct {
	timers  []*timer
	procs   []*proc.Process
	halt    chan struct{} // a handler called stop(), perhaps one attached during run()
	stopped bool          // the script called stop()
	file    string        // of %run
	// tested is set while the top level of a file runs that a test loads. The file may be the script
	// that is tested: it must define its names, but neither count events nor wait for them.
	tested     bool
	background bool // a callback runs while the prompt waits for an item
}

// builtinEvery implements every(seconds, fn).
func (s *Session) builtinEvery(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var sec starlark.Value
	var fn starlark.Callable
	if err := starlark.UnpackArgs("every", args, kw, "seconds", &sec, "fn", &fn); err != nil {
		return nil, err
	}
	d, err := runner.Seconds("every", sec)
	if err != nil {
		return nil, err
	}
	if d < time.Millisecond {
		return nil, fmt.Errorf("every: seconds must be at least 0.001, got %s", sec)
	}
	s.waits.timers = append(s.waits.timers, &timer{every: d, fn: fn, file: s.waits.file})
	return starlark.None, nil
}

// builtinStop implements stop(). It ends run() if that is active, and the script otherwise.
func (s *Session) builtinStop(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackArgs("stop", args, kw); err != nil {
		return nil, err
	}
	if hostrun.InHandler(thread) {
		// The script itself called a handler, where stop() would end only the run of the handler's
		// probe.
		return starlark.None, nil
	}
	if !s.run.InRun.Load() {
		return nil, runner.ErrStop
	}
	s.waits.stopped = true
	return starlark.None, nil
}

// builtinRun implements run(seconds=None) and run(process). It waits and calls the timers, and
// returns when the time is over, on Ctrl-C, on stop(), or when a watched process has ended: one
// started by spawn() or -c, or the one given with -p.
func (s *Session) builtinRun(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var what starlark.Value = starlark.None
	if err := starlark.UnpackArgs("run", args, kw, "seconds?", &what); err != nil {
		return nil, err
	}
	if s.run.InRun.Load() {
		return nil, fmt.Errorf("run() is already active and cannot be called from a callback")
	}
	if err := s.checkFlags(true); err != nil {
		return nil, err
	}
	if s.opt.Check {
		return nil, runner.ErrStop
	}
	if s.waits.tested {
		return starlark.None, nil
	}
	var deadline <-chan time.Time
	procs := s.waits.heldProcs()
	switch v := what.(type) {
	case starlark.NoneType:
	case *Process:
		procs = []*proc.Process{v.p}
	default:
		d, err := runner.Seconds("run", what)
		if err != nil {
			return nil, err
		}
		t := time.NewTimer(d)
		defer t.Stop()
		deadline = t.C
	}
	s.done.waited = true
	s.noteWait(deadline == nil && len(procs) == 0 && s.opt.PID == 0)
	for _, p := range procs {
		p.Release()
	}
	s.waits.stopped = false
	s.run.InRun.Store(true)
	defer s.run.InRun.Store(false)
	err := s.loop(thread, deadline, procs)
	s.records.Drain()
	s.warnNew()
	if err == nil {
		err = s.out.Failed()
	}
	return starlark.None, err
}

// heldProcs returns the processes that have not been released to run yet.
func (w *waits) heldProcs() []*proc.Process {
	var out []*proc.Process
	for _, p := range w.procs {
		if !p.Released() {
			out = append(out, p)
		}
	}
	return out
}

// loop is the body of run(). It returns when the wait is over, with an error if there was one.
func (s *Session) loop(thread *starlark.Thread, deadline <-chan time.Time, procs []*proc.Process) (err error) {
	ctrlC, end := s.run.Interruptible(func() { s.run.CancelCallback(runner.CutByInterrupt) })
	defer end()
	ended := make(chan struct{})
	quit := make(chan struct{})
	defer close(quit)
	var watched []int
	for _, p := range procs {
		watched = append(watched, p.PID())
	}
	if s.opt.PID != 0 {
		watched = append(watched, s.opt.PID)
	}
	if len(watched) > 0 {
		defer s.symbols.CacheMappings(watched)()
	}
	if len(procs) > 0 {
		go func() {
			for _, p := range procs {
				select {
				case <-p.Done():
				case <-quit:
					return
				}
			}
			close(ended)
		}()
	}
	var left <-chan struct{}
	if s.opt.PID != 0 {
		var err error
		if left, err = watchExit(s.opt.PID, quit); err != nil {
			return err
		}
	}
	now := time.Now()
	for _, t := range s.waits.timers {
		t.next = now.Add(t.every)
	}
	warn := time.NewTicker(warnEvery)
	defer warn.Stop()
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	feed := s.records.NewDispatcher(s.reg.streams())
	defer func() {
		if errors.Is(err, runner.ErrCallbackCancelled) {
			err = nil
		}
		if err = feed.Close(thread, ctrlC, err); errors.Is(err, runner.ErrCallbackCancelled) {
			err = nil
		}
	}()
	over, halted := make(chan struct{}), false
	go func() {
		select {
		case <-deadline:
		case <-ended:
		case <-left:
			s.warner.Note("process %d has ended, so run() returns", s.opt.PID)
		case <-s.waits.halt:
			halted = true
		case <-quit:
			return
		}
		close(over)
		select {
		case <-time.After(runner.Grace):
			s.run.CancelCallback(runner.CutByEnd)
		case <-quit:
		}
	}()
	ctx := s.run.Context()
	for !s.waits.stopped {
		tick.Reset(s.waits.untilNext())
		select {
		case <-ctrlC.Came:
			return nil
		case <-ctx.Done():
			return runner.ErrInterrupted
		case <-over:
			if halted {
				return s.shared.control.Reset()
			}
			return nil
		case <-warn.C:
			s.warnNew()
			s.warnFill()
			if err := s.out.Failed(); err != nil {
				return err
			}
		case r := <-feed.Ready:
			if err := feed.Serve(thread, r); err != nil {
				return err
			}
		case <-feed.More():
			if err := feed.ServeQueued(thread); err != nil {
				return err
			}
		case <-tick.C:
			if err := s.fire(thread); err != nil {
				return err
			}
		}
	}
	return nil
}

// untilNext returns the time until the next timer is due, at most an hour.
func (w *waits) untilNext() time.Duration {
	d := time.Hour
	for _, t := range w.timers {
		d = min(d, time.Until(t.next))
	}
	return max(d, 0)
}

// fire calls the timers that are due. A timer that is late by several periods is called once and
// keeps its original schedule.
func (s *Session) fire(thread *starlark.Thread) error {
	for _, t := range s.waits.timers {
		if time.Now().Before(t.next) {
			continue
		}
		t.next = t.next.Add(t.every)
		if late := time.Since(t.next); late > 0 {
			t.next = t.next.Add((late/t.every + 1) * t.every)
		}
		s.records.Drain() // what was printed before precedes what the callback prints
		if err := s.run.Callback(thread, t.fn, nil); err != nil {
			return err
		}
	}
	return nil
}
