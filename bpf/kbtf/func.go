package kbtf

import (
	"errors"
	"os"

	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

var (
	// ErrNoTypes reports that BTF does not describe a function.
	ErrNoTypes = errors.New("the kernel's BTF does not describe it")
	// ErrSeveral reports that BTF describes several functions of that name which differ.
	ErrSeveral = errors.New("the kernel has several functions of that name")
)

// A Func is a function that fentry can trace, as BTF describes it: of the kernel, a module or a BPF
// program.
type Func struct {
	ctype.Func        // its ID is 0 if several functions have its name
	Module     string // "" for the kernel itself
}

// KernelFunc finds a function of the kernel itself. The error is a *NoBTFError, ErrNoTypes or
// ErrSeveral.
func KernelFunc(name string) (Func, error) {
	t, err := Kernel()
	if err != nil {
		return Func{}, err
	}
	f, err := only(t.Funcs(name))
	return Func{Func: f}, err
}

// ModuleFunc finds a function of a module. The error can be ErrNoTypes or ErrSeveral.
func ModuleFunc(module, name string) (Func, error) {
	t, err := Module(module)
	if errors.Is(err, os.ErrNotExist) { // unloaded in the meantime
		return Func{}, ErrNoTypes
	}
	if err != nil {
		return Func{}, err
	}
	f, err := only(t.Funcs(name))
	return Func{f, module}, err
}

// FindFunc finds a function of the kernel or, if it has none of that name, of a module. It returns
// the errors of KernelFunc.
func FindFunc(name string) (Func, error) {
	f, err := KernelFunc(name)
	if !errors.Is(err, ErrNoTypes) {
		return f, err
	}
	ms, merr := Modules()
	if merr != nil {
		return Func{}, merr
	}
	for _, m := range ms {
		if f, merr := ModuleFunc(m, name); !errors.Is(merr, ErrNoTypes) {
			return f, merr
		}
	}
	return Func{}, err
}

// only returns the function among several of the same name.
func only(found []ctype.Func) (ctype.Func, error) {
	if len(found) == 0 {
		return ctype.Func{}, ErrNoTypes
	}
	f := found[len(found)-1]
	for _, g := range found {
		if g.Decl != f.Decl {
			return ctype.Func{}, ErrSeveral
		}
	}
	if len(found) > 1 {
		f.ID = 0
	}
	return f, nil
}
