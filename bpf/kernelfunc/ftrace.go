package kernelfunc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// Files that say which functions can be traced.
const (
	// FilterFile lists, in tracefs, the functions that ftrace can trace.
	FilterFile = "available_filter_functions"
	// filterAddrFile lists them with their addresses (6.5).
	filterAddrFile = "available_filter_functions_addrs"
	// BlacklistFile lists the functions that cannot have kprobes.
	BlacklistFile = "/sys/kernel/debug/kprobes/blacklist"
)

// filterFunctions reads one of ftrace's function lists. It returns nil if the kernel does not have
// the file or does not permit reading it.
func filterFunctions(name string) ([]byte, error) {
	dir, err := sys.Tracefs()
	if err != nil {
		var me *sys.MountError
		if errors.As(err, &me) {
			return nil, nil // kallsyms is used instead
		}
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission), errors.Is(err, unix.ENODEV):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("list the functions that can be traced: %w", err)
	}
	return text, nil
}

// Addresses returns the addresses of those named functions that ftrace can trace and, for
// each address, the index of its name. It returns nil if the kernel does not list the addresses.
// ftrace lists the address of a function's call to ftrace, some bytes after the start of the
// function, but the kernel looks up cookies by the start.
func Addresses(names []string) (addrs []uint64, of []int, err error) {
	text, err := filterFunctions(filterAddrFile)
	if err != nil || text == nil {
		return nil, nil, err
	}
	index, wanted := make(map[string]int, len(names)), make(map[string]bool, len(names))
	for i, n := range names {
		index[n], wanted[n] = i, true
	}
	syms, err := Named(wanted)
	if err != nil {
		return nil, nil, err
	}
	starts := make(map[string][]uint64, len(names))
	for _, s := range syms {
		starts[s.Name] = append(starts[s.Name], s.Addr)
	}
	const furthest = 32 // from the start of a function to its call to ftrace
	for line := range bytes.Lines(text) {
		f := bytes.Fields(line)
		if len(f) < 2 {
			continue
		}
		i, ok := index[string(f[1])]
		if !ok {
			continue
		}
		call, err := strconv.ParseUint(string(f[0]), 16, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: bad address %q", filterAddrFile, f[0])
		}
		for _, start := range starts[names[i]] {
			if start != 0 && start <= call && call-start < furthest {
				addrs, of = append(addrs, start), append(of, i)
				break
			}
		}
	}
	return addrs, of, nil
}

// Blacklist returns the functions that cannot have kprobes, or nil if debugfs does not list them.
func Blacklist() map[string]bool {
	text, err := os.ReadFile(BlacklistFile)
	if err != nil {
		return nil // attaching will report it
	}
	out := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		// "0xffffffff81001000-0xffffffff81001020\tname"
		if f := strings.Fields(line); len(f) == 2 {
			out[f[1]] = true
		}
	}
	return out
}

// IsNotrace reports whether ftrace lists the functions that it can trace and fn is not among them.
func IsNotrace(fn string) bool {
	text, err := filterFunctions(FilterFile)
	if err != nil || text == nil {
		return false
	}
	names, err := Traceable()
	if err != nil {
		return false
	}
	_, found := slices.BinarySearch(names, fn)
	return !found
}
