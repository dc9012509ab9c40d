package kinds

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

var profileProvider = Provider{
	Kind: "profile", Alias: "p", Syntax: "profile:UNIT:N with the unit hz, s, ms or us",
	Doc:     "A timer on every CPU: N times a second, or every N seconds, milliseconds or microseconds.",
	Example: "profile:hz:99",
	minArgs: 2, maxArgs: 2,
	List: func(pattern string) ([]bpf.Target, error) {
		return filterTargets(pattern, timer("profile", "hz", 99), timer("profile", "s", 1), timer("profile", "ms", 10), timer("profile", "us", 100)), nil
	},
	Resolve: resolveTimer,
	Driver: bpf.Driver{
		PIDFilter:    filterPerf,
		Context:      abi.Context{Registers: true},
		ProgramTypes: only(ebpf.PerfEvent),
		Attach: func(t bpf.Target, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
			return bpf.AttachPerf(t, cpuClock(t), false, p, o)
		},
	},
}

var intervalProvider = Provider{
	Kind: "interval", Alias: "i", Syntax: "interval:UNIT:N with the unit hz, s, ms or us",
	Doc:     "A timer on one CPU: N times a second, or every N seconds, milliseconds or microseconds.",
	Example: "interval:s:1",
	minArgs: 2, maxArgs: 2,
	List: func(pattern string) ([]bpf.Target, error) {
		return filterTargets(pattern, timer("interval", "hz", 10), timer("interval", "s", 1), timer("interval", "ms", 10), timer("interval", "us", 100)), nil
	},
	Resolve: resolveTimer,
	Driver: bpf.Driver{
		PIDFilter:    filterUnsupported,
		Context:      abi.Context{Registers: true},
		ProgramTypes: only(ebpf.PerfEvent),
		Attach: func(t bpf.Target, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
			o.PID = 0
			return bpf.AttachPerf(t, cpuClock(t), true, p, o)
		},
	},
}

// filterPerf is the PIDFilter function of kinds that AttachPerf attaches.
var filterPerf = filterInKernelIf((*sys.Kernel).HaveInheritThread)

func cpuClock(t bpf.Target) unix.PerfEventAttr {
	return unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Sample: t.Period}
}

// RangeError reports that a timer is too fast or that a number is invalid.
type RangeError struct {
	Spec   string
	Reason string
}

func (e *RangeError) Error() string { return fmt.Sprintf("probe %q: %s", e.Spec, e.Reason) }

// units holds the nanoseconds per unit; hz has none.
var units = map[string]uint64{"hz": 0, "s": sys.NanosecondsASecond, "ms": 1_000_000, "us": 1_000}

func timer(kind, unit string, n uint64) bpf.Target {
	t := newTarget(kind, unit, strconv.FormatUint(n, 10))
	if unit == "hz" {
		t.Period = sys.NanosecondsASecond / n
	} else {
		t.Period = n * units[unit]
	}
	return t
}

// maxRateFile contains the highest number of samples per second that the kernel allows
// (Documentation/admin-guide/sysctl/kernel.rst).
const maxRateFile = "/proc/sys/kernel/perf_event_max_sample_rate"

// shortestPeriod is the kernel's lower limit for the period of clock events
// (perf_swevent_start_hrtimer, kernel/events/core.c). The kernel accepts shorter periods, but
// silently fires at this one.
const shortestPeriod = 10_000

func resolveTimer(s Spec) ([]bpf.Target, error) {
	unit, num := s.Args[0], s.Args[1]
	if _, ok := units[unit]; !ok {
		return nil, &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: no unit %q", s.Text, unit), Hint: "the units are hz, s, ms and us"}
	}
	n, err := parseNumber(s, num)
	if err != nil {
		return nil, err
	}
	maxRate, err := maxSampleRate()
	if err != nil {
		return nil, err
	}
	if unit == "hz" {
		if n > maxRate {
			return nil, &RangeError{s.Text, fmt.Sprintf("%d times a second is more than the kernel's limit of %d (%s)", n, maxRate, maxRateFile)}
		}
		return []bpf.Target{timer(s.Kind, unit, n)}, nil
	}
	if n > 1<<62/units[unit] {
		return nil, &RangeError{s.Text, fmt.Sprintf("a period of %d%s is too long", n, unit)}
	}
	t := timer(s.Kind, unit, n)
	least := max(shortestPeriod, (sys.NanosecondsASecond+maxRate-1)/maxRate)
	if t.Period < least {
		return nil, &RangeError{s.Text, fmt.Sprintf("a period of %d%s is shorter than the kernel's limit of %dus", n, unit, (least+999)/1000)}
	}
	return []bpf.Target{t}, nil
}

// parseNumber parses a positive number. The error is a *RangeError.
func parseNumber(s Spec, num string) (uint64, error) {
	n, err := strconv.ParseUint(num, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, &RangeError{s.Text, fmt.Sprintf("the number %s is too large", num)}
	case err != nil:
		return 0, &RangeError{s.Text, fmt.Sprintf("%q is not a whole number above 0", num)}
	case n == 0:
		return 0, &RangeError{s.Text, "the number must be above 0"}
	}
	return n, nil
}

func maxSampleRate() (uint64, error) {
	text, err := os.ReadFile(maxRateFile)
	if errors.Is(err, os.ErrNotExist) {
		return 0, errors.New("this kernel is built without perf events, which timers and counters need")
	}
	if err != nil {
		return 0, fmt.Errorf("read the limit of samples: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s: bad number %q", maxRateFile, text)
	}
	return n, nil
}
