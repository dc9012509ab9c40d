package tools

import (
	"errors"
	"os"
	"testing"
)

// TestDisks checks the tools of disks.
func TestDisks(t *testing.T) {
	inFile(t, 40)
	checkRows(t, diskRows)
	checkSums(t, diskSums)
}

// TestCachestat reads and writes a file.
func TestCachestat(t *testing.T) {
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
	t.Setenv(loadFile, file.Name())
}
