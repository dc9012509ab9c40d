package starlarkbind

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// --max-overhead: the kernel measures each program's time (BPF_ENABLE_STATS). Once a second it is looked at what share of all
// CPUs' time the handlers took since the last look; is it more than is allowed, then the most expensive probe is detached, and
// errors() tells of it as of any helper error. What it costs to get to a handler, the trap of a uprobe above all, the kernel
// does not measure.

// overheadEvery is how often the share is looked at, and over what time.
const overheadEvery = time.Second

// overheadHelper stands in a helper_error for the name of the helper that failed.
const overheadHelper = "max_overhead"

// An overhead is the watch over a session's probes.
type overhead struct{ quit, done chan struct{} }

// watchOverhead begins the watch; later calls do nothing.
func (s *Session) watchOverhead() {
	if s.opt.MaxOverhead == 0 || s.overhead != nil {
		return
	}
	s.overhead = &overhead{make(chan struct{}), make(chan struct{})}
	go s.recoverGoroutine(s.overhead.watch(s))
}

// close ends the watch.
func (o *overhead) close() {
	close(o.quit)
	<-o.done
}

func (o *overhead) watch(s *Session) func() {
	return func() {
		defer close(o.done)
		cpus, err := sys.OnlineCPUs()
		if err != nil {
			s.reportError(err)
			return
		}
		took := map[*Probe]time.Duration{} // until the last look
		last := time.Now()
		tick := time.NewTicker(overheadEvery)
		defer tick.Stop()
		for {
			select {
			case <-o.quit:
				return
			case <-tick.C:
			}
			now := time.Now()
			whole := now.Sub(last) * time.Duration(len(cpus))
			last = now
			if err := s.lookAtOverhead(took, whole); err != nil {
				s.reportError(err)
				return
			}
		}
	}
}

// lookAtOverhead detaches the most expensive probe, if all of them together took too much of a time.
func (s *Session) lookAtOverhead(took map[*Probe]time.Duration, whole time.Duration) error {
	var all, most time.Duration
	var worst *Probe
	for _, p := range s.allProbes() {
		st, err := p.stats()
		if err != nil {
			return err
		}
		d := st.Time - took[p]
		took[p] = st.Time
		if all += d; d > most && p.isAttached() {
			worst, most = p, d
		}
	}
	if worst == nil || percent(all, whole) <= s.opt.MaxOverhead {
		return nil
	}
	if err := worst.detach(); err != nil {
		return err
	}
	worst.tooExpensive(percent(most, whole))
	s.warnNew()
	return nil
}

func percent(part, whole time.Duration) float64 { return 100 * float64(part) / float64(whole) }

// tooExpensive notes that the probe was detached.
func (p *Probe) tooExpensive(share float64) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		p.s.reportError(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &helperError{helper: overheadHelper, errno: "EDQUOT", code: -int(unix.EDQUOT), probe: p.name, pos: p.pos.String(), source: p.s.sources.trimmed(p.pos),
		message: fmt.Sprintf("%s took %.1f%% of all CPUs' time, and was detached: --max-overhead=%g", p.name, share, p.s.opt.MaxOverhead),
		hint:    "filter earlier, attach to fewer events, or allow more", count: 1, first: uint64(ts.Nano()), last: uint64(ts.Nano())}
	if p.over != nil { // it was attached again
		e.count, e.first = p.over.count+1, p.over.first
	}
	p.over = e
}

// overheadError gives what tooExpensive noted, or nil.
func (p *Probe) overheadError() *helperError {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}
