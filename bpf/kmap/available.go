package kmap

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// A map allocates the memory for all its keys when it is created, so that adding a key never has to
// wait for memory: the kernel's allocator for programs (bpf_mem_alloc) refills more slowly than
// keys can arrive. A map for which the host has too little memory is refused beforehand.

// freeMemory is the size in bytes that a map may have without a check of the host's memory.
const freeMemory = 128 << 20

// availableMemory returns the number of bytes that the host, or the control group of this process,
// can still provide.
func availableMemory() (uint64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	kib, ok := fieldOf(string(text), "MemAvailable:")
	if !ok {
		return 0, errors.New("/proc/meminfo has no MemAvailable")
	}
	least := kib << 10
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return least, nil // no control groups
	}
	for line := range strings.Lines(string(groups)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 {
			continue
		}
		switch {
		case f[0] == "0":
			least = min(least, groupMemory("/sys/fs/cgroup", f[2], "memory.max", "memory.current", "inactive_file"))
		case strings.Contains(","+f[1]+",", ",memory,"):
			least = min(least, groupMemory("/sys/fs/cgroup/memory", f[2], "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"))
		}
	}
	return least, nil
}

// groupMemory returns the number of bytes that a control group and its ancestors can still
// allocate. Page cache that can be dropped does not count as used.
func groupMemory(root, group, limit, usage, droppable string) uint64 {
	least := ^uint64(0)
	for dir := path.Clean("/" + group); ; dir = path.Dir(dir) {
		most, ok := numberIn(filepath.Join(root, dir, limit))
		used, ok2 := numberIn(filepath.Join(root, dir, usage))
		if ok && ok2 {
			if stat, err := os.ReadFile(filepath.Join(root, dir, "memory.stat")); err == nil {
				if files, ok := fieldOf(string(stat), droppable); ok {
					used -= min(used, files)
				}
			}
			least = min(least, most-min(most, used))
		}
		if dir == "/" {
			return least
		}
	}
}

// numberIn reads a file that contains one number. It returns false for "max".
func numberIn(file string) (uint64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// fieldOf returns the number in the line "name NUMBER".
func fieldOf(text, name string) (uint64, bool) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name {
			n, err := strconv.ParseUint(f[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// CheckMemory returns a *Error if copies maps with this spec need more memory than the host can
// spare, which is three quarters of the available memory.
func (s Spec) CheckMemory(copies int) error {
	if s.Flags&unix.BPF_F_NO_PREALLOC != 0 || s.bytes()*uint64(copies) <= freeMemory {
		return nil
	}
	have, err := availableMemory()
	if err != nil {
		return fmt.Errorf("find how much memory map %q may take: %w", s.Name, err)
	}
	return s.tooLarge(copies, have)
}

func (s Spec) tooLarge(copies int, have uint64) error {
	need, spare := s.bytes()*uint64(copies), have/4*3
	if need <= spare {
		return nil
	}
	if s.Type == ebpf.RingBuf {
		return streamTooLarge(s, need, spare, nil)
	}
	each, times := "", ""
	if isPerCPU(s.Type) {
		n, err := sys.PossibleCPUs()
		if err != nil {
			return err
		}
		each = fmt.Sprintf(" for each of %d CPUs", n)
	}
	if copies > 1 {
		times = fmt.Sprintf(", %d times because clear() and delta() exchange the map,", copies)
	}
	e := &Error{Spec: s, Op: "create", Hint: "lower max_keys", Reason: fmt.Sprintf("%d keys of %d bytes with values of %d bytes%s%s need %s, and this machine can spare %s",
		s.MaxEntries, s.KeySize, s.ValueSize, each, times, mebibytes(need), mebibytes(spare))}
	if n := roundDown(uint64(s.MaxEntries) * (spare / uint64(copies) / 1024) / (s.bytes()/1024 + 1)); n > 0 {
		e.Hint = fmt.Sprintf("write max_keys=%d", n)
	}
	return e
}

// streamTooLarge returns the error for a ring buffer that is too large, with a hint at a size that
// fits.
func streamTooLarge(s Spec, need, spare uint64, err error) *Error {
	size := uint64(4096)
	for size*2 <= spare && size*2 < need {
		size *= 2
	}
	return &Error{Spec: s, Op: "create", Err: err, Reason: fmt.Sprintf("a ring buffer of %s is more than this machine can spare (%s)", mebibytes(need), mebibytes(spare)),
		Hint: fmt.Sprintf("write stream(size=%q)", strings.ReplaceAll(mebibytes(size), " ", ""))}
}

// roundDown rounds a number down to its two leading digits.
func roundDown(n uint64) uint64 {
	unit := uint64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return n / unit * unit
}

// hashShape returns a spec from which the kernel copies the shape of a map: a hash with one key,
// which is quick to allocate.
func hashShape(s Spec) Spec {
	switch s.Type {
	case ebpf.Hash, ebpf.PerCPUHash:
		s.MaxEntries = 1 // the kernel does not compare it (kernel/bpf/map_in_map.c: bpf_map_meta_equal)
	}
	return s
}
