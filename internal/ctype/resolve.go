package ctype

import (
	"encoding/binary"
	"iter"
	"sync"
)

// get returns the type with that ID. Each type is created once.
func (t *Table) get(id uint32) *Type {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.resolve(id, 0)
}

// maxChain bounds chains of typedefs, qualifiers and the like.
const maxChain = 64

func (t *Table) resolve(id uint32, depth int) *Type {
	if id < t.first {
		return t.base.get(id)
	}
	if ty := t.made[id]; ty != nil {
		return ty
	}
	h, b := t.head(id)
	lazy := func(id uint32) func() *Type { return sync.OnceValue(func() *Type { return t.get(id) }) }
	ty := &Type{Kind: Other, Name: t.str(h.name)}
	if depth > maxChain {
		return ty
	}
	switch h.kind() {
	case 0:
		ty = &Type{Kind: Void}
	case btfInt:
		enc := binary.NativeEndian.Uint32(b) >> 24 & 15
		ty.Kind, ty.Size, ty.Signed = Int, int(h.size), enc&1 != 0
		switch {
		case enc&4 != 0:
			ty.Kind = Bool
		case h.size == 1 && ty.Name == "char":
			ty.Kind = Char
		case h.size > 8:
			ty.Kind = Other
		}
	case btfEnum, btfEnum64:
		ty.Kind, ty.Size, ty.Signed = Enum, int(h.size), h.flag()
		ty.values = sync.OnceValue(func() []Value {
			var out []Value
			for e := range t.enumerators(h, b) {
				out = append(out, Value{t.str(e.name), e.n})
			}
			return out
		})
		ty.Name = keyword("enum", ty.Name)
	case btfFloat:
		ty.Size = int(h.size)
	case btfPtr:
		ty.Kind, ty.Size = Pointer, 8
		target := h.size
		for range maxChain {
			to, _ := t.head(target)
			if to.kind() != btfTypeTag {
				break
			}
			switch t.str(to.name) {
			case "user":
				ty.User = true
			case "percpu":
				ty.PerCPU = true
			}
			target = to.size
		}
		ty.elem = lazy(target)
	case btfArray:
		ty.Kind, ty.elem, ty.Len = Array, lazy(binary.NativeEndian.Uint32(b)), int(binary.NativeEndian.Uint32(b[8:]))
		ty.Size = ty.Len * t.resolve(binary.NativeEndian.Uint32(b), depth+1).Size
	case btfStruct, btfUnion:
		ty.Kind, ty.Size = Struct, int(h.size)
		word := "struct"
		if h.kind() == btfUnion {
			ty.Kind, word = Union, "union"
		}
		ty.Name = keyword(word, ty.Name)
		ty.members = sync.OnceValue(func() []Member { return t.readMembers(h, b) })
	case btfTypedef:
		under := *t.resolve(h.size, depth+1)
		if name := t.str(h.name); under.Name == "" || under.Kind == Int || under.Kind == Bool {
			if under.Kind != Pointer && under.Kind != Array && under.Kind != Void {
				under.Name = name
			}
		}
		ty = &under
	case btfVolatile, btfConst, btfRestrict, btfTypeTag:
		ty = t.resolve(h.size, depth+1)
	}
	t.made[id] = ty
	return ty
}

func keyword(word, name string) string {
	if name == "" {
		return ""
	}
	return word + " " + name
}

func (t *Table) readMembers(h head, b []byte) []Member {
	out := make([]Member, h.vlen())
	for i := range out {
		m := &out[i]
		m.Name = t.str(binary.NativeEndian.Uint32(b))
		m.Type = t.get(binary.NativeEndian.Uint32(b[4:]))
		off := binary.NativeEndian.Uint32(b[8:])
		m.Off = int(off)
		if h.flag() { // bit fields have their size in the top byte
			m.Off, m.Bits = int(off&0xffffff), int(off>>24)
		}
		b = b[12:]
	}
	return out
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
