// Package ctype describes C's types as a handler follows them: how large a value is, and where the members of a struct lie.
// It also reads them from the bytes of the kernel's BTF (btf.go). It makes no system calls, and resolves a type only
// when it is asked for: the types that can be reached from task_struct are nearly all that the kernel has.
package ctype

import (
	"fmt"
	"sync"
)

// A Kind tells the sorts of type apart.
type Kind uint8

// The kinds.
const (
	Void Kind = iota
	Int
	Bool
	Char // of 1 byte, by that name: arrays of it are strings
	Enum
	Pointer
	Array
	Struct
	Union
	Other // functions, floats, types that are declared only
)

// A Type is a C type without its qualifiers. What it is made of is found when it is asked for.
type Type struct {
	Kind   Kind
	Name   string // "struct sock", "unsigned int", "atomic_t"; "" where it has none
	Size   int    // bytes
	Signed bool   // Int, Char, Enum
	Len    int    // Array
	User   bool   // Pointer: to the memory of a process (the type tag "user")
	PerCPU bool   // Pointer: to one copy for each CPU; the address itself holds nothing

	elem    func() *Type
	members func() []Member
	values  func() []Value
}

// A Member is a field of a struct or union.
type Member struct {
	Name string // "" of an embedded struct or union without a name
	Type *Type
	Off  int // bits from the start
	Bits int // of a bit field; 0: the whole type
}

// A Value is an enumerator.
type Value struct {
	Name string
	N    int64
}

// Elem is what a pointer points to, or the elements of an array.
func (t *Type) Elem() *Type { return t.elem() }

// Members lists the fields of a struct or union.
func (t *Type) Members() []Member { return t.members() }

// Values lists the enumerators of an enum.
func (t *Type) Values() []Value { return t.values() }

// IsRecord tells of structs and unions.
func (t *Type) IsRecord() bool { return t.Kind == Struct || t.Kind == Union }

// PointerTo gives the type of pointers to t.
func PointerTo(t *Type) *Type {
	return &Type{Kind: Pointer, Size: 8, elem: func() *Type { return t }}
}

// ArrayOf gives the type of arrays of n elements.
func ArrayOf(t *Type, n int) *Type {
	return &Type{Kind: Array, Size: n * t.Size, Len: n, elem: func() *Type { return t }}
}

// NewStruct makes a struct whose members are given by a function, which is called once, so that it can refer to itself.
func NewStruct(name string, size int, members func() []Member) *Type {
	return &Type{Kind: Struct, Name: name, Size: size, members: sync.OnceValue(members)}
}

// NewUnion is NewStruct for a union.
func NewUnion(name string, size int, members func() []Member) *Type {
	return &Type{Kind: Union, Name: name, Size: size, members: sync.OnceValue(members)}
}

// NewEnum makes an enum of 4 bytes.
func NewEnum(name string, values ...Value) *Type {
	return &Type{Kind: Enum, Name: name, Size: 4, values: func() []Value { return values }}
}

// String names the type as C does.
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

// Same tells that the two are one type.
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

// A Place is a member as found by its name from outside.
type Place struct {
	Member
	InUnion bool // it shares its bytes with others
}

// Find finds a member by its name, also in embedded structs and unions that have no name. Off counts from the start of t.
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

// MemberNames lists the names that Find finds.
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
