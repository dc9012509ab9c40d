// Package files reads and writes files for scripts, below the directories that --allow-read and
// --allow-write name: read_file(), read_lines(), write_file(), append_file(), and the files of
// exports.
//
//	files.go   the directories, and which file a path names
//	read.go    reading
//	write.go   writing
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// Files are the files that a script may use.
type Files struct {
	run         *runner.Runner
	read, write access
}

// Options configure Files.
type Options struct {
	Run         *runner.Runner
	Read, Write []string // directories
	Interactive bool     // a prompt, which has commands that add directories
}

// New returns the files that a script may use.
func New(o Options) *Files {
	return &Files{o.Run, access{"read", o.Read, o.Interactive}, access{"write", o.Write, o.Interactive}}
}

// An access is one way to use files, and the directories where it is allowed.
type access struct {
	verb        string // "read" or "write"
	dirs        []string
	interactive bool
}

// AllowRead lets scripts read files in a directory, and returns all such directories. If dir is "",
// it adds none. AllowWrite does so for writing.
func (f *Files) AllowRead(dir string) ([]string, error)  { return f.read.allow(dir) }
func (f *Files) AllowWrite(dir string) ([]string, error) { return f.write.allow(dir) }

func (a *access) allow(dir string) ([]string, error) {
	if dir != "" {
		st, err := os.Stat(dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, a.cause(err))
		}
		if !st.IsDir() {
			return nil, fmt.Errorf("%s is not a directory", dir)
		}
		a.dirs = append(slices.Clone(a.dirs), dir)
	}
	return a.dirs, nil
}

// within calls use with the allowed directory that contains a file, and with the file's path in it.
// Package os resolves that path without leaving the directory, also if symbolic links change in the
// meantime. It refuses absolute links, even those that lead back into the directory; use is then
// called again with the path that the links lead to, if that is in an allowed directory. resolve
// returns that path. fn is the name of the builtin that was called, for errors.
func (a *access) within(fn, path string, resolve func(string) (string, error), use func(root *os.Root, name string) error) error {
	if len(a.dirs) == 0 {
		hint := ""
		if a.interactive {
			hint = fmt.Sprintf("; at the prompt, write %%allow-%s DIR", a.verb)
		}
		return fmt.Errorf("%s: scripts may %s files only with --allow-%s DIR%s", fn, a.verb, a.verb, hint)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("%s: %w", fn, err)
	}
	found, err := a.below(abs, filepath.Abs, use)
	if !found || errors.Is(err, errLeavesRoot) {
		if target, err2 := resolve(abs); err2 == nil {
			// Without a link on the way these are the same calls again, with the same result.
			if again, err2 := a.below(target, filepath.EvalSymlinks, use); again {
				found, err = true, err2
			}
		}
	}
	switch {
	case !found:
		return fmt.Errorf("%s: %s is not below %s, where --allow-%s lets scripts %s", fn, path, strings.Join(a.dirs, " or "), a.verb, a.verb)
	case errors.Is(err, errLeavesRoot):
		return fmt.Errorf("%s: cannot %s %s: a symbolic link leads outside the --allow-%s directory", fn, a.verb, path, a.verb)
	case err != nil:
		return fmt.Errorf("%s: cannot %s %s: %w", fn, a.verb, path, err)
	}
	return nil
}

// below calls use with the first allowed directory that contains abs. It returns false if there is
// none.
func (a *access) below(abs string, whole func(string) (string, error), use func(*os.Root, string) error) (found bool, err error) {
	for _, dir := range a.dirs {
		top, err := whole(dir)
		if err != nil {
			continue // the directory does not exist, and no file in it
		}
		rel, err := filepath.Rel(top, abs)
		if err != nil || rel == "." || !filepath.IsLocal(rel) {
			continue
		}
		root, err := os.OpenRoot(top)
		if err != nil {
			return true, a.cause(err)
		}
		return true, a.cause(errors.Join(use(root, rel), root.Close()))
	}
	return false, nil
}

// errLeavesRoot is returned if a symbolic link in the path leads out of the directory.
var errLeavesRoot = errors.New("a symbolic link leads outside")

// cause returns the error inside a path or link error. Their file names are internal ones, such as
// that of a temporary file.
func (a *access) cause(err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &le):
		err = le.Err
	}
	// Package os does not export this error.
	if err != nil && strings.Contains(err.Error(), "path escapes from parent") {
		return errLeavesRoot
	}
	return err
}
