package starlarkbind

import (
	"fmt"

	"github.com/bpfrepl/bpfrepl/bpf"
)

// warnHotplug warns that a CPU came online while probes have an event on each CPU, or that following
// such a change failed. What happened on a new CPU before the probes were attached there is not
// counted.
func (w *warner) warnHotplug(f bpf.HotplugEvent) {
	if w.opt.Warnings == WarnNone {
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
	w.out.Warn("cpu", fields, text)
}
