package export

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Allow lets scripts write files in a directory, and returns all such directories. If dir is "", it
// adds none.
func (e *Exporter) Allow(dir string) ([]string, error) {
	if dir != "" {
		st, err := os.Stat(dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, cause(err))
		}
		if !st.IsDir() {
			return nil, fmt.Errorf("%s is not a directory", dir)
		}
		e.dirs = append(slices.Clone(e.dirs), dir)
	}
	return e.dirs, nil
}

// writeFile writes a file for a script. The file must be inside a directory of --allow-write, also
// after symbolic links are followed. It is written completely or not at all, and only its owner can
// access it. fn is the name of the builtin that was called, for errors.
func (e *Exporter) writeFile(fn, path string, data []byte) error {
	if len(e.dirs) == 0 {
		hint := ""
		if e.interactive {
			hint = "; at the prompt, write %allow-write DIR"
		}
		return fmt.Errorf("%s: scripts may write files only with --allow-write DIR%s", fn, hint)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("%s: %w", fn, err)
	}
	for _, dir := range e.dirs {
		top, err := filepath.Abs(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", fn, err)
		}
		rel, err := filepath.Rel(top, abs)
		if err != nil || rel == "." || !filepath.IsLocal(rel) {
			continue
		}
		if err := writeBelow(top, rel, data); err != nil {
			return fmt.Errorf("%s: cannot write %s: %w", fn, path, err)
		}
		return nil
	}
	return fmt.Errorf("%s: %s is not below %s, where --allow-write lets scripts write", fn, path, strings.Join(e.dirs, " or "))
}

// errLeavesRoot is returned if a symbolic link in the path leads out of the directory.
var errLeavesRoot = errors.New("a symbolic link leads outside the --allow-write directory")

func writeBelow(top, rel string, data []byte) (err error) {
	root, err := os.OpenRoot(top)
	if err != nil {
		return cause(err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	part := rel + fmt.Sprintf(".%d.part", os.Getpid())
	f, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return cause(err)
	}
	_, err = f.Write(data)
	err = errors.Join(cause(err), cause(f.Close()))
	if err == nil {
		err = cause(root.Rename(part, rel))
	}
	if err != nil {
		err = errors.Join(err, cause(root.Remove(part)))
	}
	return err
}

// cause returns the error inside a path or link error. Their file names are internal ones, such as
// that of the temporary file.
func cause(err error) error {
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
