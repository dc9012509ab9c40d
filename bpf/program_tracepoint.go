package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
)

// prepareTracepoint ties a program of type Tracing to its event (BPF_TRACE_RAW_TP, 5.5). The
// verifier then takes the argument types from the typedef that the kernel defines for each event
// (include/trace/bpf_probe.h).
func prepareTracepoint(s *ProgramSpec) error {
	if s.Type != ebpf.Tracing {
		return nil
	}
	event := s.Targets[0].Parts[0]
	types, err := kbtf.Kernel()
	if err != nil {
		return err
	}
	id, ok := types.TypedefID("btf_trace_" + event)
	if !ok {
		return fmt.Errorf("this kernel does not describe the event %s", event)
	}
	s.attachType, s.attachTo, s.attachBTF = ebpf.AttachTraceRawTp, event, id
	return nil
}
