package starlarkbind

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
	"github.com/bpfrepl/bpfrepl/starlarkbind/records"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"github.com/bpfrepl/bpfrepl/starlarkbind/std"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// When a script does something without effect, or collects data that nobody reads, a note on stderr
// says so. Notes are for people. They are plain text in every output format and go to stderr, so
// they do not disturb programs that read the output.

// noteIdle prints a note if a probe with missing="ignore" found no target.
func (s *Session) noteIdle(p *Probe) {
	if !p.empty() {
		return
	}
	s.warner.Note(`probe(%q) matched nothing (missing="ignore"): its handler never runs`, strings.Join(p.spec, ", "))
}

// noteWait prints a note if nothing can happen during run(). forever means that only Ctrl-C ends
// run().
func (s *Session) noteWait(forever bool) {
	live, limited := 0, true
	for _, p := range s.reg.allProbes() {
		if p.isAttached() && !p.empty() {
			live++
			limited = limited && p.pid != 0
		}
	}
	until := ""
	if forever {
		until = "; Ctrl-C ends run()"
	}
	over := false
	if s.opt.Command != nil {
		_, over = s.opt.Command.ExitCode()
	}
	switch {
	case live > 0 && limited && over:
		s.warner.Note("the -c command has ended, and the probes are limited to it: nothing more is counted%s", until)
	case live == 0 && forever && len(s.waits.timers) == 0:
		s.warner.Note("run() has nothing to wait for: no probe is attached, and there is no every()%s", until)
	}
}

// noteUnused prints a note if a script ended without waiting, so that its probes counted almost
// nothing.
func (s *Session) noteUnused() {
	n := 0
	for _, p := range s.reg.allProbes() {
		if p.isAttached() && !p.empty() {
			n++
		}
	}
	if s.done.waited || n == 0 {
		return
	}
	its := "its probe was"
	if n > 1 {
		its = fmt.Sprintf("its %d probes were", n)
	}
	s.warner.Note("the script ended without run(), so %s attached only for a moment: end the script with run(), or with run(5) for five seconds", its)
}

// noteUnchecked lists the probes that --check did not reach. It stops where the script would wait
// for events. Probes in functions of the standard library that the script does not call are no
// part of it.
func (s *Session) noteUnchecked() {
	var at []string
	for _, call := range s.sources.Probes {
		if pos := call.Lparen; !strings.HasPrefix(pos.Filename(), std.Prefix) && !s.sources.Made[source.PlaceOf(pos)] {
			at = append(at, fmt.Sprintf("%s:%d", pos.Filename(), pos.Line))
		}
	}
	if at != nil {
		s.warner.Note("--check stops where the script waits for events; not checked: probe() at %s", strings.Join(at, ", "))
	}
}

// summarize prints the maps that the script filled but never read, at the end of the script, as
// bpftrace does.
func (s *Session) summarize() {
	if s.opt.NoSummary || s.flags.Help() {
		return
	}
	for _, m := range s.reg.maps {
		switch m := m.(type) {
		case *maps.Aggregation:
			if !m.Seen() && m.KernelMap() != nil {
				s.printLate(m)
			}
		case *maps.Table:
			if !m.Seen() && m.KernelMap() != nil && s.sources.OnlyWritten(m.Name()) {
				s.printLate(m)
			}
		case *records.Stream:
			s.noteUnread(m)
		}
	}
}

// printLate prints a map as print does. If the script writes CSV or JSON itself, which a table
// would corrupt, the map goes to stderr.
func (s *Session) printLate(m starlark.Value) {
	if s.exports.Used && !s.out.JSON() {
		s.out.ErrText(s.text(m) + "\n")
		return
	}
	if _, err := s.builtinPrint(nil, nil, starlark.Tuple{m}, nil); err != nil && s.out.Failed() == nil {
		s.out.ReportError(err)
	}
}

func (s *Session) noteUnread(st *records.Stream) {
	n, err := st.Unread()
	if err != nil {
		s.out.ReportError(err)
		return
	}
	if n > 0 {
		s.warner.Note("stream %s: %d records were emitted, but none was read: use for ev in %s: ..., or %s.each(fn) before run()", st.Name(), n, st.Name(), st.Name())
	}
}

// warnLeft reports the records that the callbacks of streams have not received.
func (s *Session) warnLeft() {
	for _, m := range s.reg.maps {
		if st, ok := m.(*records.Stream); ok {
			st.WarnLeft()
		}
	}
}

// warnFill warns about maps that are nearly full, once per map.
func (s *Session) warnFill() {
	if s.opt.Warnings == warnings.None {
		return
	}
	for _, m := range s.reg.allMaps() {
		if m, ok := m.(maps.Map); ok {
			if err := m.WarnFill(); err != nil {
				s.out.ReportError(err)
			}
		}
	}
}

// warnEvicted reports at the end how many keys each table with lru=True lost. The script asked for
// eviction, so this is reported with --warnings=all only.
func (s *Session) warnEvicted() {
	if s.opt.Warnings != warnings.All {
		return
	}
	for _, m := range s.reg.maps {
		if t, ok := m.(*maps.Table); ok {
			if err := t.WarnEvicted(); err != nil {
				s.out.ReportError(err)
			}
		}
	}
}
