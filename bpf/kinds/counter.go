package kinds

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

var softwareProvider = Provider{
	Kind: "software", Alias: "s", Syntax: "software:EVENT or software:EVENT:N",
	Doc:     "A kernel counter, on every CPU: the handler runs at every Nth event (nanoseconds for the clocks).",
	Example: "software:page-faults:100",
	minArgs: 1, maxArgs: 2,
	List:    listCounters("software", softwareEvents),
	Resolve: resolveCounters(softwareEvents),
	Driver: bpf.Driver{
		PIDFilter:    filterPerf,
		Context:      abi.Context{Registers: true},
		ProgramTypes: only(ebpf.PerfEvent),
		Attach: func(t bpf.Target, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
			return bpf.AttachPerf(t, unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: payload[uint64](t), Sample: t.Period}, false, p, o)
		},
	},
}

// softwareEvents are the PERF_COUNT_SW_* events, with bpftrace's names, aliases and default
// periods.
var softwareEvents = []counterEvent{
	{"alignment-faults", "", unix.PERF_COUNT_SW_ALIGNMENT_FAULTS, 1, false},
	{"bpf-output", "", unix.PERF_COUNT_SW_BPF_OUTPUT, 1, false},
	{"context-switches", "cs", unix.PERF_COUNT_SW_CONTEXT_SWITCHES, 1000, false},
	{"cpu-clock", "cpu", unix.PERF_COUNT_SW_CPU_CLOCK, 1_000_000, true},
	{"cpu-migrations", "", unix.PERF_COUNT_SW_CPU_MIGRATIONS, 1, false},
	{"dummy", "", unix.PERF_COUNT_SW_DUMMY, 1, false},
	{"emulation-faults", "", unix.PERF_COUNT_SW_EMULATION_FAULTS, 1, false},
	{"major-faults", "", unix.PERF_COUNT_SW_PAGE_FAULTS_MAJ, 1, false},
	{"minor-faults", "", unix.PERF_COUNT_SW_PAGE_FAULTS_MIN, 100, false},
	{"page-faults", "faults", unix.PERF_COUNT_SW_PAGE_FAULTS, 100, false},
	{"task-clock", "", unix.PERF_COUNT_SW_TASK_CLOCK, 1_000_000, true},
}

var hardwareProvider = Provider{
	Kind: "hardware", Alias: "h", Syntax: "hardware:EVENT or hardware:EVENT:N",
	Doc:     "A processor counter, on every CPU: the handler runs at every Nth event.",
	Example: "hardware:cache-misses:10000",
	minArgs: 1, maxArgs: 2,
	usable:  usableHardware,
	List:    listCounters("hardware", hardwareEvents),
	Resolve: resolveCounters(hardwareEvents),
	Driver: bpf.Driver{
		PIDFilter:    filterPerf,
		Context:      abi.Context{Registers: true},
		ProgramTypes: only(ebpf.PerfEvent),
		Attach: func(t bpf.Target, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
			a, err := bpf.AttachPerf(t, unix.PerfEventAttr{Type: unix.PERF_TYPE_HARDWARE, Config: payload[uint64](t), Sample: t.Period}, false, p, o)
			var e *bpf.AttachError
			if errors.As(err, &e) && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL)) {
				e.Reason, e.Hint = "this processor does not count that event", "bpfrepl -l hardware lists others"
				if !hasPMU() {
					e.Reason, e.Hint = noPMU, noPMUHint
				}
			}
			return a, err
		},
	},
}

const (
	noPMU     = "no processor counters are available here, as in most virtual machines"
	noPMUHint = "use profile:hz:99, or a software: event"
)

// usableHardware returns a *NotFoundError if the kernel has no driver for the processor's counters.
func usableHardware(kind string) error {
	if hasPMU() {
		return nil
	}
	return &NotFoundError{Spec: kind, Reason: noPMU, Hint: noPMUHint}
}

// hasPMU reports whether the kernel has a driver for the processor's counters. The device name
// depends on the processor.
func hasPMU() bool {
	for _, name := range []string{"cpu", "cpu_core", "armv8_pmuv3_0", "armv8_pmuv3"} {
		if _, err := os.Stat("/sys/bus/event_source/devices/" + name); err == nil {
			return true
		}
	}
	return false
}

// hardwareEvents are the PERF_COUNT_HW_* events, with bpftrace's names, aliases and default
// periods.
var hardwareEvents = []counterEvent{
	{"backend-stalls", "", unix.PERF_COUNT_HW_STALLED_CYCLES_BACKEND, 1_000_000, false},
	{"branch-instructions", "branches", unix.PERF_COUNT_HW_BRANCH_INSTRUCTIONS, 100_000, false},
	{"branch-misses", "", unix.PERF_COUNT_HW_BRANCH_MISSES, 100_000, false},
	{"bus-cycles", "", unix.PERF_COUNT_HW_BUS_CYCLES, 100_000, false},
	{"cache-misses", "", unix.PERF_COUNT_HW_CACHE_MISSES, 1_000_000, false},
	{"cache-references", "", unix.PERF_COUNT_HW_CACHE_REFERENCES, 1_000_000, false},
	{"cpu-cycles", "cycles", unix.PERF_COUNT_HW_CPU_CYCLES, 1_000_000, false},
	{"frontend-stalls", "", unix.PERF_COUNT_HW_STALLED_CYCLES_FRONTEND, 1_000_000, false},
	{"instructions", "", unix.PERF_COUNT_HW_INSTRUCTIONS, 1_000_000, false},
	{"ref-cycles", "", unix.PERF_COUNT_HW_REF_CPU_CYCLES, 1_000_000, false},
}

// A counterEvent is an event counted by the kernel or the processor, with its number for
// perf_event_open, which is the payload of its target.
type counterEvent struct {
	name, alias string
	config      uint64
	period      uint64 // default period
	clock       bool   // counts nanoseconds, with the shortest period of clocks
}

// listCounters returns the List function of a Provider.
func listCounters(kind string, events []counterEvent) func(string) ([]bpf.Target, error) {
	return func(pattern string) ([]bpf.Target, error) {
		var out []bpf.Target
		for _, e := range events {
			t := counter(kind, e, e.period)
			// Listed without the number, which is the default.
			t.Name, t.Parts = kind+":"+e.name, t.Parts[:1]
			out = append(out, filterTargets(pattern, t)...)
		}
		return out, nil
	}
}

func counter(kind string, e counterEvent, period uint64) bpf.Target {
	t := newTarget(kind, e.name, strconv.FormatUint(period, 10))
	t.Period, t.Payload = period, e.config
	return t
}

// resolveCounters returns the Resolve function of a Provider, for EVENT or EVENT:N.
func resolveCounters(events []counterEvent) func(Spec) ([]bpf.Target, error) {
	return func(s Spec) ([]bpf.Target, error) { return s.counters(events) }
}

func (s Spec) counters(events []counterEvent) ([]bpf.Target, error) {
	var n uint64
	if len(s.Args) == 2 {
		var err error
		if n, err = parseNumber(s, s.Args[1]); err != nil {
			return nil, err
		}
	}
	var out []bpf.Target
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
