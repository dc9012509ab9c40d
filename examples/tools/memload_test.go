package tools

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Loads that make the kernel move or read pages.

// moved is the file to which loadCompact writes how many pages were moved, or could not be.
const moved = "/moved"

// migrations returns how many pages the kernel has moved, or failed to move.
func migrations() (int, error) {
	success, err := vmstat("pgmigrate_success")
	if err != nil {
		return 0, err
	}
	fail, err := vmstat("pgmigrate_fail")
	return success + fail, err
}

// vmstat returns a counter of the kernel's memory management.
func vmstat(name string) (int, error) {
	text, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0, err
	}
	s := bufio.NewScanner(strings.NewReader(string(text)))
	for s.Scan() {
		if value, ok := strings.CutPrefix(s.Text(), name+" "); ok {
			return strconv.Atoi(value)
		}
	}
	return 0, fmt.Errorf("/proc/vmstat has no %s", name)
}

// loadCompact takes memory with holes, and lets the kernel compact all memory. It goes on, at most
// n[0] times, until there were pages to move.
func loadCompact(n ...int) error {
	const page, size = 4096, 32 << 20
	before, err := migrations()
	if err != nil {
		return err
	}
	after := before
	for i := 0; i < n[0] && after == before; i++ {
		b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return err
		}
		if err := unix.Madvise(b, unix.MADV_NOHUGEPAGE); err != nil {
			return err
		}
		for i := 0; i < size; i += page {
			b[i] = 1
		}
		for i := 0; i < size; i += 2 * page {
			if err := unix.Madvise(b[i:i+page], unix.MADV_DONTNEED); err != nil {
				return err
			}
		}
		if err := os.WriteFile("/proc/sys/vm/compact_memory", []byte("1"), 0); err != nil {
			return err
		}
		if after, err = migrations(); err != nil {
			return err
		}
	}
	return os.WriteFile(os.TempDir()+moved, []byte(strconv.Itoa(after-before)), 0o600)
}
