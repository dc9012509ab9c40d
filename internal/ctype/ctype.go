// Package ctype describes C types as handlers use them: the size of a value, and the offsets of the
// members of a struct. It also reads types and functions from the bytes of BTF. It makes no system
// calls. A type is resolved only when it is asked for, because nearly all types of the kernel are
// reachable from task_struct.
//
//	ctype.go    types and their members
//	btf.go      the tables of BTF
//	index.go    an index of the names
//	lookup.go   finding types and enumerators by name
//	resolve.go  types from BTF
//	func.go     functions and their parameters
//	decl.go     C declarations, with the qualifiers and typedefs that a Type does not have
package ctype

import (
	"fmt"
	"sync"
)

// A Kind is the kind of a type.
type Kind uint8

// The kinds.
const (
	Void Kind = iota
	Int
	Bool
	Char // 1 byte and named char: arrays of it are strings
	Enum
	Pointer
	Array
	Struct
	Union
	Other // functions, floats, forward declarations
)

// A Type is a C type without its qualifiers. Elements, members and values are resolved on demand.
type Type struct {
	Kind   Kind
	Name   string // "struct sock", "unsigned int", "atomic_t"; "" if it has none
	Size   int    // bytes
	Signed bool   // Int, Char, Enum
	Len    int    // Array
	User   bool   // Pointer: to user memory (the type tag "user")
	PerCPU bool   // Pointer: one copy per CPU; nothing is stored at the address itself

	elem    func() *Type
	members func() []Member
	values  func() []Value
}

// A Member is a field of a struct or union.
type Member struct {
	Name string // "" for an anonymous struct or union
	Type *Type
	Off  int // bit offset from the start of the struct
	Bits int // width of a bit field; 0: not a bit field
}

// A Value is an enumerator.
type Value struct {
	Name string
	N    int64
}

// Elem returns the type that a pointer points to, or the element type of an array.
func (t *Type) Elem() *Type { return t.elem() }

// Members returns the fields of a struct or union.
func (t *Type) Members() []Member { return t.members() }

// Values returns the enumerators of an enum.
func (t *Type) Values() []Value { return t.values() }

// IsRecord reports whether t is a struct or a union.
func (t *Type) IsRecord() bool { return t.Kind == Struct || t.Kind == Union }

// PointerTo returns the type of pointers to t.
func PointerTo(t *Type) *Type {
	return &Type{Kind: Pointer, Size: 8, elem: func() *Type { return t }}
}

// ArrayOf returns the type of arrays of n elements of type t.
func ArrayOf(t *Type, n int) *Type {
	return &Type{Kind: Array, Size: n * t.Size, Len: n, elem: func() *Type { return t }}
}

// NewStruct returns a struct of size bytes. The function members is called once, on demand, so that
// a struct can refer to itself.
func NewStruct(name string, size int, members func() []Member) *Type {
	return &Type{Kind: Struct, Name: name, Size: size, members: sync.OnceValue(members)}
}

// NewUnion is NewStruct for a union.
func NewUnion(name string, size int, members func() []Member) *Type {
	return &Type{Kind: Union, Name: name, Size: size, members: sync.OnceValue(members)}
}

// NewEnum returns an enum of 4 bytes.
func NewEnum(name string, values ...Value) *Type {
	return &Type{Kind: Enum, Name: name, Size: 4, values: func() []Value { return values }}
}

// String returns the type's name as written in C.
func (t *Type) String() string {
	switch t.Kind {
	case Void:
		return "void"
	case Pointer:
		if s := t.Elem().String(); s[len(s)-1] == '*' {
			return s + "*"
		} else {
			return s + " *"
		}
	case Array:
		return fmt.Sprintf("%s[%d]", t.Elem(), t.Len)
	}
	if t.Name != "" {
		return t.Name
	}
	return map[Kind]string{Struct: "struct", Union: "union", Enum: "enum", Other: "function"}[t.Kind]
}

// Same reports whether a and b are the same type.
func Same(a, b *Type) bool {
	switch {
	case a == b:
		return true
	case a.Kind != b.Kind || a.Size != b.Size || a.Name != b.Name:
		return false
	case a.Kind == Pointer || a.Kind == Array:
		return Same(a.Elem(), b.Elem())
	}
	return a.Name != "" || a.Kind == Void
}

// A Place is a member found by name, with its offset from the outermost struct.
type Place struct {
	Member
	InUnion bool // shares its bytes with other members
}

// Find returns the member with the given name, also if it is in an anonymous struct or union of t.
// Off counts from the start of t.
func (t *Type) Find(name string) (Place, bool) {
	for _, m := range t.Members() {
		if m.Name == name {
			return Place{m, t.Kind == Union}, true
		}
		if m.Name == "" && m.Type.IsRecord() {
			if p, ok := m.Type.Find(name); ok {
				p.Off += m.Off
				p.InUnion = p.InUnion || t.Kind == Union
				return p, true
			}
		}
	}
	return Place{}, false
}

// MemberNames returns the names that Find accepts.
func (t *Type) MemberNames() []string {
	var out []string
	for _, m := range t.Members() {
		switch {
		case m.Name != "":
			out = append(out, m.Name)
		case m.Type.IsRecord():
			out = append(out, m.Type.MemberNames()...)
		}
	}
	return out
}
