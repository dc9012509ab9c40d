package scripttest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// suffix ends the names of files with tests.
const suffix = "_test.star"

// find returns the files to run: those named by paths, and the test files in and below the
// directories named by them.
func find(paths []string) ([]string, error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	var out []string
	for _, path := range paths {
		st, err := os.Stat(path)
		var pe *fs.PathError
		switch {
		case errors.As(err, &pe):
			return nil, &UsageError{fmt.Sprintf("%s: %v", path, pe.Err)}
		case err != nil:
			return nil, err
		case !st.IsDir():
			out = append(out, path)
			continue
		}
		below, err := testFiles(path)
		if err != nil {
			return nil, err
		}
		if len(below) == 0 {
			if path == "." {
				path = "the current directory"
			}
			return nil, &UsageError{fmt.Sprintf("no tests found: no file *%s in %s or below it", suffix, path)}
		}
		out = append(out, below...)
	}
	return out, nil
}

// testFiles returns the test files in and below a directory, sorted. Like go test it skips the
// directories testdata and those whose names begin with a dot or an underscore.
func testFiles(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir():
			if path != dir && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return fs.SkipDir
			}
		case strings.HasSuffix(name, suffix):
			out = append(out, path)
		}
		return nil
	})
	return out, err
}
