package tools

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDisks checks the tools of disks.
func TestDisks(t *testing.T) {
	inFile(t, 40)
	checkRows(t, diskRows)
	checkSums(t, diskSums)
}

// TestCachestat reads and writes a file. The page cache does not have those of tmpfs.
func TestCachestat(t *testing.T) {
	var st unix.Statfs_t
	if err := unix.Statfs(".", &st); err != nil {
		t.Fatal(err)
	}
	if st.Type == unix.TMPFS_MAGIC {
		t.Chdir(ramfs(t))
	}
	inFile(t, 0)
	checkSums(t, cacheSums)
}

// inFile creates the file of loads that read a disk, n blocks long. It is in this directory: /tmp
// may be in memory.
func inFile(t *testing.T, n int) {
	t.Helper()
	file, err := os.CreateTemp(".", "disk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(file.Close(), os.Remove(file.Name())); err != nil {
			t.Error(err)
		}
	})
	if _, err := file.Write(make([]byte, n*4096)); err != nil {
		t.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(loadFile, path)
}

// ramfs mounts a file system that is nothing but page cache, and returns its directory.
func ramfs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "ramfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
