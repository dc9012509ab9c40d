package bpf

import (
	"fmt"
	"os"
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

// KfuncID gives the BTF id of a function of the kernel that programs may call. The first call goes through the kernel's BTF.
func KfuncID(name string) (int64, error) {
	ids, err := kfuncIDs()
	if err != nil {
		return 0, err
	}
	if of := ids[name]; len(of) > 0 {
		return int64(of[0]), nil
	}
	return 0, fmt.Errorf("this kernel has no function %s for programs", name)
}
