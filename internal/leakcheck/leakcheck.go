// Package leakcheck fails a test run that leaves file descriptors open: kernel objects live as long as one refers to them.
package leakcheck

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Main runs the tests and gives the exit status for os.Exit: 1 where a descriptor is open that was not before. It names
// what each refers to. after, if not nil, lets go of what the tests share.
func Main(m *testing.M, after func() error) int {
	open() // the poller's own descriptors come with the first use
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
		if before[fd] != name && name != "anon_inode:[eventpoll]" && name != "anon_inode:[eventfd]" { // Go's poller
			fmt.Fprintf(os.Stderr, "leaked file descriptor %s: %s\n", fd, name)
			code = 1
		}
	}
	return code
}

func open() map[string]string {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return map[string]string{"?": err.Error()}
	}
	out := map[string]string{}
	for _, e := range entries {
		if name, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil { // the directory's own is gone by now
			out[e.Name()] = name
		}
	}
	return out
}
