package bpf

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The commands of bpf(2) that this package calls itself, because the library's own calls go through reflection a key
// (maps), hide what we need (cookies, perf links) or load feature probes at start-up (links).
const (
	cmdMapCreate       = 0
	cmdMapLookup       = 1
	cmdMapUpdate       = 2
	cmdMapDelete       = 3
	cmdMapNextKey      = 4
	cmdProgLoad        = 5
	cmdProgTestRun     = 10
	cmdObjInfoByFD     = 15
	cmdRawTracepoint   = 17
	cmdMapLookupBatch  = 24
	cmdLinkCreate      = 28
	cmdIterCreate      = 33
	attachPerfEvent    = 41 // BPF_PERF_EVENT
	errnoNotSupported  = unix.Errno(524)
	perfFlagCloseExec  = unix.PERF_FLAG_FD_CLOEXEC
	maxTestRunContext  = 12 * 8 // MAX_BPF_FUNC_ARGS words
	batchFirst         = 1024
	batchMost          = 1 << 16
	flagNoPrealloc     = unix.BPF_F_NO_PREALLOC
	flagInnerMap       = unix.BPF_F_INNER_MAP
	flagMmapable       = unix.BPF_F_MMAPABLE
	nanosecondsASecond = 1_000_000_000
)

// bpfCall is bpf(2). It is repeated where the kernel asks for that, as libbpf does for EAGAIN. attr points to the
// command's attributes; what that refers to must be kept alive by the caller.
func bpfCall(cmd uintptr, attr unsafe.Pointer, size uintptr) (uintptr, error) {
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

func elemCall(cmd uintptr, fd int, key, value []byte, flags uint64) error {
	attr := elemAttr{fd: uint32(fd), key: pointer(key), value: pointer(value), flags: flags}
	_, err := bpfCall(cmd, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(key)
	runtime.KeepAlive(value)
	return err
}

type batchAttr struct {
	in, out      unsafe.Pointer
	keys, values unsafe.Pointer
	count        uint32
	fd           uint32
	elemFlags    uint64
	flags        uint64
}

type testRunAttr struct {
	fd, ret                 uint32
	dataIn, dataOut         uint32
	dataInPtr, dataOutPtr   unsafe.Pointer
	repeat, duration        uint32
	ctxSizeIn, ctxSizeOut   uint32
	ctxIn, ctxOut           unsafe.Pointer
	flags, cpu, batch, last uint32
}

// mapCreateAttr goes as far as the name (4.15).
type mapCreateAttr struct {
	typ, keySize, valueSize, maxEntries uint32
	flags, inner, numaNode              uint32
	name                                [unix.BPF_OBJ_NAME_LEN]byte
}

// progLoadAttr goes as far as the type that a tracing program is for (5.5), and whose BTF has it (5.11).
type progLoadAttr struct {
	progType, count    uint32
	insns, license     unsafe.Pointer
	logLevel, logSize  uint32
	log                unsafe.Pointer
	kernVersion, flags uint32
	name               [unix.BPF_OBJ_NAME_LEN]byte
	ifindex            uint32
	attachType         uint32
	btf, funcInfoSize  uint32
	funcInfo           unsafe.Pointer
	funcs, lineSize    uint32
	lineInfo           unsafe.Pointer
	lines, attachBTF   uint32
	attachBTFFD, _     uint32
}

type rawTracepointAttr struct {
	name   unsafe.Pointer
	fd     uint32
	_      uint32
	cookie uint64 // 6.10
}

type linkCreateAttr struct {
	prog, target uint32
	attachType   uint32
	flags        uint32
	cookie       uint64
}

// linkCreateKprobes is for BPF_TRACE_KPROBE_MULTI (5.18).
type linkCreateKprobes struct {
	prog, target       uint32
	attachType, flags  uint32
	kprobeFlags, count uint32
	syms, addrs        unsafe.Pointer
	cookies            unsafe.Pointer
}

// linkCreateTracing is for fentry and fexit with a cookie (5.19).
type linkCreateTracing struct {
	prog, target      uint32
	attachType, flags uint32
	btfID, _          uint32
	cookie            uint64
}

type infoAttr struct {
	fd, len uint32
	info    unsafe.Pointer
}

// pointer gives the address of the first byte, or nil.
func pointer(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Pointer(&b[0])
}

// closeFD closes fd and gives the error. EINTR means that it is closed on Linux.
func closeFD(fd int) error {
	if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	return nil
}
