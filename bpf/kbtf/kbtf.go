// Package kbtf finds the types (BTF) of the running kernel, of its modules and of loaded BPF
// programs. It reads and caches what the kernel provides; package internal/ctype parses it.
//
//	kbtf.go     types of the kernel
//	module.go   types of modules
//	program.go  functions of BPF programs
//	func.go     functions by name, of the kernel or a module
package kbtf

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// Folder contains the BTF of the kernel and of each loaded module (5.11).
const Folder = "/sys/kernel/btf"

// kernelFile is the kernel's BTF.
const kernelFile = Folder + "/vmlinux"

// NoBTFError reports that the kernel has no BTF.
type NoBTFError struct{ Err error }

func (e *NoBTFError) Error() string {
	return "this kernel has no type information (BTF, /sys/kernel/btf/vmlinux): it needs CONFIG_DEBUG_INFO_BTF, which distributions have enabled since 2021"
}

func (e *NoBTFError) Unwrap() error { return e.Err }

// Available reports whether the kernel has BTF. It reads only the first bytes.
func Available() bool {
	f, err := os.Open(kernelFile)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic uint16
	return binary.Read(f, binary.NativeEndian, &magic) == nil && magic == 0xeb9f // struct btf_header
}

// Kernel returns the kernel's types. They are read on first use, which takes some milliseconds, and
// once, because they do not change while the kernel runs. The error is a *NoBTFError if the kernel
// has none.
func Kernel() (*ctype.Table, error) { return kernel() }

var kernel = sync.OnceValues(func() (*ctype.Table, error) {
	raw, err := os.ReadFile(kernelFile)
	if err == nil && len(raw) == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, &NoBTFError{err}
	}
	t, err := ctype.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kernelFile, err)
	}
	return t, nil
})

// KfuncID returns the BTF ID of a kfunc, a kernel function that programs may call.
func KfuncID(name string) (int64, error) {
	t, err := Kernel()
	if err != nil {
		return 0, err
	}
	if id, ok := t.FuncID(name); ok {
		return int64(id), nil
	}
	return 0, fmt.Errorf("this kernel has no kfunc %s", name)
}

// FieldOffset returns the offset and size in bytes of a field of a kernel struct. path names the
// field and the embedded structs that contain it.
func FieldOffset(typ string, path ...string) (off, size int, err error) {
	table, err := Kernel()
	if err != nil {
		return 0, 0, err
	}
	t, ok := table.Lookup("struct " + typ)
	if !ok {
		return 0, 0, fmt.Errorf("this kernel has no struct %s", typ)
	}
	for i, name := range path {
		var m ctype.Place
		if ok = t.IsRecord(); ok {
			m, ok = t.Find(name)
		}
		if !ok {
			return 0, 0, fmt.Errorf("struct %s has no field %s on this kernel", typ, strings.Join(path[:i+1], "."))
		}
		off += m.Off / 8
		t = m.Type
	}
	return off, t.Size, nil
}
