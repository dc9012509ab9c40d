package starlarkbind

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/starlarkbind/helpererr"
	"github.com/bpfrepl/bpfrepl/starlarkbind/overhead"
)

// watchOverhead starts to watch the overhead of the session's probes, if it is limited. Later calls
// do nothing.
func (s *Session) watchOverhead() {
	if s.opt.MaxOverhead == 0 || s.overhead != nil {
		return
	}
	s.overhead = overhead.Start(s.run, s.opt.MaxOverhead, func() []overhead.Probe {
		var out []overhead.Probe
		for _, p := range s.reg.allProbes() {
			out = append(out, measured{p})
		}
		return out
	}, s.out.ReportError)
}

// measured implements overhead.Probe.
type measured struct{ *Probe }

func (m measured) Attached() bool { return m.isAttached() }

func (m measured) Stats() (bpf.Stats, error) { return m.stats() }

// Exceeded implements overhead.Probe.
func (m measured) Exceeded(share float64) error {
	if err := m.detach(); err != nil {
		return err
	}
	m.tooExpensive(share)
	m.s.warnNew()
	return nil
}

// tooExpensive records that the probe was detached for its overhead. share is in percent.
func (p *Probe) tooExpensive(share float64) {
	now := uint64(sys.Monotonic())
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &helpererr.Error{Helper: helpererr.Overhead, Errno: "EDQUOT", Code: -int(unix.EDQUOT), Probe: p.name, Pos: p.pos.String(), Source: p.s.sources.Trimmed(p.pos),
		Message: fmt.Sprintf("%s took %.1f%% of all CPU time and was detached: --max-overhead=%g", p.name, share, p.s.opt.MaxOverhead),
		Hint:    "filter earlier, attach to fewer events, or allow more", Count: 1, First: now, Last: now}
	if p.over != nil { // the probe was attached again in between
		e.Count, e.First = p.over.Count+1, p.over.First
	}
	p.over = e
}
