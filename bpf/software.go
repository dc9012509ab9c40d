package bpf

import (
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

var softwareProvider = Provider{
	Kind: "software", Alias: "s", Syntax: "software:EVENT or software:EVENT:N",
	Doc:     "A kernel counter, on every CPU: the handler runs at every Nth event (nanoseconds for the clocks).",
	Example: "software:page-faults:100",
	minArgs: 1, maxArgs: 2, pidFilter: filterPerf,
	Context:      abi.Context{Registers: true},
	List:         listCounters("software", softwareEvents),
	Resolve:      resolveCounters(softwareEvents),
	programTypes: only(ebpf.PerfEvent),
	attach: func(t Target, p *Program, o AttachOptions) (*Attachment, error) {
		return attachPerf(t, unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: payload[uint64](t), Sample: t.Period}, p, o)
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
