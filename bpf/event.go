package bpf

import "slices"

// Event is what a handler can read of its event.
type Event struct {
	Fields  []Field // at offsets of the program's context
	HasRet  bool    // it has a return value: a field named ret
	RawArgs bool    // the fields are the untyped words of a raw tracepoint; how many there are only the attach tells
	// Args are arguments without names: e.args[i].
	Args []Field
	// NullGuard is the offset of a word of the context; where that is 0 there is no event. 0: none.
	NullGuard int
	// Number is the number of the system call, where the event is one that all system calls pass (ShareSyscalls).
	Number *Field
	// SameArgs tells that Args are those of every target of the kind.
	SameArgs bool
	// NoArgs says why there are no arguments where that needs to be said.
	NoArgs string
	// Overrides are fields of the task that the event is about, where that is not the running one: "pid", "comm". One of kind
	// FieldUnreadable means nothing there.
	Overrides []Field
	// GoProgram is the file of Go's functions, whose goroutines have numbers (GoroutineField); "" for others.
	GoProgram string
}

// Field gives the field of that name.
func (e *Event) Field(name string) (Field, bool) {
	for _, f := range e.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// NamedArgs gives the arguments as -lv shows them: those that the kernel or a note tells of.
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
	Name   string
	CType  string // as the kernel writes it, without the name: "const char *", "char[16]", "__data_loc char[]"
	Offset int    // bytes from the start of the context
	Size   int    // bytes
	Signed bool   // of an integer, or of the elements of an array
	Kind   FieldKind
	// ElemSize and Len: the bytes of an element and their number. Len is 0 where the record says it (DataLoc, RelLoc).
	ElemSize, Len int
	UserPtr       bool // a pointer into the memory of the process, not of the kernel
	Tracked       bool // a pointer that the verifier follows: of the context of fentry and fexit
	Value         int64
	At            Address
	Why           string // of FieldUnreadable
}

// Address says where a field lies that is not in the context: at the sum of Disp, the word of the context at Base, and Scale
// times the word at Index.
type Address struct {
	Base, Index int // offsets in the context; negative: none
	Scale       int
	Disp        int64
	Context     bool // the context's own address is added
	Kernel      bool // the kernel's memory, not the process's
	Word        bool // the word at Base is a plain number to the verifier, though an address of the kernel
}

// FieldKind says how a field is read.
type FieldKind uint8

const (
	// FieldInt is an integer of Size bytes.
	FieldInt FieldKind = iota
	// FieldBool is an integer that is true or false.
	FieldBool
	// FieldPointer is an address.
	FieldPointer
	// FieldCharArray is a string in place, with or without a NUL at its end.
	FieldCharArray
	// FieldArray is Len integers of ElemSize bytes in place.
	FieldArray
	// FieldDataLocString is a word whose low 16 bits are the offset of a string from the start of the record, and whose
	// high 16 bits are its length in bytes, NUL included.
	FieldDataLocString
	// FieldDataLocArray is the same for other elements.
	FieldDataLocArray
	// FieldRelLocString is as FieldDataLocString, but the offset counts from the end of the field itself.
	FieldRelLocString
	// FieldRelLocArray is the same for other elements.
	FieldRelLocArray
	// FieldStruct is bytes in place that are no integer.
	FieldStruct
	// FieldConst is always Value.
	FieldConst
	// FieldMemory is an integer of Size bytes at the address At.
	FieldMemory
	// FieldMemoryString is a string of at most Size bytes at the address At.
	FieldMemoryString
	// FieldUnreadable cannot be read; Why is the message for who does.
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
