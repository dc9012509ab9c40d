package bpf

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// NoBTFError says that the kernel does not describe its types.
type NoBTFError struct{ Err error }

func (e *NoBTFError) Error() string {
	return "this kernel has no type information (BTF, /sys/kernel/btf/vmlinux): it needs CONFIG_DEBUG_INFO_BTF, which distributions have since 2021"
}

func (e *NoBTFError) Unwrap() error { return e.Err }

// btfFile describes the kernel's types.
const btfFile = "/sys/kernel/btf/vmlinux"

// HasBTF reports whether the kernel describes its types. It looks at the first bytes only.
func HasBTF() bool {
	f, err := os.Open(btfFile)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic uint16
	return binary.Read(f, binary.NativeEndian, &magic) == nil && magic == 0xeb9f // struct btf_header
}

// KernelBTF reads the kernel's description of its types, some megabytes.
func KernelBTF() ([]byte, error) {
	raw, err := os.ReadFile(btfFile)
	if err == nil && len(raw) == 0 {
		err = io.ErrUnexpectedEOF
	}
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
