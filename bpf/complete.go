package bpf

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/bpfrepl/bpfrepl/internal/filenames"
)

// Complete gives what a spec that begins with prefix can go on with, a part at a time: words, sorted, which take the place of the prefix from
// an index on. Kinds with many thousands of names are quick too, once these have been read.
func Complete(prefix string) (words []string, from int, err error) {
	kind, rest, ok := strings.Cut(prefix, ":")
	p := findProvider(kind)
	switch {
	case !ok:
		var out []string
		for _, p := range providers() {
			name := p.Kind
			if strings.Contains(p.Syntax, ":") {
				name += ":"
			}
			if strings.HasPrefix(name, prefix) {
				out = append(out, name)
			}
		}
		slices.Sort(out)
		return out, 0, nil
	case p == nil || isPattern(prefix):
		return nil, 0, nil
	case strings.Contains(p.Syntax, "PATH") && strings.Contains(rest, "/") && !strings.Contains(rest, ":"):
		var out []string
		for _, f := range filenames.Complete(rest) {
			if !strings.HasSuffix(f, "/") {
				f += ":"
			}
			out = append(out, f)
		}
		return out, len(kind) + 1, nil
	case p.functions != nil && !strings.Contains(rest, ":"):
		names, err := p.functions()
		return startingWith(names, rest), len(kind) + 1, err
	}
	ts, err := List(prefix + "*")
	if err != nil {
		return nil, 0, err
	}
	var out []string
	for _, t := range ts {
		name := strings.TrimPrefix(t.Name, p.Kind+":")          // an alias may be written
		if file, _, _ := strings.Cut(rest, ":"); t.file != "" { // it may be a bare name
			name = file + strings.TrimPrefix(name, t.file)
		}
		if next, ok := strings.CutPrefix(name, rest); ok {
			if i := strings.IndexByte(next, ':'); i >= 0 {
				next = next[:i+1]
			}
			out = append(out, prefix+next)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), 0, nil
}

// A nameList is names that are sorted and kept; they are read again where modules have come or gone meanwhile.
type nameList struct {
	read func() ([]string, error)

	mu      sync.Mutex
	modules string
	names   []string
}

func (l *nameList) get() ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, err := os.ReadFile("/proc/modules")
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without modules
		return nil, err
	}
	if l.names == nil || string(now) != l.modules {
		if l.names, err = l.read(); err != nil {
			return nil, err
		}
		l.modules = string(now)
	}
	return l.names, nil
}

// Ahead begins to read the names of functions that Complete will need if the spec goes on like this, in the background.
func Ahead(prefix string) {
	kind, _, whole := strings.Cut(prefix, ":")
	for _, p := range providers() {
		if p.functions != nil && (p.Kind == kind || p.Alias == kind || !whole && kind != "" && strings.HasPrefix(p.Kind, kind)) {
			go p.functions() // Complete will tell of an error
		}
	}
}

var kprobeList, fentryList = &nameList{read: kprobeNames}, &nameList{read: fentryNames}

// startingWith gives those of sorted names that start with a text.
func startingWith(names []string, start string) []string {
	from, _ := slices.BinarySearch(names, start)
	to, _ := slices.BinarySearchFunc(names, start, func(n, start string) int {
		if strings.HasPrefix(n, start) {
			return -1
		}
		return strings.Compare(n, start)
	})
	return names[from:to]
}
