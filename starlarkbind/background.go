package starlarkbind

import (
	"context"
	"errors"
	"time"

	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// While the prompt waits for input, records of streams are passed to their callbacks, and warnings
// about new errors are printed.

// serveEvery is the interval at which streams are checked for records.
const serveEvery = 50 * time.Millisecond

// Background serves streams and prints warnings in the background until ctx is cancelled.
func (s *Session) Background(ctx context.Context) {
	s.run.RecoverGoroutine(func() { s.background(ctx) })
}

func (s *Session) background(ctx context.Context) {
	warn, serve := time.NewTicker(warnEvery), time.NewTicker(serveEvery)
	defer warn.Stop()
	defer serve.Stop()
	for {
		select {
		case <-warn.C:
			s.run.UnlessBusy(func() { s.warnNew(); s.warnFill() })
		case <-serve.C:
			s.run.UnlessBusy(func() { s.serve(ctx) })
		case <-ctx.Done():
			return
		}
	}
}

// serve calls the callbacks of streams. It stops after half of serveEvery, so that the prompt stays
// responsive; the next call handles the remaining records.
func (s *Session) serve(ctx context.Context) {
	until := time.Now().Add(serveEvery / 2)
	for _, st := range s.reg.streams() {
		err := st.Serve(ctx, until)
		if errors.Is(err, runner.ErrCallbackCancelled) || ctx.Err() != nil {
			return // let the waiting item run
		}
		if err != nil {
			s.out.ErrText(s.FormatError(err) + "\n    " + st.Name() + ".each() has ended\n")
		}
	}
}
