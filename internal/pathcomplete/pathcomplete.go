// Package pathcomplete completes file names.
package pathcomplete

import (
	"os"
	"path/filepath"
	"strings"
)

// Complete returns the files whose paths begin with prefix, sorted. Directories end with a slash.
// Hidden files are included only if the last element of prefix begins with a dot.
func Complete(prefix string) []string {
	dir, base := filepath.Split(prefix)
	from := dir
	if from == "" {
		from = "."
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return nil // no completions
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, base) || name[0] == '.' && base == "" {
			continue
		}
		if st, err := os.Stat(filepath.Join(from, name)); err == nil && st.IsDir() { // Stat follows symbolic links
			name += "/"
		}
		out = append(out, dir+name)
	}
	return out
}
