package bpf

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/bpfrepl/bpfrepl/internal/filenames"
)

// Complete gives what a spec can begin with that begins with prefix, a part at a time, sorted: kinds, then what they have next up to a
// colon. Kinds with many thousands of names are quick too, once these have been read.
func Complete(prefix string) ([]string, error) {
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
		return out, nil
	case p == nil || isPattern(prefix):
		return nil, nil
	case strings.Contains(p.Syntax, "PATH") && strings.Contains(rest, "/") && !strings.Contains(rest, ":"):
		var out []string
		for _, f := range filenames.Complete(rest) {
			if !strings.HasSuffix(f, "/") {
				f += ":"
			}
			out = append(out, kind+":"+f)
		}
		return out, nil
	case p.functions != nil && !strings.Contains(rest, ":"):
		names, err := p.functions()
		if err != nil {
			return nil, err
		}
		return startingWith(names, kind+":", rest), nil
	}
	ts, err := List(prefix + "*")
	if err != nil {
		return nil, err
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
	return slices.Compact(out), nil
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

var kprobeList, fentryList = &nameList{read: kprobeNames}, &nameList{read: fentryNames}

// startingWith gives those of sorted names that start with a text, each behind another.
func startingWith(names []string, before, start string) []string {
	from, _ := slices.BinarySearch(names, start)
	var out []string
	for _, n := range names[from:] {
		if !strings.HasPrefix(n, start) {
			break
		}
		out = append(out, before+n)
	}
	return out
}
