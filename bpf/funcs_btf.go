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

// A function is one that fentry can reach, as its types describe it: the kernel's own, a module's, or one of a program.
type function struct {
	proto  *btf.FuncProto
	id     uint32 // in the BTF that it is described in; 0 where several are of its name
	module string // "" for the kernel itself
}

// lookupFunctionNamed finds a function of the kernel or of a module. The errors are those of kernelFunction.
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

// lookupFunction finds what a target of fentry or fexit is at.
func (t Target) lookupFunction() (function, error) {
	switch {
	case t.program != 0:
		return programFunction(t.program, t.Func)
	case t.module != "":
		return moduleNamed(t.module).function(t.Func)
	}
	return lookupFunctionNamed(t.Func)
}

// Module names the kernel's module that the target's function is described in; "" where that is the kernel itself.
func (t Target) Module() string {
	if t.module != "" || t.program != 0 || t.Func == "" {
		return t.module
	}
	f, err := lookupFunctionNamed(t.Func)
	if err != nil {
		return ""
	}
	return f.module
}

// InProgram tells that the target's function is one of a BPF program.
func (t Target) InProgram() bool { return t.program != 0 }

// open gives the file descriptor of what describes the function: 0 for the kernel itself.
func (t Target) open(f function) (fd int, of io.Closer, err error) {
	switch {
	case t.program != 0:
		p, err := ebpf.NewProgramFromID(t.program)
		if err != nil {
			return 0, nil, fmt.Errorf("open the program %d: %w", t.program, err)
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

// onlyFunction picks the function among types of one name.
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

// btfFolder has the types of the kernel and of each module that is loaded (5.11).
const btfFolder = "/sys/kernel/btf"

// A moduleTypes is the types of a module.
type moduleTypes struct{ name string }

func moduleNamed(name string) moduleTypes { return moduleTypes{name} }

// modules lists those that are loaded and described.
func modules() ([]moduleTypes, error) {
	names, err := ModulesWithTypes()
	var out []moduleTypes
	for _, n := range names {
		out = append(out, moduleTypes{n})
	}
	return out, err
}

// ModulesWithTypes names the modules whose types the kernel describes, sorted.
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

// ModuleBTF reads a module's description of its types, which builds on the kernel's.
func ModuleBTF(name string) ([]byte, error) {
	b, err := os.ReadFile(btfFolder + "/" + name)
	if err != nil {
		return nil, fmt.Errorf("read the types of the module %s: %w", name, err)
	}
	return b, nil
}

// moduleFunctions is what has been read of modules: a module that is loaded anew has types of another time.
var moduleFunctions struct {
	mu   sync.Mutex
	read map[moduleVersion]map[string]bool
}

type moduleVersion struct {
	name  string
	since time.Time
	size  int64
}

// index gives the names of the functions, but for those that several have.
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

// kernelStrings is the strings in the kernel's BTF: a module has only those that are not among them.
var kernelStrings = sync.OnceValues(func() ([]byte, error) {
	b, err := KernelBTF()
	if err != nil {
		return nil, err
	}
	return btfStrings(b)
})

// functions gives the names of the functions that are the only ones of their name, sorted.
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

// function finds one, or gives errNoTypes or errSeveral.
func (m moduleTypes) function(name string) (function, error) {
	index, err := m.index()
	if errors.Is(err, os.ErrNotExist) { // unloaded meanwhile
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
