package bpf

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// NoBTFError reports that the kernel has no BTF.
type NoBTFError struct{ Err error }

func (e *NoBTFError) Error() string {
	return "this kernel has no type information (BTF, /sys/kernel/btf/vmlinux): it needs CONFIG_DEBUG_INFO_BTF, which distributions have enabled since 2021"
}

func (e *NoBTFError) Unwrap() error { return e.Err }

// btfFile is the kernel's BTF.
const btfFile = "/sys/kernel/btf/vmlinux"

// HasBTF reports whether the kernel has BTF. It reads only the first bytes.
func HasBTF() bool {
	f, err := os.Open(btfFile)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic uint16
	return binary.Read(f, binary.NativeEndian, &magic) == nil && magic == 0xeb9f // struct btf_header
}

// KernelBTF returns the kernel's BTF, which has several megabytes. The error is a *NoBTFError.
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

// KfuncID returns the BTF ID of a kfunc, a kernel function that programs may call. The first call
// parses the kernel's BTF.
func KfuncID(name string) (int64, error) {
	ids, err := kfuncIDs()
	if err != nil {
		return 0, err
	}
	if of := ids[name]; len(of) > 0 {
		return int64(of[0]), nil
	}
	return 0, fmt.Errorf("this kernel has no kfunc %s", name)
}
