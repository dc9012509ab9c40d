package sys

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands of bpf(2), and related constants. We call bpf(2) directly because the calls of
// cilium/ebpf use reflection for each key (maps), do not expose what we need (cookies, perf links),
// or run feature probes at startup (links).
const (
	CmdMapCreate       = 0
	CmdMapLookup       = 1
	CmdMapUpdate       = 2
	CmdMapDelete       = 3
	CmdMapNextKey      = 4
	CmdProgLoad        = 5
	CmdProgTestRun     = 10
	CmdObjInfoByFD     = 15
	CmdRawTracepoint   = 17
	CmdBTFGetFDByID    = 19
	CmdMapLookupBatch  = 24
	CmdLinkCreate      = 28
	CmdIterCreate      = 33
	AttachPerfEvent    = 41 // BPF_PERF_EVENT
	ErrnoNotSupported  = unix.Errno(524)
	PerfFlagCloseExec  = unix.PERF_FLAG_FD_CLOEXEC
	MaxTestRunContext  = 12 * 8 // MAX_BPF_FUNC_ARGS words
	BatchFirst         = 1024
	BatchMost          = 1 << 16
	NanosecondsASecond = 1_000_000_000
)

// BPF calls bpf(2). It repeats the call on EAGAIN, as libbpf does, and on EINTR. attr points to the
// command's attributes. The caller must keep alive any memory to which they point.
func BPF(cmd uintptr, attr unsafe.Pointer, size uintptr) (uintptr, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_BPF, cmd, uintptr(attr), size)
		switch errno {
		case 0:
			return r, nil
		case unix.EAGAIN, unix.EINTR:
			continue
		}
		return 0, errno
	}
}

// elemAttr is the part of union bpf_attr for BPF_MAP_*_ELEM and BPF_MAP_GET_NEXT_KEY.
type elemAttr struct {
	fd    uint32
	_     uint32
	key   unsafe.Pointer
	value unsafe.Pointer
	flags uint64
}

// ElemCall runs a command on one element of a map. For BPF_MAP_GET_NEXT_KEY, value receives the
// next key.
func ElemCall(cmd uintptr, fd int, key, value []byte, flags uint64) error {
	attr := elemAttr{fd: uint32(fd), key: BytePointer(key), value: BytePointer(value), flags: flags}
	_, err := BPF(cmd, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(key)
	runtime.KeepAlive(value)
	return err
}

// The attributes below are parts of union bpf_attr (include/uapi/linux/bpf.h), up to the last
// member that we set. If an attribute is shorter than the kernel's, the kernel treats the remaining
// members as 0.

// BatchAttr is for BPF_MAP_LOOKUP_BATCH (5.6).
type BatchAttr struct {
	In, Out      unsafe.Pointer
	Keys, Values unsafe.Pointer
	Count        uint32
	FD           uint32
	ElemFlags    uint64
	Flags        uint64
}

// TestRunAttr is for BPF_PROG_TEST_RUN, with a context (5.10).
type TestRunAttr struct {
	FD, Ret                 uint32
	DataSizeIn, DataSizeOut uint32
	DataIn, DataOut         unsafe.Pointer
	Repeat, Duration        uint32
	CtxSizeIn, CtxSizeOut   uint32
	CtxIn, CtxOut           unsafe.Pointer
	Flags, CPU, Batch, _    uint32
}

// MapCreateAttr is for BPF_MAP_CREATE, up to the name (4.15).
type MapCreateAttr struct {
	Typ, KeySize, ValueSize, MaxEntries uint32
	Flags, Inner, NUMANode              uint32
	Name                                [unix.BPF_OBJ_NAME_LEN]byte
}

// ProgLoadAttr is for BPF_PROG_LOAD, up to the type to which a tracing program attaches (5.5) and
// the BTF that contains it (5.11).
type ProgLoadAttr struct {
	ProgType, Count          uint32
	Insns, License           unsafe.Pointer
	LogLevel, LogSize        uint32
	Log                      unsafe.Pointer
	KernVersion, Flags       uint32
	Name                     [unix.BPF_OBJ_NAME_LEN]byte
	Ifindex                  uint32
	AttachType               uint32
	BTFFD, FuncInfoSize      uint32
	FuncInfo                 unsafe.Pointer
	FuncInfoCount            uint32
	LineInfoSize             uint32
	LineInfo                 unsafe.Pointer
	LineInfoCount, AttachBTF uint32
	AttachBTFFD, _           uint32
}

// RawTracepointAttr is for BPF_RAW_TRACEPOINT_OPEN.
type RawTracepointAttr struct {
	Name   unsafe.Pointer
	FD     uint32
	_      uint32
	Cookie uint64 // 6.10
}

// LinkCreateAttr is for BPF_LINK_CREATE of a perf event (5.15).
type LinkCreateAttr struct {
	Prog, Target uint32
	AttachType   uint32
	Flags        uint32
	Cookie       uint64
}

// LinkCreateKprobes is for BPF_LINK_CREATE of BPF_TRACE_KPROBE_MULTI (5.18).
type LinkCreateKprobes struct {
	Prog, Target       uint32
	AttachType, Flags  uint32
	KprobeFlags, Count uint32
	Syms, Addrs        unsafe.Pointer
	Cookies            unsafe.Pointer
}

// LinkCreateTracing is for BPF_LINK_CREATE of fentry and fexit with a cookie (5.19).
type LinkCreateTracing struct {
	Prog, Target      uint32
	AttachType, Flags uint32
	BTFID, _          uint32
	Cookie            uint64
}

// ProgInfo is the beginning of struct bpf_prog_info (include/uapi/linux/bpf.h), up to
// recursion_misses (5.12).
type ProgInfo struct {
	_               [192]byte
	RunTime, Runs   uint64 // nanoseconds, and their number
	RecursionMisses uint64
}

// LinkCreateUprobes is for BPF_LINK_CREATE with BPF_TRACE_UPROBE_MULTI (6.6).
type LinkCreateUprobes struct {
	Prog, Target                       uint32
	AttachType, Flags                  uint32
	Path, Offsets, Semaphores, Cookies unsafe.Pointer
	Count, UprobeFlags                 uint32
	PID, _                             uint32
}

// InfoAttr is for BPF_OBJ_GET_INFO_BY_FD.
type InfoAttr struct {
	FD, Len uint32
	Info    unsafe.Pointer
}

// BytePointer returns the address of the first byte, or nil if b is empty.
func BytePointer(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Pointer(&b[0])
}

// CloseFD closes fd. On Linux, EINTR means that the descriptor has been closed.
func CloseFD(fd int) error {
	if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	return nil
}

// IsIdentByte reports whether c may be part of an identifier of C.
func IsIdentByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// IsIdent reports whether s is an identifier of C.
func IsIdent(s string) bool {
	for i := range len(s) {
		if !IsIdentByte(s[i]) {
			return false
		}
	}
	return s != ""
}
