package kinds

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/testkit/expect"
)

// TestSpecErrors checks the errors for common mistakes in specs.
func TestSpecErrors(t *testing.T) {
	rate, err := os.ReadFile("/proc/sys/kernel/perf_event_max_sample_rate")
	if err != nil {
		t.Fatal(err)
	}
	limit := strings.TrimSpace(string(rate))
	n, err := strconv.Atoi(limit)
	if err != nil {
		t.Fatal(err)
	}
	above := strconv.Itoa(n + 1)
	for _, c := range []struct{ spec, want string }{
		{"", `the probe spec is empty (write for example "tracepoint:raw_syscalls:sys_enter")`},
		{"trcepoint:sched:sched_switch", `no probe kind "trcepoint" (did you mean "tracepoint"?)`},
		{"nix", `no probe kind "nix" (the kinds are ` + strings.Join(kindNames(), ", ") + ")"},
		{"tracepoint:sched", `probe "tracepoint:sched" has 2 parts (write tracepoint:SUBSYSTEM:EVENT)`},
		{"tracepoint:a:b:c", `probe "tracepoint:a:b:c" has 4 parts (write tracepoint:SUBSYSTEM:EVENT)`},
		{"tracepoint::x", `probe "tracepoint::x" has an empty part (write tracepoint:SUBSYSTEM:EVENT)`},
		{"tracepoint:sched:[x", `probe "tracepoint:sched:[x": bad pattern "[x" (a [ has no matching ])`},
		{"tracepoint:sched:sched switch", `probe spec "tracepoint:sched:sched switch": spaces and control characters are not allowed`},
		{"tracepoint:sched:sched_swich", `no probe "tracepoint:sched:sched_swich": the subsystem "sched" has no event "sched_swich" (did you mean "tracepoint:sched:sched_switch"?)`},
		{"tracepoint:shed:sched_switch", `no probe "tracepoint:shed:sched_switch": no subsystem "shed" (did you mean "tracepoint:sched:sched_switch"?)`},
		{"tracepoint:sched:nothing_like_it", `no probe "tracepoint:sched:nothing_like_it": the subsystem "sched" has no event "nothing_like_it" (bpfrepl -l lists them)`},
		{"tracepoint:*:nothing*", `no probe "tracepoint:*:nothing*": no event matches (bpfrepl -l lists them)`},
		{"rawtracepoint:sched_swich", `no probe "rawtracepoint:sched_swich": the kernel has no tracepoint "sched_swich" (did you mean "rawtracepoint:sched_switch"?)`},
		{"profile:99", `probe "profile:99" has 2 parts (write profile:UNIT:N with the unit hz, s, ms or us)`},
		{"profile:xx:99", `probe "profile:xx:99": no unit "xx" (the units are hz, s, ms and us)`},
		{"profile:hz:0", `probe "profile:hz:0": the number must be above 0`},
		{"profile:hz:x", `probe "profile:hz:x": "x" is not a whole number above 0`},
		{"profile:hz:" + above, `probe "profile:hz:` + above + `": ` + above + ` times a second is more than the kernel's limit of ` + limit + ` (/proc/sys/kernel/perf_event_max_sample_rate)`},
		{"profile:s:9999999999999999999", `probe "profile:s:9999999999999999999": a period of 9999999999999999999s is too long`},
		{"interval:s:0", `probe "interval:s:0": the number must be above 0`},
		{"software:pagefaults:1", `no probe "software:pagefaults:1": no software event "pagefaults" (did you mean "software:page-faults" or "software:faults"?)`},
		{"software:cpu-clock:100", `probe "software:cpu-clock:100": a period of 100ns is shorter than the kernel's limit of 10000ns`},
		{"begin:x", `probe "begin:x" has 2 parts (write begin)`},
	} {
		_, err := Resolve(c.spec)
		if err == nil {
			t.Errorf("%q: no error", c.spec)
			continue
		}
		expect.Text(t, c.spec, err.Error(), c.want)
	}
}

// TestResolve checks aliases and wildcards. Names are sorted, and each one appears once.
func TestResolve(t *testing.T) {
	for alias, kind := range map[string]string{"t:sched:sched_switch": "tracepoint", "rt:sched_switch": "rawtracepoint", "p:hz:99": "profile", "i:s:1": "interval", "s:page-faults:1": "software"} {
		ts, err := Resolve(alias)
		if err != nil || len(ts) != 1 || ts[0].Kind != kind {
			t.Errorf("%s: %v, %v", alias, ts, err)
		}
	}
	ts, err := Resolve("tracepoint:sched:sched_sw*")
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for _, x := range ts {
		if !strings.HasPrefix(x.Name, "tracepoint:sched:sched_sw") || x.Name <= last {
			t.Errorf("%s after %s", x.Name, last)
		}
		last = x.Name
	}
	if len(ts) < 2 {
		t.Errorf("%d events match sched_sw*", len(ts))
	}
	for _, pattern := range []string{"tracepoint:syscalls:sys_enter_*", "open", "*", "rawtracepoint:sched*"} {
		if ts, err = List(pattern); err != nil || len(ts) == 0 {
			t.Errorf("list %s: %d probes, %v", pattern, len(ts), err)
		}
	}
}

// TestAllFormats checks that the format of every event on this host can be parsed, and that its
// fields lie within the record and do not overlap.
func TestAllFormats(t *testing.T) {
	ts, err := List("tracepoint:*")
	if err != nil {
		t.Fatal(err)
	}
	if len(ts) < 500 {
		t.Errorf("only %d tracepoints", len(ts))
	}
	fields := 0
	for _, x := range ts {
		ev, err := x.Event()
		if err != nil {
			t.Errorf("%s: %v", x, err)
			continue
		}
		end := 0
		for _, f := range ev.Fields {
			if f.Name == "" || f.CType == "" || f.Offset < end || f.Size < 0 {
				t.Errorf("%s: field %+v after byte %d", x, f, end)
			}
			if f.Kind == abi.FieldArray && f.Len*f.ElemSize != f.Size {
				t.Errorf("%s: an array of %d times %d bytes has %d", x, f.Len, f.ElemSize, f.Size)
			}
			if f.Name != "ret" || !ev.HasRet {
				end = f.Offset + f.Size
			}
			fields++
		}
	}
	t.Logf("%d events, %d fields", len(ts), fields)
}

func TestNotFoundIsTyped(t *testing.T) {
	_, err := Resolve("tracepoint:sched:no_such")
	var nf *NotFoundError
	if !errors.As(err, &nf) || nf.Spec != "tracepoint:sched:no_such" {
		t.Errorf("%#v", err)
	}
	_, err = Resolve("tracepoint")
	var se *SpecError
	if !errors.As(err, &se) || se.Text != "tracepoint" {
		t.Errorf("%#v", err)
	}
}
