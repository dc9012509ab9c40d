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

// Folder names the environment variable for where there is no Go: the folder that holds the commands, built already.
const Folder = "GOBIN_BUILT"

// a thing is a file that is made once in a process, in a folder of its own.
type thing struct {
	once sync.Once
	dir  string
	err  error
}

var (
	mu     sync.Mutex
	things = map[string]*thing{}
)

// Once gives the path of a file of that name, which fn makes the first time that it is asked for, at bin in the empty folder dir. key
// tells it apart from others. fn may ask for other files.
func Once(key, name string, fn func(dir, bin string) error) (string, error) {
	mu.Lock()
	t := things[key]
	if t == nil {
		t = &thing{}
		things[key] = t
	}
	mu.Unlock()
	t.once.Do(func() {
		if t.dir, t.err = os.MkdirTemp("", "gobin"); t.err == nil {
			t.err = fn(t.dir, filepath.Join(t.dir, name))
		}
	})
	return filepath.Join(t.dir, name), t.err
}

// Given gives the path of a file that Folder has, if there is such a folder.
func Given(name string) (bin string, given bool, err error) {
	dir := os.Getenv(Folder)
	if dir == "" {
		return "", false, nil
	}
	bin = filepath.Join(dir, name)
	_, err = os.Stat(bin)
	return bin, true, err
}

// Build gives the path of a command of this module ("cmd/bpfrepl"), built once in a process.
func Build(command string) (string, error) {
	name := path.Base(command)
	if bin, given, err := Given(name); given {
		return bin, err
	}
	return Once(command, name, func(_, bin string) error {
		cmd := exec.Command("go", "build", "-o", bin, "github.com/bpfrepl/bpfrepl/"+command)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", command, err, out)
		}
		return nil
	})
}

// Load builds the load generator, and gives its path and the name of its threads, four characters that no other process
// has: tests that count its calls may run beside others that do.
func Load() (bin, comm string, err error) {
	bin, err = Build("internal/load")
	if err != nil {
		return "", "", err
	}
	comm = "l" + Tag()
	bin, err = Once("load "+comm, comm, func(_, link string) error { return os.Symlink(bin, link) })
	return bin, comm, err
}

// Tag is three characters of this process, for names that several test runs must not share.
func Tag() string {
	s := "00" + strconv.FormatInt(int64(os.Getpid()), 36)
	return s[len(s)-3:]
}

// Clean removes all that was made.
func Clean() error {
	mu.Lock()
	defer mu.Unlock()
	var errs []error
	for _, t := range things {
		if t.dir != "" {
			errs = append(errs, os.RemoveAll(t.dir))
		}
	}
	clear(things)
	return errors.Join(errs...)
}
