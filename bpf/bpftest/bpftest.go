// Package bpftest decides which tests can run on a kernel. A test may be skipped only because of a
// feature that the kernel does not have according to docs/kernels.md. If the kernel does not have a
// feature that the table says it has, the test fails.
package bpftest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/feature"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// Need skips the test if the kernel does not have one of the features.
func Need(t *testing.T, features ...string) {
	t.Helper()
	for _, name := range features {
		f, err := feature.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Probe(); err != nil {
			Skip(t, err)
		}
	}
}

// A Host is a property of a host on which some test does not run.
type Host string

// WithWork is a host with other work: the test takes a CPU offline. It runs in make vmtest.
const WithWork Host = "the host has other work, and the test takes a CPU offline: make vmtest"

// SkipOn skips the test on such a host.
func SkipOn(t *testing.T, h Host) {
	t.Helper()
	t.Skip(string(h))
}

// Skip skips the test if err is a *feature.NotSupportedError for a feature that the kernel does not
// have according to the table. Otherwise the test fails with err.
func Skip(t *testing.T, err error) {
	t.Helper()
	var missing *feature.NotSupportedError
	if !errors.As(err, &missing) {
		t.Fatal(err)
	}
	has, terr := Table(missing.Feature)
	switch {
	case terr != nil:
		t.Fatal(terr)
	case has:
		t.Fatalf("docs/kernels.md says that this kernel has %s: %v", missing.Feature, err)
	}
	t.Skipf("%s is not on this kernel (docs/kernels.md)", missing.Feature)
}

// Table reports whether the running kernel has a feature according to docs/kernels.md. For a kernel
// that is not in the table, it uses the newest older kernel in the table.
func Table(feature string) (bool, error) {
	text, err := findTable()
	if err != nil {
		return false, err
	}
	k, err := sys.Running()
	if err != nil {
		return false, err
	}
	column := 0
	for l := range strings.Lines(text) {
		cells := strings.Split(l, "|")
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `\n")
		}
		switch {
		case len(cells) < 3:
		case cells[1] == "feature":
			for i, c := range cells {
				var major, minor int
				if n, _ := fmt.Sscanf(c, "%d.%d", &major, &minor); n == 2 && k.AtLeast(major, minor) {
					column = i
				}
			}
		case cells[1] == feature && column > 0 && column < len(cells):
			return cells[column] == "yes", nil
		}
	}
	return false, fmt.Errorf("docs/kernels.md has no line for %s, or no column for kernel %s: go run ./internal/testkit/vmtest/cmd -table", feature, k.Release)
}

// findTable finds the table in this directory or the directories above.
func findTable() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "docs", "kernels.md"))
		if err == nil || dir == "/" || !errors.Is(err, os.ErrNotExist) {
			return string(text), err
		}
	}
}
