package bpf

import (
	"fmt"
	"strconv"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

var softwares = Provider{
	Kind: "software", Alias: "s", Syntax: "software:EVENT or software:EVENT:N",
	Doc:     "A counter of the kernel, on every CPU: the handler runs at every Nth event (nanoseconds for the clocks).",
	Example: "software:page-faults:100",
	minArgs: 1, maxArgs: 2,
	List: func(pattern string) ([]Target, error) {
		var out []Target
		for _, e := range softwareEvents {
			t := counter(e, e.period)
			// Listed without the number, which is the default one.
			t.Name, t.Parts = "software:"+e.name, t.Parts[:1]
			out = append(out, filterTargets(pattern, t)...)
		}
		return out, nil
	},
	Resolve: resolveSoftware,
	types:   only(ebpf.PerfEvent),
	attach: func(t Target, p *Program, o AttachOptions) (*Attachment, error) {
		return attachPerf(t, t.config, p, o)
	},
}

// A softwareEvent is one of the kernel's PERF_COUNT_SW_*. Names, aliases and default periods are bpftrace's.
type softwareEvent struct {
	name, alias string
	config      uint64
	period      uint64
}

var softwareEvents = []softwareEvent{
	{"alignment-faults", "", unix.PERF_COUNT_SW_ALIGNMENT_FAULTS, 1},
	{"bpf-output", "", unix.PERF_COUNT_SW_BPF_OUTPUT, 1},
	{"context-switches", "cs", unix.PERF_COUNT_SW_CONTEXT_SWITCHES, 1000},
	{"cpu-clock", "cpu", unix.PERF_COUNT_SW_CPU_CLOCK, 1_000_000},
	{"cpu-migrations", "", unix.PERF_COUNT_SW_CPU_MIGRATIONS, 1},
	{"dummy", "", unix.PERF_COUNT_SW_DUMMY, 1},
	{"emulation-faults", "", unix.PERF_COUNT_SW_EMULATION_FAULTS, 1},
	{"major-faults", "", unix.PERF_COUNT_SW_PAGE_FAULTS_MAJ, 1},
	{"minor-faults", "", unix.PERF_COUNT_SW_PAGE_FAULTS_MIN, 100},
	{"page-faults", "faults", unix.PERF_COUNT_SW_PAGE_FAULTS, 100},
	{"task-clock", "", unix.PERF_COUNT_SW_TASK_CLOCK, 1_000_000},
}

func counter(e softwareEvent, period uint64) Target {
	t := newTarget("software", e.name, strconv.FormatUint(period, 10))
	t.Period, t.config = period, e.config
	return t
}

func resolveSoftware(s Spec) ([]Target, error) {
	var n uint64
	if len(s.Args) == 2 {
		var err error
		if n, err = parseNumber(s, s.Args[1]); err != nil {
			return nil, err
		}
	}
	var out []Target
	var names []string
	for _, e := range softwareEvents {
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
		clock := e.config == unix.PERF_COUNT_SW_CPU_CLOCK || e.config == unix.PERF_COUNT_SW_TASK_CLOCK
		if clock && period < shortestPeriod {
			return nil, &RangeError{s.Text, fmt.Sprintf("a period of %dns is shorter than the kernel's limit of %dns", period, shortestPeriod)}
		}
		if period > 1<<62 {
			return nil, &RangeError{s.Text, fmt.Sprintf("the number %d is too large", period)}
		}
		out = append(out, counter(e, period))
	}
	if out == nil {
		e := &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("no software event %q", s.Args[0])}
		for _, near := range suggest.Nearest(s.Args[0], names, 2) {
			e.Near = append(e.Near, "software:"+near)
		}
		return nil, e
	}
	return out, nil
}
