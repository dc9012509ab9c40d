// Package filenames completes the names of files.
package filenames

import (
	"os"
	"path/filepath"
	"strings"
)

// Complete gives the files whose names begin with prefix, sorted; folders end with a slash. Hidden ones are given where the prefix
// asks for them.
func Complete(prefix string) []string {
	dir, base := filepath.Split(prefix)
	from := dir
	if from == "" {
		from = "."
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return nil // nothing to offer
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, base) || name[0] == '.' && base == "" {
			continue
		}
		if st, err := os.Stat(filepath.Join(from, name)); err == nil && st.IsDir() { // of what a link leads to
			name += "/"
		}
		out = append(out, dir+name)
	}
	return out
}
