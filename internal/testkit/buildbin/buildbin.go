// Package buildbin builds the module's commands for tests and measurements, each at most once in a
// process.
package buildbin

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Folder is an environment variable for hosts without Go. It names a directory that contains the
// commands, already built.
const Folder = "GOBIN_BUILT"

// A thing is a file that is made once in a process, in a directory of its own.
type thing struct {
	once sync.Once
	dir  string
	err  error
}

var (
	mu     sync.Mutex
	things = map[string]*thing{}
)

// Once returns the path of the file name, which fn makes on the first call with this key: it must
// create the file bin, which is in the empty directory dir. fn may call Once with other keys.
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

// Given returns the path of a file in the directory that Folder names. given reports whether Folder
// is set; if it is, err reports a missing file.
func Given(name string) (bin string, given bool, err error) {
	dir := os.Getenv(Folder)
	if dir == "" {
		return "", false, nil
	}
	bin = filepath.Join(dir, name)
	_, err = os.Stat(bin)
	return bin, true, err
}

// Build returns the path of a command of this module, such as "cmd/bpfrepl". It builds the command
// once in a process.
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

// Load builds the load generator. It returns its path and the name of its threads, four characters
// that no other process has, so that tests that count its calls can run in parallel with each
// other.
func Load() (bin, comm string, err error) {
	bin, err = Build("internal/testkit/loadgen")
	if err != nil {
		return "", "", err
	}
	comm = "l" + strings.ToUpper(Tag()) // in upper case it is no word of a message, such as "lost"
	bin, err = Once("load "+comm, comm, func(_, link string) error { return os.Symlink(bin, link) })
	return bin, comm, err
}

// Tag returns three characters that identify this process, for names that concurrent test runs must
// not share.
func Tag() string {
	s := "00" + strconv.FormatInt(int64(os.Getpid()), 36)
	return s[len(s)-3:]
}

// Clean removes all files that Once and Build made.
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
