package starlarkbind

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/starlarkbind/helpererr"
)

// With --max-overhead, the kernel measures each program's run time (BPF_ENABLE_STATS). Once a
// second the share of all CPU time that the handlers took since the last check is computed. If it
// exceeds the limit, the most expensive probe is detached, and errors() reports this like a helper
// error. The kernel does not measure the cost of reaching a handler, above all the trap of a
// uprobe.

// overheadEvery is the interval between checks, over which the share is computed.
const overheadEvery = time.Second

// overheadHelper is used as the name of the helper in the helper_error.
const overheadHelper = "max_overhead"

// An overhead watches the run time of a session's probes.
type overhead struct{ quit, done chan struct{} }

// watchOverhead starts the watch. Later calls do nothing.
func (s *Session) watchOverhead() {
	if s.opt.MaxOverhead == 0 || s.overhead != nil {
		return
	}
	s.overhead = &overhead{make(chan struct{}), make(chan struct{})}
	go s.run.RecoverGoroutine(s.overhead.watch(s))
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
			s.out.ReportError(err)
			return
		}
		took := map[*Probe]time.Duration{} // run time up to the last check
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
				s.out.ReportError(err)
				return
			}
		}
	}
}

// lookAtOverhead detaches the most expensive probe if all probes together took too large a share of
// whole, the elapsed time of all CPUs.
func (s *Session) lookAtOverhead(took map[*Probe]time.Duration, whole time.Duration) error {
	var all, most time.Duration
	var worst *Probe
	for _, p := range s.reg.allProbes() {
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

// tooExpensive records that the probe was detached for its overhead. share is in percent.
func (p *Probe) tooExpensive(share float64) {
	now := uint64(sys.Monotonic())
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &helpererr.Error{Helper: overheadHelper, Errno: "EDQUOT", Code: -int(unix.EDQUOT), Probe: p.name, Pos: p.pos.String(), Source: p.s.sources.Trimmed(p.pos),
		Message: fmt.Sprintf("%s took %.1f%% of all CPU time and was detached: --max-overhead=%g", p.name, share, p.s.opt.MaxOverhead),
		Hint:    "filter earlier, attach to fewer events, or allow more", Count: 1, First: now, Last: now}
	if p.over != nil { // the probe was attached again in between
		e.Count, e.First = p.over.Count+1, p.over.First
	}
	p.over = e
}

// overheadError returns what tooExpensive recorded, or nil.
func (p *Probe) overheadError() *helpererr.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}
