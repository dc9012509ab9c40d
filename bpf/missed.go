package bpf

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// Offsets of the missed event counts in struct bpf_link_info (include/uapi/linux/bpf.h, 6.7), by
// type of link.
const (
	missedOfPerfEvent = 48 // perf_event.kprobe.missed
	missedOfKprobes   = 32 // kprobe_multi.missed
)

// MissedReason names what the link of a target misses and explains why.
func (t Target) MissedReason() (event, reason string) {
	if p := t.Provider(); p != nil && p.missed != nil {
		return p.missed(t)
	}
	return "call", "another probe was running on that CPU"
}

// linkMissed returns a link's count of missed events. It is 0 on kernels before 6.7, which do not
// report it.
func linkMissed(link, offset int) (uint64, error) {
	var info [64]byte
	attr := sys.InfoAttr{FD: uint32(link), Len: uint32(len(info)), Info: unsafe.Pointer(&info[0])}
	_, err := sys.BPF(sys.CmdObjInfoByFD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(&info)
	if err != nil {
		return 0, fmt.Errorf("read the link's count of missed events: %w", err)
	}
	return binary.NativeEndian.Uint64(info[offset:]), nil
}
