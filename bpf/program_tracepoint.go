package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// prepareTracepoint ties a program of type Tracing to its event (BPF_TRACE_RAW_TP, 5.5). The
// verifier then takes the argument types from the typedef that the kernel defines for each event
// (include/trace/bpf_probe.h).
func prepareTracepoint(s *ProgramSpec) error {
	if s.Type != ebpf.Tracing {
		return nil
	}
	event := s.Targets[0].Parts[0]
	spec, err := kernelTypes()
	if err != nil {
		return err
	}
	typesMu.Lock()
	defer typesMu.Unlock()
	var td *btf.Typedef
	if err := spec.TypeByName("btf_trace_"+event, &td); err != nil {
		return fmt.Errorf("this kernel does not describe the event %s: %w", event, err)
	}
	id, err := spec.TypeID(td)
	if err != nil {
		return fmt.Errorf("BTF id of the event %s: %w", event, err)
	}
	s.attachType, s.attachTo, s.attachBTF = ebpf.AttachTraceRawTp, event, uint32(id)
	return nil
}
