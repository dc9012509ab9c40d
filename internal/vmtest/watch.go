package vmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"
)

// vminit prints a beat on the console every few seconds, while every processor makes progress: each has a thread of vminit that
// counts. So a kernel in which one processor turns in circles has no beat, even if the other goes on. The beat has the CPU time
// that the program and its children have used, in clock ticks.
var beat = regexp.MustCompile(`@@vm beat=(\d+) ticks=(\d+)@@`)

// idleTicks is how little CPU time counts as none: the runtime of an idle Go program takes some.
const idleTicks = 20

// A watch looks at the console of a machine, and ends one that is unfit, locked up or idle.
type watch struct {
	console string
	idle    time.Duration
	stop    context.CancelCauseFunc
	begun   atomic.Bool
	printed counter // what the program printed
}

// counter counts bytes.
type counter struct{ n atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func (w *watch) run(ctx context.Context) {
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	var p progress
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		text, err := os.ReadFile(w.console)
		if errors.Is(err, os.ErrNotExist) { // QEMU has not made it yet
			continue
		}
		if err == nil {
			err = p.look(time.Now(), text, w.begun.Load(), w.printed.n.Load(), w.idle)
		}
		if err != nil {
			w.stop(err)
			return
		}
	}
}

// progress is when a machine last made any.
type progress struct {
	beats, ticks, printed int64
	beatAt, workAt        time.Time
}

// look returns why the machine is to end, or nil.
func (p *progress) look(now time.Time, console []byte, begun bool, printed int64, idle time.Duration) error {
	if bytes.Contains(console, []byte(noTimer)) {
		return errUnfit
	}
	if !begun {
		p.beatAt, p.workAt = now, now
		return nil
	}
	var beats, ticks int64
	if all := beat.FindAllSubmatch(console, -1); all != nil {
		last := all[len(all)-1]
		var err1, err2 error
		beats, err1 = strconv.ParseInt(string(last[1]), 10, 64)
		ticks, err2 = strconv.ParseInt(string(last[2]), 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
	}
	if beats != p.beats {
		p.beats, p.beatAt = beats, now
	}
	if printed != p.printed || ticks > p.ticks+idleTicks || ticks < p.ticks {
		p.printed, p.ticks, p.workAt = printed, ticks, now
	}
	if d := now.Sub(p.beatAt); d > lockupLimit {
		return fmt.Errorf("%w: a processor made no progress for %.0f s", ErrLockup, d.Seconds())
	}
	if d := now.Sub(p.workAt); idle > 0 && d > idle {
		return fmt.Errorf("%w for %.0f s", ErrIdle, d.Seconds())
	}
	return nil
}
