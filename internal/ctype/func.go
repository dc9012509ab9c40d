package ctype

import (
	"encoding/binary"
	"iter"
	"slices"
)

// A Func is a function that BTF describes.
type Func struct {
	Name   string
	ID     uint32 // of the function in its BTF
	Params []Param
	Result Param // of type Void if it returns nothing; it has no name

	Decl string // its type in C: "int (struct file *file, ...)"
}

// A Param is a parameter of a function.
type Param struct {
	Name  string
	Type  *Type  // Void for the parameters of a variadic function that have no declaration
	CType string // the type in C, with its qualifiers and typedefs: "const char __user *"
}

// FuncNames returns the name and ID of each function of the table, without those of its base. A
// name is valid only during its iteration.
func (t *Table) FuncNames() iter.Seq2[[]byte, uint32] {
	return func(yield func([]byte, uint32) bool) {
		for id := range t.own() {
			if h := t.headAt(int(t.offsets[id-t.first])); h.kind() == btfFunc && h.name != 0 && !yield(t.bytesAt(h.name), id) {
				return
			}
		}
	}
}

// FuncID returns the ID of the first function of that name.
func (t *Table) FuncID(name string) (uint32, bool) { return t.find(name, btfFunc) }

// TypedefID returns the ID of the first typedef of that name.
func (t *Table) TypedefID(name string) (uint32, bool) { return t.find(name, btfTypedef) }

// Funcs returns all functions of that name. Static functions of several files may share one.
func (t *Table) Funcs(name string) []Func {
	var out []Func
	for id := range t.named(name, btfFunc) {
		h, _ := t.head(id)
		proto, _ := t.head(h.size)
		if proto.kind() != btfFuncProto {
			continue
		}
		out = append(out, Func{Name: name, ID: id, Params: t.protoParams(h.size), Result: t.param("", proto.size), Decl: t.decl(h.size, "")})
	}
	return out
}

// PointerParams returns the parameters of the function that a typedef of a function pointer
// describes.
func (t *Table) PointerParams(typedef string) ([]Param, bool) {
	id, ok := t.find(typedef, btfTypedef)
	if !ok {
		return nil, false
	}
	h, _ := t.head(id)
	if h, _ = t.head(h.size); h.kind() != btfPtr {
		return nil, false
	}
	return t.protoParams(h.size), true
}

func (t *Table) protoParams(id uint32) []Param {
	h, b := t.head(id)
	if h.kind() != btfFuncProto {
		return nil
	}
	var out []Param
	for p := range slices.Chunk(b[:8*h.vlen()], 8) {
		out = append(out, t.param(t.str(binary.NativeEndian.Uint32(p)), binary.NativeEndian.Uint32(p[4:])))
	}
	return out
}

func (t *Table) param(name string, id uint32) Param {
	return Param{Name: name, Type: t.get(id), CType: t.decl(id, "")}
}
