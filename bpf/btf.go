package bpf

import (
	"fmt"
	"os"

	"github.com/cilium/ebpf/btf"
)

// NoBTFError says that the kernel does not describe its types.
type NoBTFError struct{ Err error }

func (e *NoBTFError) Error() string {
	return "this kernel has no type information (BTF, /sys/kernel/btf/vmlinux): it needs CONFIG_DEBUG_INFO_BTF, which distributions have since 2021"
}

func (e *NoBTFError) Unwrap() error { return e.Err }

// KernelBTF reads the kernel's description of its types, some megabytes.
func KernelBTF() ([]byte, error) {
	raw, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		return nil, &NoBTFError{err}
	}
	return raw, nil
}

// KfuncID gives the BTF id of a function of the kernel that programs may call. It loads the kernel's BTF.
func KfuncID(name string) (int64, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return 0, &NoBTFError{err}
	}
	var fn *btf.Func
	if err := spec.TypeByName(name, &fn); err != nil {
		return 0, fmt.Errorf("this kernel has no function %s for programs", name)
	}
	id, err := spec.TypeID(fn)
	return int64(id), err
}
