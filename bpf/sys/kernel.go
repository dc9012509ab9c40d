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

// Kernel is the running kernel.
type Kernel struct {
	Release      string // as uname -r says: "6.18.44-fc"
	Major, Minor int
	Arch         string // as Go names it: "amd64"
}

// Running gives the running kernel.
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

// AtLeast says whether the kernel is of this version or a later one.
func (k *Kernel) AtLeast(major, minor int) bool {
	return k.Major > major || k.Major == major && k.Minor >= minor
}

// HaveFetchAtomics says whether programs may use fetching atomics, exchange and compare-exchange: from 5.12 on x86, from
// 5.18 on arm64 (the first whose JIT has them; cf. the kernel's commits 5ffa25502b5a and 1902472b4fa9).
func (k *Kernel) HaveFetchAtomics() bool {
	if k.Arch == "arm64" {
		return k.AtLeast(5, 18)
	}
	return k.AtLeast(5, 12)
}

// HaveCookie says whether programs of this type can read an attach cookie: perf links from 5.15, fentry and
// fexit from 5.19, raw tracepoints from 6.10.
func (k *Kernel) HaveCookie(t ebpf.ProgramType) bool {
	switch t {
	case ebpf.RawTracepoint:
		return k.AtLeast(6, 10)
	case ebpf.TracePoint, ebpf.PerfEvent, ebpf.Kprobe:
		return k.AtLeast(5, 15)
	case ebpf.Tracing:
		return k.AtLeast(5, 19)
	}
	return false
}

// HaveUprobeMulti says whether one link can hold many uprobes (6.6), for one process if that is asked for: before 6.12 such a
// link saw the first thread only.
func (k *Kernel) HaveUprobeMulti(oneProcess bool) bool {
	return k.AtLeast(6, 12) || k.AtLeast(6, 6) && !oneProcess
}

// HaveInheritThread says whether a perf event can follow into new threads only (5.13); before, it follows into new processes too.
func (k *Kernel) HaveInheritThread() bool { return k.AtLeast(5, 13) }

// HaveIterProcess says whether an iterator takes a process (6.1; struct bpf_iter_link_info).
func (k *Kernel) HaveIterProcess() bool { return k.AtLeast(6, 1) }

// HavePerfLink says whether perf events take programs through links (5.15), which carry cookies.
func (k *Kernel) HavePerfLink() bool { return k.AtLeast(5, 15) }

// PossibleCPUs gives the number of CPUs that could ever be there: a per-CPU map has a value for each.
func PossibleCPUs() (int, error) {
	n, err := ebpf.PossibleCPU()
	if err != nil {
		return 0, fmt.Errorf("count possible CPUs: %w", err)
	}
	return n, nil
}

// OnlineCPUs gives the numbers of the CPUs that run now, ascending, from /sys/devices/system/cpu/online.
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

// parseCPUs reads a kernel list of CPUs: "0-3,8,10-11".
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

// CompatBit returns where a task says that its system call is one of a 32-bit program: a bit of a word of struct task_struct,
// which begins with struct thread_info (arch/x86/include/asm/thread_info.h: TS_COMPAT of status, behind flags and, from 5.11,
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

// before tells that the running kernel is older than that version.
func OlderThan(major, minor int) bool {
	k, err := Running()
	return err == nil && !k.AtLeast(major, minor)
}
