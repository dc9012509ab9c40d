package bpf

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
)

// Program limits whose violation the kernel reports with E2BIG, the error that it also returns when
// the verifier gives up after a million steps.
const (
	maxProgramMaps   = 64        // include/linux/bpf_verifier.h: MAX_USED_MAPS
	maxSubprograms   = 256       // the same file: BPF_MAX_SUBPROGS, including the program itself
	maxProgramLength = 1_000_000 // include/linux/bpf.h: BPF_COMPLEXITY_LIMIT_INSNS
)

// overLimit returns a description of the limit that the program exceeds, or "". length is the
// number of eight-byte instructions.
func overLimit(insns asm.Instructions, length int) string {
	maps, subprograms := map[string]bool{}, map[string]bool{}
	for i := range insns {
		switch ins := &insns[i]; {
		case ins.IsLoadFromMap():
			maps[ins.Reference()] = true
		case ins.IsFunctionReference():
			subprograms[ins.Reference()] = true
		}
	}
	switch {
	case length > maxProgramLength:
		return fmt.Sprintf("it has %d instructions; a program can have %d", length, maxProgramLength)
	case len(maps) > maxProgramMaps:
		return fmt.Sprintf("it uses %d maps; a program can use %d", len(maps), maxProgramMaps)
	case len(subprograms) >= maxSubprograms:
		return fmt.Sprintf("it has %d subprograms; a program can have %d", len(subprograms), maxSubprograms-1)
	}
	return ""
}
