package ctype

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
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

// kindsOf returns the name without its keyword, and the kinds that the C name can refer to.
func kindsOf(name string) (bare string, kinds []uint32) {
	word, rest, ok := strings.Cut(name, " ")
	if ok {
		switch word {
		case "struct":
			return rest, []uint32{btfStruct}
		case "union":
			return rest, []uint32{btfUnion}
		case "enum":
			return rest, []uint32{btfEnum, btfEnum64}
		}
	}
	return name, []uint32{btfTypedef, btfInt}
}

// Lookup returns the type with a C name: "struct sock", "enum hrtimer_mode", "pid_t", "unsigned
// int".
func (t *Table) Lookup(name string) (*Type, bool) {
	bare, kinds := kindsOf(name)
	id, ok := t.find(bare, kinds...)
	if !ok {
		return nil, false
	}
	return t.get(id), true
}

// Names returns the names, in the form that Lookup takes, of all types with the same keyword as
// name.
func (t *Table) Names(name string) []string {
	bare, kinds := kindsOf(name)
	prefix := strings.TrimSuffix(name, bare)
	var out []string
	for id := range t.own() {
		h := t.headAt(int(t.offsets[id-t.first]))
		for _, k := range kinds {
			if h.kind() == k && h.name != 0 {
				out = append(out, prefix+t.str(h.name))
			}
		}
	}
	return out
}

// Enumerator returns the enumerator with the given name, of any enum, with its value.
func (t *Table) Enumerator(name string) (*Type, int64, bool) {
	for id := range t.own() {
		off := int(t.offsets[id-t.first])
		h := t.headAt(off)
		if k := h.kind(); k != btfEnum && k != btfEnum64 {
			continue
		}
		for e := range t.enumerators(h, t.types[off+headLen:]) {
			if t.is(e.name, name) {
				return t.get(id), e.n, true
			}
		}
	}
	return nil, 0, false
}

type enumerator struct {
	name uint32
	n    int64
}

func (t *Table) enumerators(h head, b []byte) iter.Seq[enumerator] {
	return func(yield func(enumerator) bool) {
		for range h.vlen() {
			e := enumerator{name: binary.NativeEndian.Uint32(b)}
			low := binary.NativeEndian.Uint32(b[4:])
			if h.kind() == btfEnum64 {
				e.n = int64(uint64(low) | uint64(binary.NativeEndian.Uint32(b[8:]))<<32)
				b = b[12:]
			} else {
				if e.n = int64(low); h.flag() {
					e.n = int64(int32(low))
				}
				b = b[8:]
			}
			if !yield(e) {
				return
			}
		}
	}
}
