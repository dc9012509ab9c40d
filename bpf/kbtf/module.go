package kbtf

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// Modules returns the names of the loaded modules that have BTF, sorted.
func Modules() ([]string, error) {
	files, err := os.ReadDir(Folder)
	if err != nil {
		return nil, &NoBTFError{err}
	}
	var out []string
	for _, f := range files {
		if f.Name() != "vmlinux" {
			out = append(out, f.Name())
		}
	}
	return out, nil
}

// modules caches the types of modules by name. The BTF of a reloaded module has a different
// modification time.
var modules struct {
	mu   sync.Mutex
	read map[string]moduleTypes
}

type moduleTypes struct {
	since time.Time
	size  int64
	table *ctype.Table
}

// Module returns a module's types, which are based on the kernel's. The error is os.ErrNotExist if
// no such module is loaded.
func Module(name string) (*ctype.Table, error) {
	file := Folder + "/" + name
	st, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read the types of the module %s: %w", name, err)
	}
	modules.mu.Lock()
	defer modules.mu.Unlock()
	if m := modules.read[name]; m.table != nil && m.since.Equal(st.ModTime()) && m.size == st.Size() {
		return m.table, nil
	}
	base, err := Kernel()
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the types of the module %s: %w", name, err)
	}
	t, err := ctype.ParseOnto(base, raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if modules.read == nil {
		modules.read = map[string]moduleTypes{}
	}
	modules.read[name] = moduleTypes{st.ModTime(), st.Size(), t}
	return t, nil
}

// ModuleFuncs returns the names of a module's functions that are unique in it, sorted.
func ModuleFuncs(module string) ([]string, error) {
	t, err := Module(module)
	if err != nil {
		return nil, err
	}
	var names []string
	for n := range t.FuncNames() {
		names = append(names, string(n))
	}
	slices.Sort(names)
	var out []string
	for i, n := range names {
		if (i == 0 || names[i-1] != n) && (i == len(names)-1 || names[i+1] != n) {
			out = append(out, n)
		}
	}
	return out, nil
}
