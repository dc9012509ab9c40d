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
func (s *Session) interruptible(late func()) (e *ending, end func()) {
	e = &ending{came: make(chan struct{}), late: late}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endings = append(s.endings, e)
	return e, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, x := range s.endings {
			if x == e {
				s.endings = append(s.endings[:i:i], s.endings[i+1:]...)
			}
		}
	}
}

// under reports whether the operation of e is still running.
func (s *Session) under(e *ending) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.endings {
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
	s.mu.Lock()
	cancel := s.cancel
	var e *ending
	if n := len(s.endings); n > 0 && !s.opt.Interactive && !s.endings[n-1].used {
		e = s.endings[n-1]
		e.used = true
	}
	s.mu.Unlock()
	if e == nil {
		cancel()
		return
	}
	close(e.came)
	time.AfterFunc(callbackGrace, func() {
		if s.under(e) {
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
