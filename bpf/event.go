package bpf

import "slices"

// Event describes what a handler can read of its event.
type Event struct {
	Fields []Field // at offsets in the program's context
	HasRet bool    // it has a return value: a field named ret
	// RawArgs reports that the fields are the untyped words of a raw tracepoint; only attaching
	// shows how many exist.
	RawArgs bool
	// Args are the arguments without names: e.args[i].
	Args []Field
	// NullGuard is the offset of a context word; if that word is 0, there is no event. 0 means no
	// such word.
	NullGuard int
	// Number is the system call number, if the event is one that all system calls share
	// (ShareSyscalls).
	Number *Field
	// SameArgs reports that every target of the kind has these Args.
	SameArgs bool
	// NoArgs explains why there are no arguments, if that needs an explanation.
	NoArgs string
	// Overrides are fields of the task that the event is about ("pid", "comm"), if that is not the
	// running task. A field of kind FieldUnreadable has no meaning for the event.
	Overrides []Field
	// GoProgram is the file of a Go function, whose goroutines have numbers (GoroutineField), or ""
	// for other events.
	GoProgram string
}

// Field returns the field with the given name.
func (e *Event) Field(name string) (Field, bool) {
	for _, f := range e.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
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

// Field is one typed argument.
type Field struct {
	Name string
	// CType is the type as the kernel writes it, without the name: "const char *", "char[16]",
	// "__data_loc char[]".
	CType  string
	Offset int  // bytes from the start of the context
	Size   int  // bytes
	Signed bool // of an integer, or of the elements of an array
	Kind   FieldKind
	// ElemSize and Len are the size of an element in bytes and the number of elements. Len is 0 if
	// the record itself contains it (DataLoc, RelLoc).
	ElemSize, Len int
	UserPtr       bool // a pointer into the memory of the process, not of the kernel
	Tracked       bool // a pointer that the verifier tracks: from the context of fentry and fexit
	Value         int64
	At            Address
	Why           string // reason for FieldUnreadable
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
	// FieldCharArray is an inline string, with or without a terminating NUL.
	FieldCharArray
	// FieldArray is an inline array of Len integers of ElemSize bytes.
	FieldArray
	// FieldDataLocString is a word whose low 16 bits are the offset of a string from the start of
	// the record, and whose high 16 bits are its length in bytes, including the NUL.
	FieldDataLocString
	// FieldDataLocArray is the same for other elements.
	FieldDataLocArray
	// FieldRelLocString is like FieldDataLocString, but the offset counts from the end of the field
	// itself.
	FieldRelLocString
	// FieldRelLocArray is the same for other elements.
	FieldRelLocArray
	// FieldStruct is an inline sequence of bytes that is not an integer.
	FieldStruct
	// FieldConst always has the value Value.
	FieldConst
	// FieldMemory is an integer of Size bytes at the address At.
	FieldMemory
	// FieldMemoryString is a string of at most Size bytes at the address At.
	FieldMemoryString
	// FieldUnreadable cannot be read. Why is the error message for handlers that try.
	FieldUnreadable
)

var fieldKindNames = [...]string{"int", "bool", "pointer", "char array", "array", "data_loc string", "data_loc array",
	"rel_loc string", "rel_loc array", "struct", "constant", "memory", "string in memory", "unreadable"}

func (k FieldKind) String() string {
	if int(k) < len(fieldKindNames) {
		return fieldKindNames[k]
	}
	return "unknown"
}
