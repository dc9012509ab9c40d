package sys

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Kernel describes the running kernel.
type Kernel struct {
	Release      string // as reported by uname -r: "6.18.44-fc"
	Major, Minor int
	Arch         string // Go's name: "amd64"
}

// Running returns the running kernel.
func Running() (*Kernel, error) { return running() }

var running = sync.OnceValues(func() (*Kernel, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	return parseKernel(unix.ByteSliceToString(u.Release[:]))
})

func parseKernel(release string) (*Kernel, error) {
	k := &Kernel{Release: release, Arch: runtime.GOARCH}
	if n, err := fmt.Sscanf(release, "%d.%d", &k.Major, &k.Minor); n != 2 {
		return nil, fmt.Errorf("kernel release %q: no version in it: %w", release, err)
	}
	return k, nil
}

// AtLeast reports whether the kernel has the given version or a later one.
func (k *Kernel) AtLeast(major, minor int) bool {
	return k.Major > major || k.Major == major && k.Minor >= minor
}

// HaveFetchAtomics reports whether programs may use fetching atomics, exchange and
// compare-exchange: from 5.12 on x86, from 5.18 on arm64, which is the first whose JIT supports
// them (kernel commits 5ffa25502b5a and 1902472b4fa9).
func (k *Kernel) HaveFetchAtomics() bool {
	if k.Arch == "arm64" {
		return k.AtLeast(5, 18)
	}
	return k.AtLeast(5, 12)
}

// HaveCookie reports whether programs of type t can read an attach cookie: perf links from 5.15,
// fentry, fexit and lsm from 5.19, raw tracepoints from 6.10.
func (k *Kernel) HaveCookie(t ebpf.ProgramType) bool {
	switch t {
	case ebpf.RawTracepoint:
		return k.AtLeast(6, 10)
	case ebpf.TracePoint, ebpf.PerfEvent, ebpf.Kprobe:
		return k.AtLeast(5, 15)
	case ebpf.Tracing, ebpf.LSM:
		return k.AtLeast(5, 19)
	}
	return false
}

// HaveUprobeMulti reports whether one link can have many uprobes (6.6). If oneProcess is set, it
// requires 6.12: before, a link limited to a process saw only its first thread.
func (k *Kernel) HaveUprobeMulti(oneProcess bool) bool {
	return k.AtLeast(6, 12) || k.AtLeast(6, 6) && !oneProcess
}

// HaveInheritThread reports whether a perf event can be inherited by new threads only (5.13).
// Before, new processes inherit it too.
func (k *Kernel) HaveInheritThread() bool { return k.AtLeast(5, 13) }

// HaveIterProcess reports whether an iterator can be limited to a process (6.1; struct
// bpf_iter_link_info).
func (k *Kernel) HaveIterProcess() bool { return k.AtLeast(6, 1) }

// HaveSyscallStacks reports whether programs at the tracepoints of system calls can read the
// kernel's stack (6.13). Before, the kernel passes them the registers of the traced program, from
// which no kernel stack can be found (kernel/trace/trace_syscalls.c: perf_call_bpf_enter).
func (k *Kernel) HaveSyscallStacks() bool { return k.AtLeast(6, 13) }

// HavePerfLink reports whether programs can be attached to perf events through links (5.15), which
// support cookies.
func (k *Kernel) HavePerfLink() bool { return k.AtLeast(5, 15) }

// PossibleCPUs returns the number of CPUs that could ever be present. A per-CPU map has a value for
// each of them.
func PossibleCPUs() (int, error) {
	n, err := ebpf.PossibleCPU()
	if err != nil {
		return 0, fmt.Errorf("count possible CPUs: %w", err)
	}
	return n, nil
}

// OnlineCPUs returns the numbers of the online CPUs in ascending order, from
// /sys/devices/system/cpu/online.
func OnlineCPUs() ([]int, error) {
	const file = "/sys/devices/system/cpu/online"
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("list online CPUs: %w", err)
	}
	cpus, err := parseCPUs(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return cpus, nil
}

// parseCPUs parses a kernel CPU list such as "0-3,8,10-11".
func parseCPUs(list string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, err := strconv.ParseUint(from, 10, 16)
		b, err2 := strconv.ParseUint(to, 10, 16)
		if err := errors.Join(err, err2); err != nil || a > b {
			return nil, fmt.Errorf("bad list of CPUs %q", list)
		}
		for i := a; i <= b; i++ {
			cpus = append(cpus, int(i))
		}
	}
	return cpus, nil
}

// CompatBit returns where a task records that its system call comes from a 32-bit program: a bit in
// a word of struct task_struct, which begins with struct thread_info. offset is that of the word in
// bytes (arch/x86/include/asm/thread_info.h: TS_COMPAT of status, after flags and, from 5.11,
// syscall_work; arch/arm64/include/asm/thread_info.h: TIF_32BIT of flags).
func (k *Kernel) CompatBit() (offset, bit int, ok bool) {
	switch {
	case k.Arch == "amd64" && k.AtLeast(5, 11):
		return 16, 1, true
	case k.Arch == "amd64":
		return 8, 1, true
	case k.Arch == "arm64":
		return 0, 22, true
	}
	return 0, 0, false
}

// OlderThan reports whether the running kernel is older than the given version.
func OlderThan(major, minor int) bool {
	k, err := Running()
	return err == nil && !k.AtLeast(major, minor)
}

// Monotonic returns the nanoseconds since boot, as bpf_ktime_get_ns() does.
func Monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // cannot happen: every kernel has this clock
	}
	return ts.Nano()
}
