package sys

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The commands of bpf(2) that this package calls itself, because the library's own calls go through reflection a key
// (maps), hide what we need (cookies, perf links) or load feature probes at start-up (links).
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
	CmdMapLookupBatch  = 24
	CmdLinkCreate      = 28
	CmdIterCreate      = 33
	AttachPerfEvent    = 41 // BPF_PERF_EVENT
	ErrnoNotSupported  = unix.Errno(524)
	PerfFlagCloseExec  = unix.PERF_FLAG_FD_CLOEXEC
	MaxTestRunContext  = 12 * 8 // MAX_BPF_FUNC_ARGS words
	BatchFirst         = 1024
	BatchMost          = 1 << 16
	flagNoPrealloc     = unix.BPF_F_NO_PREALLOC
	flagInnerMap       = unix.BPF_F_INNER_MAP
	flagMmapable       = unix.BPF_F_MMAPABLE
	NanosecondsASecond = 1_000_000_000
)

// bpfCall is bpf(2). It is repeated where the kernel asks for that, as libbpf does for EAGAIN. attr points to the
// command's attributes; what that refers to must be kept alive by the caller.
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

type elemAttr struct {
	fd    uint32
	_     uint32
	key   unsafe.Pointer
	value unsafe.Pointer
	flags uint64
}

func ElemCall(cmd uintptr, fd int, key, value []byte, flags uint64) error {
	attr := elemAttr{fd: uint32(fd), key: BytePointer(key), value: BytePointer(value), flags: flags}
	_, err := BPF(cmd, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(key)
	runtime.KeepAlive(value)
	return err
}

type BatchAttr struct {
	In, Out      unsafe.Pointer
	Keys, Values unsafe.Pointer
	Count        uint32
	FD           uint32
	elemFlags    uint64
	flags        uint64
}

type TestRunAttr struct {
	FD, Ret                 uint32
	dataIn, dataOut         uint32
	dataInPtr, dataOutPtr   unsafe.Pointer
	repeat, duration        uint32
	CtxSizeIn, ctxSizeOut   uint32
	CtxIn, ctxOut           unsafe.Pointer
	flags, cpu, batch, last uint32
}

// mapCreateAttr goes as far as the name (4.15).
type MapCreateAttr struct {
	Typ, KeySize, ValueSize, MaxEntries uint32
	Flags, Inner, numaNode              uint32
	Name                                [unix.BPF_OBJ_NAME_LEN]byte
}

// progLoadAttr goes as far as the type that a tracing program is for (5.5), and whose BTF has it (5.11).
type ProgLoadAttr struct {
	ProgType, Count    uint32
	Insns, License     unsafe.Pointer
	logLevel, logSize  uint32
	log                unsafe.Pointer
	kernVersion, flags uint32
	Name               [unix.BPF_OBJ_NAME_LEN]byte
	Ifindex            uint32
	AttachType         uint32
	btf, funcInfoSize  uint32
	funcInfo           unsafe.Pointer
	funcs, lineSize    uint32
	lineInfo           unsafe.Pointer
	lines, AttachBTF   uint32
	AttachBTFFD, _     uint32
}

type RawTracepointAttr struct {
	Name   unsafe.Pointer
	FD     uint32
	_      uint32
	Cookie uint64 // 6.10
}

type LinkCreateAttr struct {
	Prog, Target uint32
	AttachType   uint32
	flags        uint32
	Cookie       uint64
}

// linkCreateKprobes is for BPF_TRACE_KPROBE_MULTI (5.18).
type LinkCreateKprobes struct {
	Prog, target       uint32
	AttachType, flags  uint32
	KprobeFlags, Count uint32
	Syms, Addrs        unsafe.Pointer
	Cookies            unsafe.Pointer
}

// linkCreateTracing is for fentry and fexit with a cookie (5.19).
type LinkCreateTracing struct {
	Prog, target      uint32
	AttachType, flags uint32
	btfID, _          uint32
	Cookie            uint64
}

type InfoAttr struct {
	FD, Len uint32
	Info    unsafe.Pointer
}

// pointer gives the address of the first byte, or nil.
func BytePointer(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Pointer(&b[0])
}

// closeFD closes fd and gives the error. EINTR means that it is closed on Linux.
func CloseFD(fd int) error {
	if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	return nil
}
