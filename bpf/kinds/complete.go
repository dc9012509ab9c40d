package kinds

import (
	"slices"
	"strings"

	"github.com/bpfrepl/bpfrepl/internal/pathcomplete"
)

// Complete returns the completions of a spec that begins with prefix, one part at a time. The words
// are sorted, and replace the prefix from index from on. Kinds with many thousands of names are
// also quick once the names have been read.
func Complete(prefix string) (words []string, from int, err error) {
	kind, rest, ok := strings.Cut(prefix, ":")
	p := findProvider(kind)
	switch {
	case !ok:
		var out []string
		for _, p := range providers {
			name := p.Kind
			if p.maxArgs > 0 {
				name += ":"
			}
			if strings.HasPrefix(name, prefix) {
				out = append(out, name)
			}
		}
		slices.Sort(out)
		return out, 0, nil
	case p == nil:
		return nil, 0, nil
	case p.PathArg:
		return completePath(p, kind, rest)
	case isPattern(prefix):
		return nil, 0, nil
	case p.functions != nil && !strings.Contains(rest, ":"):
		names, err := p.functions()
		return startingWith(names, rest), len(kind) + 1, err
	}
	return completeList(p, prefix, prefix+"*", rest, "")
}

// completePath completes a spec that consists of a file and something in it. Nothing after the file
// name is a wildcard: names of Go methods contain stars, as in main.(*server).handle.
func completePath(p *Provider, kind, rest string) ([]string, int, error) {
	file, _, whole := cutPath(rest)
	if whole && strings.Contains(rest, "/") && !isFile(file) && !isPattern(file) { // the colon may be part of the path
		whole = pathcomplete.Complete(rest) == nil
	}
	switch {
	case isPattern(file):
		return nil, 0, nil
	case whole:
		return completeList(p, kind+":"+rest, kind+":"+file+":*", rest, file)
	case strings.Contains(rest, "/"):
		var out []string
		for _, f := range pathcomplete.Complete(rest) {
			if !strings.HasSuffix(f, "/") {
				f += ":"
			}
			out = append(out, f)
		}
		return out, len(kind) + 1, nil
	}
	return nil, 0, nil
}

// completeList completes a prefix with the names that a pattern lists and that continue rest, the
// text after the kind. file is the name of the targets' file as written in rest: it may be a bare
// name.
func completeList(p *Provider, prefix, pattern, rest, file string) ([]string, int, error) {
	ts, err := List(pattern)
	if err != nil {
		return nil, 0, err
	}
	var out []string
	for _, t := range ts {
		name := strings.TrimPrefix(t.Name, p.Kind+":") // prefix may use an alias
		if p.PathArg && len(t.Parts) > 0 {
			name = file + strings.TrimPrefix(name, t.Parts[0])
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

// Prefetch starts reading, in the background, the function names that Complete will need if the
// spec continues like prefix.
func Prefetch(prefix string) {
	kind, _, whole := strings.Cut(prefix, ":")
	for _, p := range providers {
		if p.functions != nil && (p.Kind == kind || p.Alias == kind || !whole && kind != "" && strings.HasPrefix(p.Kind, kind)) {
			go p.functions() // Complete will report any error
		}
	}
}

// startingWith returns the elements of the sorted list names that start with start.
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
