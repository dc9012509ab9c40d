package bpf

import (
	"errors"
	"os"

	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

var hardwareProvider = Provider{
	Kind: "hardware", Alias: "h", Syntax: "hardware:EVENT or hardware:EVENT:N",
	Doc:     "A processor counter, on every CPU: the handler runs at every Nth event.",
	Example: "hardware:cache-misses:10000",
	minArgs: 1, maxArgs: 2, pidFilter: filterPerf,
	Context:      abi.Context{Registers: true},
	usable:       usableHardware,
	List:         listCounters("hardware", hardwareEvents),
	Resolve:      resolveCounters(hardwareEvents),
	programTypes: only(ebpf.PerfEvent),
	attach: func(t Target, p *Program, o AttachOptions) (*Attachment, error) {
		a, err := attachPerf(t, unix.PerfEventAttr{Type: unix.PERF_TYPE_HARDWARE, Config: payload[uint64](t), Sample: t.Period}, p, o)
		var e *AttachError
		if errors.As(err, &e) && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL)) {
			e.Reason, e.Hint = "this processor does not count that event", "bpfrepl -l hardware lists others"
			if !hasPMU() {
				e.Reason, e.Hint = noPMU, noPMUHint
			}
		}
		return a, err
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
