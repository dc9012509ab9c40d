package starlarkbind

import (
	"context"
	"time"
)

// An ending is an operation that the first Ctrl-C ends instead of the script: run(), or a loop over
// a stream.
type ending struct {
	came chan struct{} // closed on Ctrl-C
	late func()        // called if the operation continues for some time after Ctrl-C
	used bool
}

// interruptible makes Ctrl-C end the operation that is about to begin, until end is called. late is
// called if the operation is still running callbackGrace after Ctrl-C. At the prompt Ctrl-C always
// ends the whole item.
func (r *runner) interruptible(late func()) (e *ending, end func()) {
	e = &ending{came: make(chan struct{}), late: late}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endings = append(r.endings, e)
	return e, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, x := range r.endings {
			if x == e {
				r.endings = append(r.endings[:i:i], r.endings[i+1:]...)
			}
		}
	}
}

// under reports whether the operation of e is still running.
func (r *runner) under(e *ending) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.endings {
		if x == e {
			return true
		}
	}
	return false
}

// Interrupt handles Ctrl-C. In a script the first one ends run() or a loop over a stream, and the
// script continues: it prints what was counted. Outside of these, or the second time, it ends the
// script. Interrupt may be called from any goroutine.
func (s *Session) Interrupt() {
	s.run.mu.Lock()
	cancel := s.run.cancel
	var e *ending
	if n := len(s.run.endings); n > 0 && !s.opt.Interactive && !s.run.endings[n-1].used {
		e = s.run.endings[n-1]
		e.used = true
	}
	s.run.mu.Unlock()
	if e == nil {
		cancel()
		return
	}
	close(e.came)
	time.AfterFunc(callbackGrace, func() {
		if s.run.under(e) {
			e.late()
		}
	})
}

// ended reports whether Ctrl-C was pressed or ctx is cancelled.
func (e *ending) ended(ctx context.Context) bool {
	select {
	case <-e.came:
		return true
	default:
		return ctx.Err() != nil
	}
}
