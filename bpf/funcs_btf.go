package bpf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// A function is a function that fentry can trace, as described by BTF: of the kernel, a module or a
// BPF program.
type function struct {
	proto  *btf.FuncProto
	id     uint32 // in the BTF that describes it; 0 if several functions have its name
	module string // "" for the kernel itself
}

// lookupFunctionNamed finds a function of the kernel or of a module. It returns the errors of
// kernelFunction.
func lookupFunctionNamed(name string) (function, error) {
	proto, id, err := kernelFunction(name)
	if err == nil || !errors.Is(err, errNoTypes) {
		return function{proto: proto, id: id}, err
	}
	ms, merr := modules()
	if merr != nil {
		return function{}, merr
	}
	for _, m := range ms {
		if f, merr := m.function(name); merr == nil || !errors.Is(merr, errNoTypes) {
			return f, merr
		}
	}
	return function{}, err
}

// A funcOwner is the payload of a target at a function of a named module or of a BPF program. The
// functions of other targets are found by name.
type funcOwner struct {
	module  string
	program ebpf.ProgramID
}

// lookupFunction finds the function of an fentry or fexit target.
func (t Target) lookupFunction() (function, error) {
	in := payload[funcOwner](t)
	switch {
	case in.program != 0:
		return programFunction(in.program, t.Func)
	case in.module != "":
		return moduleNamed(in.module).function(t.Func)
	}
	return lookupFunctionNamed(t.Func)
}

// Module returns the name of the module whose BTF describes the target's function, or "" if it is
// the kernel itself.
func (t Target) Module() string {
	if in := payload[funcOwner](t); in != (funcOwner{}) || t.Func == "" {
		return in.module
	}
	f, err := lookupFunctionNamed(t.Func)
	if err != nil {
		return ""
	}
	return f.module
}

// InProgram reports whether the target is a function of a BPF program.
func (t Target) InProgram() bool { return payload[funcOwner](t).program != 0 }

// open returns the file descriptor of the BTF or program that contains the function, or 0 for the
// kernel itself. The caller must close of, which owns the descriptor.
func (t Target) open(f function) (fd int, of io.Closer, err error) {
	program := payload[funcOwner](t).program
	switch {
	case program != 0:
		p, err := ebpf.NewProgramFromID(program)
		if err != nil {
			return 0, nil, fmt.Errorf("open the program %d: %w", program, err)
		}
		return p.FD(), p, nil
	case f.module != "":
		h, err := btf.FindHandle(func(info *btf.HandleInfo) bool { return info.IsModule() && info.Name == f.module })
		if err != nil {
			return 0, nil, fmt.Errorf("open the types of the module %s: %w", f.module, err)
		}
		return h.FD(), h, nil
	}
	return 0, nil, nil
}

// onlyFunction returns the function among several types of the same name.
func onlyFunction(spec *btf.Spec, found []btf.Type) (proto *btf.FuncProto, id uint32, err error) {
	n := 0
	for _, t := range found {
		fn, ok := t.(*btf.Func)
		if !ok {
			continue
		}
		p, ok := fn.Type.(*btf.FuncProto)
		if !ok {
			continue
		}
		if n++; n > 1 && cDecl(p, "") != cDecl(proto, "") {
			return nil, 0, errSeveral
		}
		proto = p
		typeID, err := spec.TypeID(fn)
		if err != nil {
			return nil, 0, fmt.Errorf("find the BTF id of %s: %w", fn.Name, err)
		}
		id = uint32(typeID)
	}
	switch n {
	case 0:
		return nil, 0, errNoTypes
	case 1:
		return proto, id, nil
	}
	return proto, 0, nil
}

// btfFolder contains the BTF of the kernel and of each loaded module (5.11).
const btfFolder = "/sys/kernel/btf"

// A moduleTypes is the BTF of a module.
type moduleTypes struct{ name string }

func moduleNamed(name string) moduleTypes { return moduleTypes{name} }

// modules returns all loaded modules that have BTF.
func modules() ([]moduleTypes, error) {
	names, err := ModulesWithTypes()
	var out []moduleTypes
	for _, n := range names {
		out = append(out, moduleTypes{n})
	}
	return out, err
}

// ModulesWithTypes returns the names of the loaded modules that have BTF, sorted.
func ModulesWithTypes() ([]string, error) {
	files, err := os.ReadDir(btfFolder)
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

// ModuleBTF returns a module's BTF, which is based on the kernel's.
func ModuleBTF(name string) ([]byte, error) {
	b, err := os.ReadFile(btfFolder + "/" + name)
	if err != nil {
		return nil, fmt.Errorf("read the types of the module %s: %w", name, err)
	}
	return b, nil
}

// moduleFunctions caches the functions of modules. The BTF of a reloaded module has a different
// modification time.
var moduleFunctions struct {
	mu   sync.Mutex
	read map[moduleVersion]map[string]bool
}

type moduleVersion struct {
	name  string
	since time.Time
	size  int64
}

// index returns the names of a module's functions. The value is false for names that are not
// unique.
func (m moduleTypes) index() (map[string]bool, error) {
	st, err := os.Stat(btfFolder + "/" + m.name)
	if err != nil {
		return nil, fmt.Errorf("read the types of the module %s: %w", m.name, err)
	}
	v := moduleVersion{m.name, st.ModTime(), st.Size()}
	moduleFunctions.mu.Lock()
	defer moduleFunctions.mu.Unlock()
	if names := moduleFunctions.read[v]; names != nil {
		return names, nil
	}
	base, err := kernelStrings()
	if err != nil {
		return nil, err
	}
	b, err := ModuleBTF(m.name)
	if err != nil {
		return nil, err
	}
	ids, err := scanFunctions(b, "", base)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", btfFolder, m.name, err)
	}
	names := map[string]bool{}
	for n, of := range ids {
		names[n] = len(of) == 1
	}
	if moduleFunctions.read == nil {
		moduleFunctions.read = map[moduleVersion]map[string]bool{}
	}
	moduleFunctions.read[v] = names
	return names, nil
}

// kernelStrings returns the string section of the kernel's BTF. A module's BTF has only strings
// that are not in it.
var kernelStrings = sync.OnceValues(func() ([]byte, error) {
	b, err := KernelBTF()
	if err != nil {
		return nil, err
	}
	return btfStrings(b)
})

// functions returns the unique function names, sorted.
func (m moduleTypes) functions() ([]string, error) {
	index, err := m.index()
	var out []string
	for n, only := range index {
		if only {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, err
}

// function finds a function. The error can be errNoTypes or errSeveral.
func (m moduleTypes) function(name string) (function, error) {
	index, err := m.index()
	if errors.Is(err, os.ErrNotExist) { // unloaded in the meantime
		return function{}, errNoTypes
	}
	if err != nil {
		return function{}, err
	}
	if _, there := index[name]; !there {
		return function{}, errNoTypes
	}
	spec, err := btf.LoadKernelModuleSpec(m.name)
	if errors.Is(err, os.ErrNotExist) {
		return function{}, errNoTypes
	}
	if err != nil {
		return function{}, fmt.Errorf("read the types of the module %s: %w", m.name, err)
	}
	found, err := spec.AnyTypesByName(name)
	if errors.Is(err, btf.ErrNotFound) {
		return function{}, errNoTypes
	}
	if err != nil {
		return function{}, err
	}
	proto, id, err := onlyFunction(spec, found)
	return function{proto, id, m.name}, err
}
