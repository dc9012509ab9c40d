package bpf

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// FieldOffset returns the offset and size in bytes of a field of a kernel struct. path names the
// field and the embedded structs that contain it. The first call loads the kernel's BTF, which
// takes some tens of milliseconds.
func FieldOffset(typ string, path ...string) (off, size int, err error) {
	spec, err := kernelTypes()
	if err != nil {
		return 0, 0, err
	}
	typesMu.Lock()
	defer typesMu.Unlock()
	var st *btf.Struct
	if err := spec.TypeByName(typ, &st); err != nil {
		return 0, 0, fmt.Errorf("this kernel has no struct %s", typ)
	}
	var t btf.Type = st
	for i, name := range path {
		m, moff, ok := member(t, name)
		if !ok {
			return 0, 0, fmt.Errorf("struct %s has no field %s on this kernel", typ, strings.Join(path[:i+1], "."))
		}
		off += moff
		t = m.Type
	}
	size, err = btf.Sizeof(t)
	return off, size, err
}

// member finds a field of t, including fields of anonymous structs and unions.
func member(t btf.Type, name string) (btf.Member, int, bool) {
	var members []btf.Member
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	}
	for _, m := range members {
		if m.Name == name {
			return m, int(m.Offset.Bytes()), true
		}
		if m.Name == "" {
			if in, off, ok := member(m.Type, name); ok {
				return in, int(m.Offset.Bytes()) + off, true
			}
		}
	}
	return btf.Member{}, 0, false
}
