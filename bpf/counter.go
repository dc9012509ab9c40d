package bpf

import (
	"fmt"
	"strconv"

	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

// A counterEvent is an event counted by the kernel or the processor, with its number for
// perf_event_open, which is the payload of its target.
type counterEvent struct {
	name, alias string
	config      uint64
	period      uint64 // default period
	clock       bool   // counts nanoseconds, with the shortest period of clocks
}

// listCounters returns the List function of a Provider.
func listCounters(kind string, events []counterEvent) func(string) ([]Target, error) {
	return func(pattern string) ([]Target, error) {
		var out []Target
		for _, e := range events {
			t := counter(kind, e, e.period)
			// Listed without the number, which is the default.
			t.Name, t.Parts = kind+":"+e.name, t.Parts[:1]
			out = append(out, filterTargets(pattern, t)...)
		}
		return out, nil
	}
}

func counter(kind string, e counterEvent, period uint64) Target {
	t := newTarget(kind, e.name, strconv.FormatUint(period, 10))
	t.Period, t.data = period, e.config
	return t
}

// resolveCounters returns the Resolve function of a Provider, for EVENT or EVENT:N.
func resolveCounters(events []counterEvent) func(Spec) ([]Target, error) {
	return func(s Spec) ([]Target, error) { return s.counters(events) }
}

func (s Spec) counters(events []counterEvent) ([]Target, error) {
	var n uint64
	if len(s.Args) == 2 {
		var err error
		if n, err = parseNumber(s, s.Args[1]); err != nil {
			return nil, err
		}
	}
	var out []Target
	var names []string
	for _, e := range events {
		names = append(names, e.name)
		if e.alias != "" {
			names = append(names, e.alias)
		}
		if !match(s.Args[0], e.name) && s.Args[0] != e.alias {
			continue
		}
		period := n
		if period == 0 {
			period = e.period
		}
		if e.clock && period < shortestPeriod {
			return nil, &RangeError{s.Text, fmt.Sprintf("a period of %dns is shorter than the kernel's limit of %dns", period, shortestPeriod)}
		}
		if period > 1<<62 {
			return nil, &RangeError{s.Text, fmt.Sprintf("the number %d is too large", period)}
		}
		out = append(out, counter(s.Kind, e, period))
	}
	if out == nil {
		e := &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("no %s event %q", s.Kind, s.Args[0])}
		for _, near := range suggest.Nearest(s.Args[0], names, 2) {
			e.Suggestions = append(e.Suggestions, s.Kind+":"+near)
		}
		return nil, e
	}
	return out, nil
}
