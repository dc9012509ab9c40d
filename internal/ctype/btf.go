package ctype

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// The kernel describes its types in BTF (Documentation/bpf/btf.rst): a table of types, each a
// header of three words followed by data that depends on its kind, and a table of strings. A kernel
// has more than 100,000 types. Reading the headers to find where each type starts takes a few
// milliseconds, and only the types that a handler uses become a Type.

// The kinds of BTF (include/uapi/linux/btf.h).
const (
	btfInt       = 1
	btfPtr       = 2
	btfArray     = 3
	btfStruct    = 4
	btfUnion     = 5
	btfEnum      = 6
	btfFwd       = 7
	btfTypedef   = 8
	btfVolatile  = 9
	btfConst     = 10
	btfRestrict  = 11
	btfFunc      = 12
	btfFuncProto = 13
	btfVar       = 14
	btfDatasec   = 15
	btfFloat     = 16
	btfDeclTag   = 17
	btfTypeTag   = 18
	btfEnum64    = 19
)

// A Table holds the types of one BTF blob.
type Table struct {
	types   []byte
	strs    []byte
	offsets []uint32 // of each type in types, starting at ID first; ID 0 is void
	base    *Table   // of a module: the kernel's table, whose types and strings come first
	first   uint32
	strBase uint32 // the length of the base's strings

	mu   sync.Mutex
	made map[uint32]*Type

	names nameIndex
}

type head struct{ name, info, size uint32 } // size is a type ID for kinds that refer to a type

func (h head) kind() uint32 { return h.info >> 24 & 31 }
func (h head) vlen() int    { return int(h.info & 0xffff) }
func (h head) flag() bool   { return h.info>>31 != 0 }

const headLen = 12

// extra returns the number of bytes that follow a header.
func (h head) extra() (int, error) {
	switch h.kind() {
	case btfInt, btfVar, btfDeclTag:
		return 4, nil
	case btfArray:
		return 12, nil
	case btfStruct, btfUnion, btfDatasec, btfEnum64:
		return 12 * h.vlen(), nil
	case btfEnum, btfFuncProto:
		return 8 * h.vlen(), nil
	case btfPtr, btfFwd, btfTypedef, btfVolatile, btfConst, btfRestrict, btfFunc, btfFloat, btfTypeTag:
		return 0, nil
	}
	return 0, fmt.Errorf("BTF type of unknown kind %d", h.kind())
}

// Parse reads the BTF of a kernel, in the host's byte order. The table refers to raw.
func Parse(raw []byte) (*Table, error) { return parse(raw, &Table{offsets: []uint32{0}}) }

// ParseOnto reads the BTF of a module, which refers to types and strings of the kernel's table.
func ParseOnto(base *Table, raw []byte) (*Table, error) {
	return parse(raw, &Table{base: base, first: base.first + uint32(len(base.offsets)), strBase: base.strBase + uint32(len(base.strs))})
}

func parse(raw []byte, t *Table) (*Table, error) {
	const headerLen = 24
	if len(raw) < headerLen || binary.NativeEndian.Uint16(raw) != 0xeb9f {
		return nil, fmt.Errorf("not BTF: bad magic number")
	}
	word := func(i int) uint64 { return uint64(binary.NativeEndian.Uint32(raw[i:])) }
	hdr, size := word(4), uint64(len(raw))
	typeStart, typeEnd := hdr+word(8), hdr+word(8)+word(12)
	strStart, strEnd := hdr+word(16), hdr+word(16)+word(20)
	if typeEnd > size || strEnd > size || strStart == strEnd || raw[strEnd-1] != 0 {
		return nil, fmt.Errorf("truncated BTF")
	}
	t.types, t.strs, t.made = raw[typeStart:typeEnd], raw[strStart:strEnd], map[uint32]*Type{}
	t.offsets = slices.Grow(t.offsets, len(t.types)/24) // a little more than a kernel's types need
	for off := 0; off < len(t.types); {
		if off+headLen > len(t.types) {
			return nil, fmt.Errorf("truncated BTF")
		}
		t.offsets = append(t.offsets, uint32(off))
		h := t.headAt(off)
		n, err := h.extra()
		if err != nil {
			return nil, err
		}
		if off += headLen + n; off > len(t.types) || uint64(h.name) >= uint64(t.strBase)+uint64(len(t.strs)) {
			return nil, fmt.Errorf("truncated BTF")
		}
	}
	return t, nil
}

func (t *Table) headAt(off int) head {
	b := t.types[off:]
	return head{binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[8:])}
}

// head returns the header of a type and the bytes that follow it. An ID out of range is void; the
// kernel rejects such BTF.
func (t *Table) head(id uint32) (head, []byte) {
	if id < t.first {
		return t.base.head(id)
	}
	if id == 0 || int(id-t.first) >= len(t.offsets) {
		return head{}, nil
	}
	off := int(t.offsets[id-t.first])
	return t.headAt(off), t.types[off+headLen:]
}

// bytesAt returns the string at off.
func (t *Table) bytesAt(off uint32) []byte {
	if off < t.strBase {
		return t.base.bytesAt(off)
	}
	if off -= t.strBase; int(off) >= len(t.strs) {
		return nil
	}
	s := t.strs[off:]
	return s[:bytes.IndexByte(s, 0)] // the last byte of strs is 0
}

func (t *Table) str(off uint32) string { return string(t.bytesAt(off)) }

// is reports whether the string at off is name, without allocating the string.
func (t *Table) is(off uint32, name string) bool {
	if off < t.strBase {
		return t.base.is(off, name)
	}
	off -= t.strBase
	n := len(name)
	return int(off)+n < len(t.strs) && t.strs[int(off)+n] == 0 && string(t.strs[off:int(off)+n]) == name
}

// own returns the IDs of the table's own types.
func (t *Table) own() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := range t.offsets {
			if id := t.first + uint32(i); id != 0 && !yield(id) {
				return
			}
		}
	}
}

// A nameIndex finds types by name. BTF itself is an unsorted list. Comparing a name with all of
// them is faster than building an index, so the first searches do that, and the index is built for
// probes that have many functions.
type nameIndex struct {
	searches atomic.Int32
	built    atomic.Pointer[hashChains]
}

// hashChains is a hash table with chaining. Types are numbered from 1 in the order of the table; 0
// ends a chain. A chain is in the order of the types.
type hashChains struct {
	seed  maphash.Seed
	heads []uint32 // by the low bits of the hash
	next  []uint32 // of each type
}
