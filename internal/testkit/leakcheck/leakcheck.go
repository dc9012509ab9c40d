// Package leakcheck fails a test run that leaves file descriptors open. Kernel objects live as long
// as a descriptor refers to them.
package leakcheck

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Main runs the tests and returns the exit status for os.Exit. The status is 1 if a descriptor is
// open that was not open before; Main prints the file that each such descriptor refers to. If after
// is not nil, Main calls it after the tests to release what they share.
func Main(m *testing.M, after func() error) int {
	open() // the runtime poller opens its descriptors on first use
	before := open()
	code := m.Run()
	if after != nil {
		if err := after(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	runtime.GC()
	for fd, name := range open() {
		if before[fd] != name && name != "anon_inode:[eventpoll]" && name != "anon_inode:[eventfd]" { // Go's runtime poller
			fmt.Fprintf(os.Stderr, "leaked file descriptor %s: %s\n", fd, name)
			code = 1
		}
	}
	return code
}

// Prepared is Main for tests that need the kernel: prepare reports why they cannot run.
func Prepared(m *testing.M, prepare, after func() error) int {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return Main(m, after)
}

func open() map[string]string {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return map[string]string{"?": err.Error()}
	}
	out := map[string]string{}
	for _, e := range entries {
		if name, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil { // ReadDir's own descriptor is closed by now
			out[e.Name()] = name
		}
	}
	return out
}
