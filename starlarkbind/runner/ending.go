package runner

import (
	"context"
	"time"
)

// An Ending is an operation that the first Ctrl-C ends instead of the script: run(), or a loop over
// a stream.
type Ending struct {
	Came chan struct{} // closed on Ctrl-C
	late func()        // called if the operation continues for some time after Ctrl-C
	used bool
}

// Interruptible makes Ctrl-C end the operation that is about to begin, until end is called. late is
// called if the operation is still running CallbackGrace after Ctrl-C. At the prompt Ctrl-C always
// ends the whole item.
func (r *Runner) Interruptible(late func()) (e *Ending, end func()) {
	e = &Ending{Came: make(chan struct{}), late: late}
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
func (r *Runner) under(e *Ending) bool {
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
func (r *Runner) Interrupt() {
	r.mu.Lock()
	cancel := r.cancel
	var e *Ending
	if n := len(r.endings); n > 0 && !r.interactive && !r.endings[n-1].used {
		e = r.endings[n-1]
		e.used = true
	}
	r.mu.Unlock()
	if e == nil {
		cancel()
		return
	}
	close(e.Came)
	time.AfterFunc(CallbackGrace, func() {
		if r.under(e) {
			e.late()
		}
	})
}

// Ended reports whether Ctrl-C was pressed or ctx is cancelled.
func (e *Ending) Ended(ctx context.Context) bool {
	select {
	case <-e.Came:
		return true
	default:
		return ctx.Err() != nil
	}
}
