package abi

import (
	"slices"

	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// Event describes what a handler can read of its event. A probe's provider fills it in, and the
// compiler reads it.
type Event struct {
	Fields []Field // at offsets in the program's context
	HasRet bool    // it has a return value: a field named ret
	// RawArgs reports that e.args[i] is word i of the context, as in a raw tracepoint; only
	// attaching shows how many exist.
	RawArgs bool
	// Args are the arguments without names: e.args[i].
	Args []Field
	// NullGuard is the offset of a context word; if that word is 0, there is no event and the
	// handler does not run. 0 means no such word.
	NullGuard int
	// Number is the system call number, if the event is one that all system calls share. Entries of
	// system calls (SyscallEntry) then say which of them the program serves.
	Number *Field
	// Verdict reports that the result of the program decides whether the kernel allows what it asks
	// about: an error number, negated, refuses it, and 0 leaves the decision to others.
	Verdict bool
	// SameArgs reports that every target of the kind has these Args.
	SameArgs bool
	// NoArgs is the error message for e.args if there are no arguments and the reason needs an
	// explanation.
	NoArgs string
	// Overrides are fields of the task that the event is about ("pid", "comm"), if that is not the
	// running task. A field of kind FieldUnreadable has no meaning for the event.
	Overrides []Field
	// GoProgram is the file of a Go function, whose goroutines have numbers, or "" for other
	// events.
	GoProgram string
}

// Field returns the field with the given name, or nil.
func (e *Event) Field(name string) *Field { return find(e.Fields, name) }

// Override returns the field that replaces the builtin field of that name, or nil.
func (e *Event) Override(name string) *Field { return find(e.Overrides, name) }

func find(fields []Field, name string) *Field {
	if i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name }); i >= 0 {
		return &fields[i]
	}
	return nil
}

// Ret returns a copy of the field ret that is marked as the event's return value, or nil if the
// event has none.
func (e *Event) Ret() *Field {
	f := e.Field("ret")
	if !e.HasRet || f == nil {
		return nil
	}
	ret := *f
	ret.Result = true
	return &ret
}

// NamedArgs returns the arguments as -lv shows them: those described by the kernel or by a USDT
// note.
func (e *Event) NamedArgs() []Field {
	var out []Field
	for _, f := range slices.Concat(e.Fields, e.Args) {
		if f.Name != "" {
			out = append(out, f)
		}
	}
	return out
}

// Field is one typed argument of an event.
type Field struct {
	Name string
	// CType is the type as the kernel writes it, without the name: "const char *", "char[16]",
	// "__data_loc char[]".
	CType  string
	Kind   FieldKind
	Offset int  // bytes from the start of the context
	Size   int  // bytes
	Signed bool // of an integer, or of the elements of an array
	// ElemSize and Len are the size of an element in bytes and the number of elements. Len is 0 if
	// the record itself contains it (DataLoc, RelLoc).
	ElemSize, Len int
	User          bool // a pointer marked __user: into the memory of the process
	Result        bool // a return value: it may be an errno in place of a pointer
	// Tracked reports that the verifier treats a load of the field as a typed pointer, and rejects
	// arithmetic on it, as in fentry and fexit.
	Tracked bool
	Value   int64       // FieldConst
	At      Address     // FieldMemory, FieldMemoryString
	Type    ValueType   // FieldValue
	C       *ctype.Type // the C type, if BTF describes it; else nil
	Why     string      // FieldUnreadable: the error message, if CType does not explain it
}

// ToNumber reports whether the field is a pointer that the verifier tracks, to something other than
// a struct. Some kernels, such as 5.10, refuse to load it from the context of fentry and fexit.
func (f *Field) ToNumber() bool {
	return f.Tracked && f.C != nil && f.C.Kind == ctype.Pointer && !f.C.Elem().IsRecord()
}

// ValueType is the type of a FieldValue. It is opaque to all but the compiler, whose types
// (compiler/types.Type) are the only ones.
type ValueType interface {
	Size() int // bytes
	String() string
}

// BTFField returns the field for an argument of C type t, which is in a word of the context at
// offset off.
func BTFField(name string, off int, t *ctype.Type) Field {
	f := Field{Name: name, CType: t.String(), Kind: FieldStruct, Offset: off, Size: t.Size, Signed: t.Signed, C: t}
	switch t.Kind {
	case ctype.Int, ctype.Char, ctype.Enum:
		f.Kind = FieldInt
	case ctype.Bool:
		f.Kind = FieldBool
	case ctype.Pointer:
		f.Kind, f.User = FieldPointer, t.User
	}
	return f
}

// Address locates a field outside the context: the sum of Disp, the context word at Base, and Scale
// times the context word at Index.
type Address struct {
	Base, Index int // offsets in the context; negative: none
	Scale       int
	Disp        int64
	Context     bool // add the address of the context itself
	Kernel      bool // in kernel memory, not process memory
	// Word reports that the word at Base is a plain number to the verifier, although it is a kernel
	// address.
	Word bool
}

// FieldKind determines how a field is read.
type FieldKind uint8

const (
	// FieldInt is an integer of Size bytes.
	FieldInt FieldKind = iota
	// FieldBool is a boolean integer.
	FieldBool
	// FieldPointer is an address.
	FieldPointer
	// FieldCharArray is an inline string of Size bytes, with or without a terminating NUL.
	FieldCharArray
	// FieldArray is an inline array of Len integers of ElemSize bytes.
	FieldArray
	// FieldDataLocString is a word whose low 16 bits are the offset of a string from the start of
	// the record, and whose high 16 bits are its length in bytes, including the NUL.
	FieldDataLocString
	// FieldDataLocArray is the same for other elements. Handlers cannot read it.
	FieldDataLocArray
	// FieldRelLocString is like FieldDataLocString, but the offset counts from the end of the field
	// itself.
	FieldRelLocString
	// FieldRelLocArray is the same for other elements. Handlers cannot read it.
	FieldRelLocArray
	// FieldStruct is an inline sequence of bytes that is not an integer. Handlers cannot read it.
	FieldStruct
	// FieldConst always has the value Value.
	FieldConst
	// FieldMemory is an integer of Size bytes at the address At.
	FieldMemory
	// FieldMemoryString is a string of at most Size bytes, including the NUL, at the address At.
	FieldMemoryString
	// FieldValue is a value of type Type, in the layout of a map's values. The host writes it to the
	// context of a program that it runs itself.
	FieldValue
	// FieldUnreadable cannot be read. Why is the error message for handlers that try.
	FieldUnreadable
)

var fieldKindNames = [...]string{"int", "bool", "pointer", "char array", "array", "data_loc string", "data_loc array",
	"rel_loc string", "rel_loc array", "struct", "constant", "memory", "string in memory", "value", "unreadable"}

func (k FieldKind) String() string {
	if int(k) < len(fieldKindNames) {
		return fieldKindNames[k]
	}
	return "unknown"
}

// Context describes what a program can do with its context beyond reading fields.
type Context struct {
	Registers bool // it begins with the CPU's registers
	Override  bool // the probed function can be made to return at once
	OwnFrame  bool // the innermost frame of the kernel stack is the program itself
}
