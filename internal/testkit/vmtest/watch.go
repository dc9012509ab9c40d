package vmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// beat matches the line that vminit prints on the console every few seconds while every CPU makes
// progress: vminit has a counting thread on each CPU. So a kernel in which one CPU spins stops
// printing beats, even if the other CPU continues. A beat contains the CPU time that the program
// and its children have used, in clock ticks.
var beat = regexp.MustCompile(`@@vm beat=(\d+) ticks=(\d+)@@`)

// idleTicks is the CPU time below which a program counts as idle: the runtime of an idle Go program
// uses some.
const idleTicks = 20

// A watch monitors the console of a virtual machine and stops the machine if it is unfit, locked up
// or idle.
type watch struct {
	console string
	pid     int // QEMU's process ID
	idle    time.Duration
	stop    context.CancelCauseFunc
	begun   atomic.Bool
	printed counter // bytes that the program printed
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
	p := progress{startAt: time.Now()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		text, err := os.ReadFile(w.console)
		if errors.Is(err, os.ErrNotExist) { // QEMU has not created it yet
			continue
		}
		var cpu time.Duration
		if err == nil {
			cpu, err = cpuTime(w.pid)
		}
		if err == nil {
			err = p.look(time.Now(), cpu, text, w.begun.Load(), w.printed.n.Load(), w.idle)
		}
		if err != nil {
			w.stop(err)
			return
		}
	}
}

// cpuTime returns the CPU time that the process with the given ID has used.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest) // starts with the state, which is field 3
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * (time.Second / 100), errors.Join(err1, err2)
}

// progress records when a virtual machine last made progress.
type progress struct {
	startAt               time.Time
	beats, ticks, printed int64
	beatAt, workAt        time.Time
	beatCPU               time.Duration // CPU time that QEMU had used at beatAt
}

// look returns the reason to stop the virtual machine, or nil. cpu is the CPU time that QEMU has
// used.
func (p *progress) look(now time.Time, cpu time.Duration, console []byte, begun bool, printed int64, idle time.Duration) error {
	if bytes.Contains(console, []byte(noTimer)) {
		return errUnfit
	}
	if !begun {
		p.beatAt, p.workAt, p.beatCPU = now, now, cpu
		if took := now.Sub(p.startAt); cpu > bootCPU || took > bootLimit {
			return fmt.Errorf("%w in %.0f s, with %.0f s of CPU time", errStuck, took.Seconds(), cpu.Seconds())
		}
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
		p.beats, p.beatAt, p.beatCPU = beats, now, cpu
	}
	if printed != p.printed || ticks > p.ticks+idleTicks || ticks < p.ticks {
		p.printed, p.ticks, p.workAt = printed, ticks, now
	}
	if d := now.Sub(p.beatAt); d > lockupLimit && cpu-p.beatCPU > lockupCPU || d > lockupWait {
		return fmt.Errorf("%w: a processor made no progress for %.0f s", ErrLockup, d.Seconds())
	}
	if d := now.Sub(p.workAt); idle > 0 && d > idle {
		return fmt.Errorf("%w for %.0f s", ErrIdle, d.Seconds())
	}
	return nil
}
