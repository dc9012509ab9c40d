package warnings

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/internal/plural"
)

// Missed reports, at the end, that the kernel missed events of a probe: missed in all, links of
// them at the links of the targets.
func (w *Warner) Missed(probe string, ts []bpf.Target, missed, links uint64) {
	if missed > 0 && w.opt.Level != None {
		w.opt.Out.Warn("missed", map[string]any{"probe": probe, "count": missed}, missedText(probe, ts, missed-min(missed, links), links))
	}
}

// missedText explains why events are missing: runs is the number of times that the kernel did not
// run the program because it was already running, links the number of events that the links of the
// targets missed.
func missedText(probe string, ts []bpf.Target, runs, links uint64) string {
	var why []string
	if runs > 0 {
		why = append(why, fmt.Sprintf("the kernel skipped %s: the handler was already running on that CPU", plural.Of(runs, "run")))
	}
	if links > 0 {
		event, reason := ts[0].MissedReason()
		why = append(why, fmt.Sprintf("the kernel missed %s: %s", plural.Of(links, event), reason))
	}
	return probe + ": " + strings.Join(why, "; ")
}

// LeftOut warns about the targets that a probe skips. all is the number of its targets, with these.
func (w *Warner) LeftOut(left []bpf.AttachFailure, all int) {
	if w.opt.Level == None {
		return
	}
	var names []string
	for _, r := range left {
		names = append(names, r.Target.Name)
	}
	w.opt.Out.Warn("left_out", map[string]any{"count": len(left), "of": all, "message": left[0].Err.Error(), "targets": names},
		fmt.Sprintf("%d of %d targets are left out: %s", len(left), all, leftText(left)))
}

// leftText returns the reasons why targets were refused. Targets with the same reason are grouped.
func leftText(left []bpf.AttachFailure) string {
	const mostReasons, mostNames = 4, 8
	var reasons []string
	names, first := map[string][]string{}, map[string]error{}
	for _, r := range left {
		reason := r.Err.Error()
		var ae *bpf.AttachError
		if errors.As(r.Err, &ae) {
			reason = ae.Reason
		}
		if names[reason] == nil {
			reasons, first[reason] = append(reasons, reason), r.Err
		}
		names[reason] = append(names[reason], r.Target.Name)
	}
	var out []string
	for i, reason := range reasons {
		if i == mostReasons {
			out = append(out, fmt.Sprintf("and %d more reasons", len(reasons)-i))
			break
		}
		all := names[reason]
		if len(all) == 1 {
			out = append(out, first[reason].Error())
			continue
		}
		list := strings.Join(all[:min(len(all), mostNames)], ", ")
		if n := len(all) - mostNames; n > 0 {
			list += fmt.Sprintf(" and %d more", n)
		}
		out = append(out, "attach to "+list+": "+reason)
	}
	return strings.Join(out, "; ")
}

// Hotplug warns that a CPU came online while probes have an event on each CPU, or that following
// such a change failed. What happened on a new CPU before the probes were attached there is not
// counted.
func (w *Warner) Hotplug(f bpf.HotplugEvent) {
	if w.opt.Level == None {
		return
	}
	fields := map[string]any{"probe": f.Target.Name}
	var text string
	if f.Err != nil {
		fields["message"] = f.Err.Error()
		text = fmt.Sprintf("CPU hotplug: %s may not be attached to every online CPU: %v", f.Target.Name, f.Err)
	} else {
		fields["cpu"] = f.CPU
		text = fmt.Sprintf("CPU %d came online: %s is attached to it from now on; earlier events on it were not seen", f.CPU, f.Target.Name)
	}
	w.opt.Out.Warn("cpu", fields, text)
}
