package starlarkbind

import (
	"context"
	"time"
)

// An ending is something that the first Ctrl-C ends in place of the script: run(), or a loop over a stream.
type ending struct {
	came chan struct{} // closed by Ctrl-C
	late func()        // called when it still goes on some time after Ctrl-C
	used bool
}

// interruptible makes Ctrl-C end what is about to begin, until end is called. At the prompt Ctrl-C ends the item in any case.
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

// under reports whether an ending has not ended.
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

// Interrupt is Ctrl-C. In a script it ends run(), or a loop over a stream, and what comes after goes on: it prints what was counted;
// outside of these, or a second time, it ends the script. It may be called from any goroutine.
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

// ended reports whether Ctrl-C has come, or the script is to end.
func (e *ending) ended(ctx context.Context) bool {
	select {
	case <-e.came:
		return true
	default:
		return ctx.Err() != nil
	}
}
