package kinds

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/exe"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// Code that all probes in user space share: sites in files.

// A probeSite is a place in a file where the kernel can put a uprobe.
type probeSite struct {
	offset uint64 // in the file
	// semaphore is the offset in the file of a counter that the kernel increments while the probe
	// exists; 0: none.
	semaphore uint64
}

// userSites is the payload of a target in user space.
type userSites struct {
	file  string
	sites []probeSite
	// goFunc reports that the function is a Go function, plain that the sites are single
	// instructions even for a return probe, and entry that the site is the first instruction of a
	// function.
	goFunc, plain, entry bool
	args                 []abi.Field // of a static probe
}

// cutPath splits "PATH:REST" at the first colon that follows the name of an existing file, or else
// at the first colon. The path may contain colons, and so may REST, for example in a C++ name.
func cutPath(text string) (path, rest string, found bool) {
	for i := range len(text) {
		if text[i] == ':' && strings.Contains(text[:i], "/") && slices.ContainsFunc(exe.Find(text[:i]), isFile) {
			return text[:i], text[i+1:], true
		}
	}
	return strings.Cut(text, ":")
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && !st.IsDir()
}

// splitPath splits "PATH:REST".
func splitPath(text string) []string {
	path, rest, ok := cutPath(text)
	if !ok {
		return []string{path}
	}
	return []string{path, rest}
}

// prepareUprobe selects a multi link if the kernel supports it.
func prepareUprobe(spec *bpf.ProgramSpec) error {
	k, err := sys.Running()
	if err == nil && k.HaveUprobeMulti(spec.PID != 0) {
		spec.AttachType, spec.Multi = ebpf.AttachTraceUprobeMulti, true
	}
	return err
}

const uprobeMultiReturn = 1 // BPF_F_UPROBE_MULTI_RETURN

// attachUprobes creates one link for the targets of each file that are attached in the same way.
func attachUprobes(returns bool) func([]bpf.Target, []uint64, *bpf.Program, bpf.AttachOptions) (*bpf.Attachment, error) {
	return func(ts []bpf.Target, cookies []uint64, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
		a := &bpf.Attachment{Target: ts[0]}
		type linkKey struct {
			file  string
			plain bool
		}
		var order []linkKey
		parts, of := map[linkKey][]bpf.Target{}, map[linkKey][]uint64{}
		for i, t := range ts {
			in := payload[userSites](t)
			key := linkKey{in.file, in.plain}
			if parts[key] == nil {
				order = append(order, key)
			}
			parts[key] = append(parts[key], t)
			if cookies != nil {
				of[key] = append(of[key], cookies[i])
			}
		}
		for _, key := range order {
			fd, err := linkUprobes(parts[key], of[key], p, o, returns && !key.plain)
			if err != nil {
				return nil, errors.Join(uprobeRefused(parts[key][0], len(parts[key]), err), a.Close())
			}
			a.FDs = append(a.FDs, fd)
		}
		return a, nil
	}
}

func linkUprobes(ts []bpf.Target, cookies []uint64, p *bpf.Program, o bpf.AttachOptions, returns bool) (int, error) {
	var offsets, semaphores, each []uint64
	counted := false
	for i, t := range ts {
		for _, s := range payload[userSites](t).sites {
			offsets, semaphores = append(offsets, s.offset), append(semaphores, s.semaphore)
			counted = counted || s.semaphore != 0
			if cookies != nil {
				each = append(each, cookies[i])
			}
		}
	}
	path := append([]byte(payload[userSites](ts[0]).file), 0)
	attr := sys.LinkCreateUprobes{Prog: uint32(p.Raw().FD()), AttachType: uint32(ebpf.AttachTraceUprobeMulti), Path: unsafe.Pointer(&path[0]),
		Offsets: unsafe.Pointer(&offsets[0]), Count: uint32(len(offsets)), PID: uint32(o.PID)}
	if counted {
		attr.Semaphores = unsafe.Pointer(&semaphores[0])
	}
	if each != nil {
		attr.Cookies = unsafe.Pointer(&each[0])
	}
	if returns {
		attr.UprobeFlags = uprobeMultiReturn
	}
	fd, err := sys.BPF(sys.CmdLinkCreate, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(path)
	runtime.KeepAlive(offsets)
	runtime.KeepAlive(semaphores)
	runtime.KeepAlive(each)
	return int(fd), err
}

// filterUretprobe leaves the filtering to multi links, which check the process. Perf events of
// return probes run for every process in which anything has placed a breakpoint there
// (kernel/trace/trace_uprobe.c: uretprobe_perf_func).
var filterUretprobe = filterInKernelIf(func(k *sys.Kernel) bool { return k.HaveUprobeMulti(true) })

// uprobePMU is the file with the perf event type of uprobes (4.17).
const uprobePMU = "/sys/bus/event_source/devices/uprobe/type"

// attachUprobe opens a perf event for each site of a target.
func attachUprobe(returns bool) func(bpf.Target, *bpf.Program, bpf.AttachOptions) (*bpf.Attachment, error) {
	return func(t bpf.Target, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
		typ, err := uprobeType()
		if err != nil {
			return nil, &bpf.AttachError{Target: t, Reason: "this kernel has no user-space probes", Hint: "it needs CONFIG_UPROBE_EVENTS", Err: err}
		}
		a := &bpf.Attachment{Target: t}
		in := payload[userSites](t)
		for _, s := range in.sites {
			fds, err := openUprobe(in.file, s, typ, p, o, returns && !in.plain)
			if err != nil {
				return nil, errors.Join(uprobeRefused(t, 1, err), a.Close())
			}
			a.FDs = append(a.FDs, fds...)
		}
		return a, nil
	}
}

func uprobeType() (uint32, error) {
	text, err := os.ReadFile(uprobePMU)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	return uint32(n), err
}

func openUprobe(file string, s probeSite, typ uint32, p *bpf.Program, o bpf.AttachOptions, returns bool) ([]int, error) {
	path := append([]byte(file), 0)
	// format/retprobe is bit 0 of config, format/ref_ctr_offset its upper half
	// (kernel/events/core.c).
	attr := unix.PerfEventAttr{Type: typ, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Config: s.semaphore << 32,
		Ext1: uint64(uintptr(unsafe.Pointer(&path[0]))), Ext2: s.offset, Sample: 1, Wakeup: 1}
	if returns {
		attr.Config |= 1
	}
	pid, cpu := -1, 0
	if o.PID != 0 {
		pid, cpu = o.PID, -1
	}
	ev, err := unix.PerfEventOpen(&attr, pid, cpu, -1, sys.PerfFlagCloseExec)
	runtime.KeepAlive(path)
	if err != nil {
		return nil, err
	}
	return bpf.AttachToEvent(ev, p, o.Cookie)
}

// uprobeRefused explains why the kernel refused to attach to n targets in a file.
func uprobeRefused(t bpf.Target, n int, err error) *bpf.AttachError {
	e := bpf.NewAttachError(t, err)
	in := payload[userSites](t)
	switch {
	case errors.Is(err, unix.ENOENT):
		e.Reason, e.Hint = "the file no longer exists", ""
	case errors.Is(err, unix.EINVAL), errors.Is(err, sys.ErrnoNotSupported), errors.Is(err, unix.ENOEXEC):
		e.TargetOnly = true
		e.Reason, e.Hint = "the kernel cannot put a probe on that instruction", "probe another address in the function"
		if len(in.sites) == 0 || in.sites[0].semaphore != 0 {
			e.Reason, e.Hint = "the kernel cannot put a probe there", "its semaphore may be shared with another probe in the file"
		}
	case errors.Is(err, unix.EIO), errors.Is(err, unix.EOPNOTSUPP):
		e.Reason, e.Hint = fmt.Sprintf("the file system of %s does not support probes", in.file), "copy the program to another file system"
	}
	if n > 1 {
		e.Reason += fmt.Sprintf(" (or at another of the %d places in %s)", n, filepath.Base(in.file))
	}
	return e
}
