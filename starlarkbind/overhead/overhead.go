// Package overhead implements --max-overhead. The kernel measures each program's run time
// (BPF_ENABLE_STATS). Once a second the share of all CPU time that the handlers took since the last
// check is computed. If it exceeds the limit, the most expensive probe is detached (Watch.check;
// what detaching a probe means is up to the session, in starlarkbind/errors.go). The kernel does
// not measure the cost of reaching a handler, above all the trap of a uprobe.
package overhead

import (
	"time"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// interval is the time between checks, over which the share is computed.
const interval = time.Second

// A Probe is a probe whose run time is watched. Equal values are the same probe.
type Probe interface {
	Stats() (bpf.Stats, error)
	Attached() bool
	// Exceeded detaches the probe, which took this share of all CPU time, in percent.
	Exceeded(share float64) error
}

// A Watch watches the run time of a session's probes.
type Watch struct {
	limit      float64
	probes     func() []Probe
	report     func(error)
	quit, done chan struct{}
}

// Start starts to watch probes. limit is in percent of the time of all CPUs. report is called with
// an error that ends the watch.
func Start(run *runner.Runner, limit float64, probes func() []Probe, report func(error)) *Watch {
	w := &Watch{limit, probes, report, make(chan struct{}), make(chan struct{})}
	go run.RecoverGoroutine(w.watch)
	return w
}

// Close ends the watch.
func (w *Watch) Close() {
	close(w.quit)
	<-w.done
}

func (w *Watch) watch() {
	defer close(w.done)
	cpus, err := sys.OnlineCPUs()
	if err != nil {
		w.report(err)
		return
	}
	took := map[Probe]time.Duration{} // run time up to the last check
	last := time.Now()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-w.quit:
			return
		case <-tick.C:
		}
		now := time.Now()
		whole := now.Sub(last) * time.Duration(len(cpus))
		last = now
		if err := w.check(took, whole); err != nil {
			w.report(err)
			return
		}
	}
}

// check calls Exceeded for the most expensive probe if all probes together took too large a share
// of whole, the elapsed time of all CPUs.
func (w *Watch) check(took map[Probe]time.Duration, whole time.Duration) error {
	var all, most time.Duration
	var worst Probe
	for _, p := range w.probes() {
		st, err := p.Stats()
		if err != nil {
			return err
		}
		d := st.Time - took[p]
		took[p] = st.Time
		if all += d; d > most && p.Attached() {
			worst, most = p, d
		}
	}
	if worst == nil || percent(all, whole) <= w.limit {
		return nil
	}
	return worst.Exceeded(percent(most, whole))
}

func percent(part, whole time.Duration) float64 { return 100 * float64(part) / float64(whole) }
