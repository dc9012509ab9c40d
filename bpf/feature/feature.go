// Package feature tries which optional features the running kernel has, with programs, maps and
// links that do nothing. docs/kernels.md has the answers of many kernels.
package feature

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// NotSupportedError reports that the running kernel does not support a feature.
type NotSupportedError struct {
	Feature string // one of All
	// Since is the first kernel that has the feature, if its configuration enables it: "5.12".
	Since string
	Err   error // the kernel's error
}

func (e *NotSupportedError) Error() string {
	return fmt.Sprintf("this kernel has no %s (available since %s): %v", e.Feature, e.Since, e.Err)
}

func (e *NotSupportedError) Unwrap() error { return e.Err }

// A Feature is an optional kernel feature that bpfrepl can use. docs/kernels.md lists the kernels
// that have each one.
type Feature struct {
	Name, Since, Doc string
	// try returns nil if the kernel has the feature, an error that wraps errMissing if it does not,
	// and any other error if that cannot be determined.
	try func() error
}

// errMissing reports that the kernel does not have the feature.
var errMissing = errors.New("the kernel refuses it")

// Probe tries the feature on the running kernel. This takes some hundred microseconds, or some tens
// of milliseconds with BTF. The error is a *NotSupportedError if the kernel does not have the
// feature; any other error means that this cannot be determined.
func (f Feature) Probe() error {
	err := f.try()
	if errors.Is(err, errMissing) {
		return &NotSupportedError{Feature: f.Name, Since: f.Since, Err: err}
	}
	return err
}

// All returns all features, ordered by the kernel that introduced them.
func All() []Feature {
	return []Feature{
		ofKind("kprobe:vfs_read", "4.17", "kprobe and kretprobe (CONFIG_KPROBE_EVENTS)"),
		{"override", "4.16", "override() (CONFIG_BPF_KPROBE_OVERRIDE)", tryHelper(ebpf.Kprobe, asm.FnOverrideReturn)},
		ofKind("fentry:vfs_read", "5.5", "fentry and fexit"),
		ofKind("lsm:file_open", "5.7", "lsm (CONFIG_BPF_LSM, and bpf in the list of active modules)"),
		{"ringbuf", "5.8", "records to the host, in order across all CPUs", tryRingBuf},
		{"long_keys", "5.11", "keys of maps longer than 512 bytes", tryLongKeys},
		{"missed_count", "5.12", "how many runs the kernel skipped", tryMissed},
		{"fetch_atomics", "5.12", "fetching atomics, exchange, compare-exchange", tryFetchAtomics},
		{"for_each_map_elem", "5.13", "callbacks; clear() in a handler", tryHelper(ebpf.RawTracepoint, asm.FnForEachMapElem)},
		{"batch_percpu_array", "5.13", "per-CPU arrays read in batches", tryBatchPerCPUArray},
		{"perf_link", "5.15", "programs on perf events through links", tryPerfLink},
		{"attach_cookie", "5.15", "e.probe of one program on many tracepoints", tryHelper(ebpf.TracePoint, asm.FnGetAttachCookie)},
		{"bpf_loop", "5.17", "a helper that loops", tryHelper(ebpf.RawTracepoint, asm.FnLoop)},
		{"kprobe_multi", "5.18", "one link to many functions (CONFIG_FPROBE)", tryKprobeMulti},
		{"lookup_percpu_elem", "5.19", "loops in a handler over the values of an aggregation", tryHelper(ebpf.RawTracepoint, asm.FnMapLookupPercpuElem)},
		{"iter_num", "6.4", "loops whose length is known only at run time", tryKfunc("bpf_iter_num_next")},
		{"uprobe_multi", "6.6", "one link to many places in programs", tryUprobeMulti},
		{"rawtracepoint_cookie", "6.10", "e.probe of one program on many raw tracepoints", tryHelper(ebpf.RawTracepoint, asm.FnGetAttachCookie)},
	}
}

// Find returns the feature with the given name.
func Find(name string) (Feature, error) {
	for _, f := range All() {
		if f.Name == name {
			return f, nil
		}
	}
	return Feature{}, fmt.Errorf("no feature %q", name)
}

// ofKind returns the feature with the name of a kind of probe, which a kernel has if it has the
// kind's probe spec.
func ofKind(spec, since, doc string) Feature {
	kind, _, _ := strings.Cut(spec, ":")
	return Feature{kind, since, doc, func() error {
		_, err := kinds.Resolve(spec)
		var none *kinds.NotFoundError
		if errors.As(err, &none) {
			return fmt.Errorf("%w: %s", errMissing, none.Reason)
		}
		return err
	}}
}

// tryLoad loads a program and closes it.
func tryLoad(typ ebpf.ProgramType, insns ...asm.Instruction) error {
	p, err := bpf.NewProgram(bpf.ProgramSpec{Name: "feature", Type: typ, Instructions: insns})
	if err != nil {
		return err
	}
	return p.Close()
}

// tryHelper calls a helper without arguments. A kernel that has the helper rejects the arguments;
// any other rejects the helper.
func tryHelper(typ ebpf.ProgramType, helper asm.BuiltinFunc) func() error {
	return func() error {
		err := tryLoad(typ, helper.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return())
		var r *bpf.VerifierError
		switch {
		case !errors.As(err, &r):
			return err
		case strings.HasPrefix(r.Reason, "invalid func "), strings.HasPrefix(r.Reason, "unknown func "), strings.HasPrefix(r.Reason, "program of this type cannot use helper "):
			return fmt.Errorf("%w: %s", errMissing, r.Reason)
		}
		return nil
	}
}

func tryKfunc(name string) func() error {
	return func() error {
		_, err := kbtf.KfuncID(name)
		var none *kbtf.NoBTFError
		if err == nil || errors.As(err, &none) {
			return err
		}
		return fmt.Errorf("%w: %w", errMissing, err)
	}
}

func tryFetchAtomics() error {
	add := asm.FetchAdd.Mem(asm.R10, asm.R1, asm.DWord, -8)
	add.Constant = 1 // cilium/ebpf does not encode the operation
	err := tryLoad(ebpf.RawTracepoint, asm.Mov.Imm(asm.R1, 0), asm.StoreMem(asm.R10, -8, asm.R1, asm.DWord), add, asm.Mov.Imm(asm.R0, 0), asm.Return())
	var r *bpf.VerifierError
	if errors.As(err, &r) {
		return fmt.Errorf("%w: %s", errMissing, r.Reason)
	}
	return err
}

func tryRingBuf() error {
	m, err := kmap.New(kmap.Spec{Name: "feature", Type: ebpf.RingBuf, MaxEntries: 1 << 16})
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	if err != nil {
		return err
	}
	return m.Close()
}

func tryLongKeys() error {
	m, err := kmap.New(kmap.Spec{Name: "feature", Type: ebpf.Hash, KeySize: 520, ValueSize: 8, MaxEntries: 1})
	if errors.Is(err, unix.E2BIG) {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	if err != nil {
		return err
	}
	return m.Close()
}

func tryBatchPerCPUArray() error {
	m, err := kmap.New(kmap.Spec{Name: "feature", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return err
	}
	key, value, cursor := make([]byte, 4), make([]byte, m.ValueSize()), make([]byte, 4)
	attr := sys.BatchAttr{Out: sys.BytePointer(cursor), Keys: sys.BytePointer(key), Values: sys.BytePointer(value), Count: 1, FD: uint32(m.Raw().FD())}
	_, err = sys.BPF(sys.CmdMapLookupBatch, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if errors.Is(err, sys.ErrnoNotSupported) {
		err = fmt.Errorf("%w: %w", errMissing, err)
	}
	if errors.Is(err, unix.ENOENT) { // the end of the map
		err = nil
	}
	return errors.Join(err, m.Close())
}

// tryMissed requests a program description longer than the one of kernels without the count, which
// return fewer bytes.
func tryMissed() error {
	p, err := bpf.NewProgram(bpf.ProgramSpec{Name: "feature", Type: ebpf.RawTracepoint, Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		return err
	}
	var info sys.ProgInfo
	attr := sys.InfoAttr{FD: uint32(p.Raw().FD()), Len: uint32(unsafe.Sizeof(info)), Info: unsafe.Pointer(&info)}
	_, err = sys.BPF(sys.CmdObjInfoByFD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err == nil && attr.Len < uint32(unsafe.Sizeof(info)) {
		err = fmt.Errorf("%w: it describes a program in %d bytes", errMissing, attr.Len)
	}
	return errors.Join(err, p.Close())
}

// tryPerfLink attaches a program to a software event that never fires.
func tryPerfLink() error {
	p, err := bpf.NewProgram(bpf.ProgramSpec{Name: "feature", Type: ebpf.PerfEvent, Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		return err
	}
	pe := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Config: unix.PERF_COUNT_SW_DUMMY, Sample: 1, Bits: unix.PerfBitDisabled}
	ev, err := unix.PerfEventOpen(&pe, 0, -1, -1, sys.PerfFlagCloseExec)
	if err != nil {
		return errors.Join(err, p.Close())
	}
	attr := sys.LinkCreateAttr{Prog: uint32(p.Raw().FD()), Target: uint32(ev), AttachType: sys.AttachPerfEvent}
	fd, err := sys.BPF(sys.CmdLinkCreate, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.E2BIG) {
		err = fmt.Errorf("%w: %w", errMissing, err)
	}
	if err == nil {
		err = sys.CloseFD(int(fd))
	}
	return errors.Join(err, sys.CloseFD(ev), p.Close())
}

// tryKprobeMulti attaches an empty program with a multi link.
func tryKprobeMulti() error {
	p, err := bpf.NewProgram(bpf.ProgramSpec{Name: "feature", Type: ebpf.Kprobe, AttachType: ebpf.AttachTraceKprobeMulti,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	if err != nil {
		return err
	}
	symbol := sys.BytePointer([]byte("vfs_read\x00"))
	attr := sys.LinkCreateKprobes{Prog: uint32(p.Raw().FD()), AttachType: uint32(ebpf.AttachTraceKprobeMulti), Count: 1, Syms: unsafe.Pointer(&symbol)}
	fd, err := sys.BPF(sys.CmdLinkCreate, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(&symbol)
	switch {
	case err == nil:
		err = sys.CloseFD(int(fd))
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		err = fmt.Errorf("%w: %w", errMissing, err)
	}
	return errors.Join(err, p.Close())
}

// tryUprobeMulti requests a multi link to a directory. A kernel that supports such links answers
// that it is not a file.
func tryUprobeMulti() error {
	p, err := bpf.NewProgram(bpf.ProgramSpec{Name: "feature", Type: ebpf.Kprobe, AttachType: ebpf.AttachTraceUprobeMulti,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	if err != nil {
		return err
	}
	path, offset := []byte("/\x00"), uint64(0)
	attr := sys.LinkCreateUprobes{Prog: uint32(p.Raw().FD()), AttachType: uint32(ebpf.AttachTraceUprobeMulti), Path: unsafe.Pointer(&path[0]), Offsets: unsafe.Pointer(&offset), Count: 1}
	fd, err := sys.BPF(sys.CmdLinkCreate, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(path)
	runtime.KeepAlive(&offset)
	switch {
	case err == nil:
		err = errors.Join(errors.New("the kernel accepted a uprobe on a directory"), sys.CloseFD(int(fd)))
	case errors.Is(err, unix.EBADF):
		err = nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		err = fmt.Errorf("%w: %w", errMissing, err)
	}
	return errors.Join(err, p.Close())
}
