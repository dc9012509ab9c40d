// Package load builds the load generator (cmd/load) for tests.
package load

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "load")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "load")
	cmd := exec.Command("go", "build", "-o", bin, "github.com/bpfrepl/bpfrepl/internal/load/cmd/load")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the load: %w\n%s", err, out)
	}
	return bin, nil
})

// Binary gives the path of the load generator, built once in a process.
func Binary() (string, error) { return build() }

// Clean removes it.
func Clean() error {
	bin, err := build()
	if err != nil {
		return err
	}
	return os.RemoveAll(filepath.Dir(bin))
}
