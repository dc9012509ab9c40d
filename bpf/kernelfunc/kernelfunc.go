// Package kernelfunc lists the functions of the running kernel: which exist, and which kprobes and
// fentry can be attached to. It knows nothing of probes.
//
// ftrace lists the functions that can be traced (available_filter_functions). If that file cannot
// be read, all functions in the kernel's symbol table stand for them, and attaching shows which of
// them can be traced.
//
//	kernelfunc.go  lists of names, read once
//	ftrace.go      ftrace's files, and the blacklist of kprobes
//	symbols.go     functions in the kernel's symbol table
package kernelfunc

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/bpf/symbol"
)

// A nameList is a cached, sorted list of names without duplicates. It is read again after modules
// have been loaded or unloaded.
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
	if err != nil && !errors.Is(err, os.ErrNotExist) { // ErrNotExist: a kernel without modules
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

// Each of these lists has about a hundred thousand names.
var (
	traceable = &nameList{read: readTraceable}
	symbols   = &nameList{read: readSymbols}
	kprobes   = &nameList{read: readKprobes}
	fentry    = &nameList{read: readFentry}
)

// Traceable returns the names of all functions that can be traced, sorted and without duplicates.
// Like the other name lists, it is shared and must not be modified.
func Traceable() ([]string, error) { return traceable.get() }

// Kprobes returns the names that a pattern for kprobes can match.
func Kprobes() ([]string, error) { return kprobes.get() }

// Fentry returns the functions that ftrace can trace and that BTF describes exactly once.
func Fentry() ([]string, error) { return fentry.get() }

// Exists reports whether the kernel has a function of that name.
func Exists(name string) (bool, error) {
	names, err := symbols.get()
	if err != nil {
		return false, err
	}
	_, found := slices.BinarySearch(names, name)
	return found, nil
}

func readSymbols() ([]string, error) {
	var names []string
	err := each(func(s symbol.Symbol) { names = append(names, strings.Clone(s.Name)) })
	slices.Sort(names)
	return slices.Compact(names), err
}

func readTraceable() ([]string, error) {
	text, err := filterFunctions(FilterFile)
	if err != nil {
		return nil, err
	}
	if text == nil {
		return readSymbols()
	}
	names := make([]string, 0, bytes.Count(text, []byte("\n")))
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !strings.HasPrefix(name, "__ftrace_invalid_address") && !notFunction(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func readKprobes() ([]string, error) {
	names, err := Traceable()
	if err != nil {
		return nil, err
	}
	if black := Blacklist(); black != nil {
		names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return black[n] })
	}
	return names, nil
}

func readFentry() ([]string, error) {
	names, err := Traceable()
	if err != nil {
		return nil, err
	}
	t, err := kbtf.Kernel()
	if err != nil {
		return nil, err
	}
	described := make([]int, len(names)) // how many times
	for name := range t.FuncNames() {
		if i, ok := slices.BinarySearchFunc(names, name, func(n string, name []byte) int {
			switch { // compares without copying the name
			case n < string(name):
				return -1
			case n == string(name):
				return 0
			}
			return 1
		}); ok {
			described[i]++
		}
	}
	ms, err := kbtf.Modules()
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		more, err := kbtf.ModuleFuncs(m)
		if err != nil {
			return nil, err
		}
		for _, n := range more {
			if i, ok := slices.BinarySearch(names, n); ok {
				described[i] = 1
			}
		}
	}
	i := -1
	return slices.DeleteFunc(slices.Clone(names), func(string) bool { i++; return described[i] != 1 }), nil
}
