// Package gobin builds the module's commands for tests and measurements.
package gobin

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"sync"
)

var (
	mu    sync.Mutex
	built = map[string]string{}
)

// Folder names the environment variable for where there is no Go: the folder that holds the commands, built already.
const Folder = "GOBIN_BUILT"

// Build gives the path of a command of this module ("cmd/bpfrepl"), built once in a process.
func Build(command string) (string, error) {
	if dir := os.Getenv(Folder); dir != "" {
		bin := filepath.Join(dir, path.Base(command))
		_, err := os.Stat(bin)
		return bin, err
	}
	mu.Lock()
	defer mu.Unlock()
	if bin := built[command]; bin != "" {
		return bin, nil
	}
	dir, err := os.MkdirTemp("", "gobin")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, path.Base(command))
	cmd := exec.Command("go", "build", "-o", bin, "github.com/bpfrepl/bpfrepl/"+command)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build %s: %w\n%s", command, err, out), os.RemoveAll(dir))
	}
	built[command] = bin
	return bin, nil
}

// Load builds the load generator, and gives its path and the name of its threads, four characters that no other process
// has: tests that count its calls may run beside others that do.
func Load() (bin, comm string, err error) {
	bin, err = Build("internal/load")
	if err != nil {
		return "", "", err
	}
	comm = "l" + Tag()
	mu.Lock()
	defer mu.Unlock()
	if own := built[comm]; own != "" {
		return own, comm, nil
	}
	dir, err := os.MkdirTemp("", "gobin")
	if err != nil {
		return "", "", err
	}
	own := filepath.Join(dir, comm)
	if err := os.Symlink(bin, own); err != nil {
		return "", "", errors.Join(err, os.RemoveAll(dir))
	}
	built[comm] = own
	return own, comm, nil
}

// Tag is three characters of this process, for names that several test runs must not share.
func Tag() string {
	s := "00" + strconv.FormatInt(int64(os.Getpid()), 36)
	return s[len(s)-3:]
}

// Clean removes what was built.
func Clean() error {
	mu.Lock()
	defer mu.Unlock()
	var errs []error
	for _, bin := range built {
		errs = append(errs, os.RemoveAll(filepath.Dir(bin)))
	}
	clear(built)
	return errors.Join(errs...)
}
