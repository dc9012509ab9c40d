package compiler

import (
	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// An Entity is what a name from outside a handler refers to.
type Entity interface{ entity() }

// A Scope resolves names: the globals and free variables of a function.
type Scope interface {
	// Lookup returns nil for a name without a value.
	Lookup(id *syntax.Ident) Entity
}

// Const is a captured constant: nil (None), bool, *big.Int, string, Bytes, Tuple, List, Dict or
// Set.
type Const struct{ V any }

// Bytes is a Starlark bytes value.
type Bytes string

// Tuple, List and Set hold constants.
type (
	Tuple []any
	List  []any
	Set   []any
)

// Dict holds constants in insertion order.
type Dict struct{ Keys, Vals []any }

// A Func is a Starlark function.
type Func struct {
	Name     string
	Pos      syntax.Position
	Fn       *resolve.Function
	Defaults map[string]Entity // default values of parameters
	Scope    Scope
	// ID distinguishes functions from the same place in the source that capture different
	// variables.
	ID any
}

// Builtin is a builtin function. Those without a row in the table builtins cannot be called in a
// handler.
type Builtin struct{ Name string }

// Opaque is a value that cannot be used in a handler: a float, a probe, a module...
type Opaque struct{ Type string }

// A Map is an aggregation or a table. Key and Val are nil until the first use of the map determines
// them. Compile never changes them: Program.Maps reports the types they should become.
type Map struct {
	Name      string
	Ref       string // the name that the instructions use
	Agg       *agg.Spec
	LRU       bool
	Swappable bool // reached through an outer map, so that the host can replace it
	Atomic    bool // handlers can interrupt each other on one CPU, so adds are atomic
	MapTypes
	Open bool     // no program has the map yet, so the types may still grow
	Hint MapTypes // what other programs will use
}

// A Stream carries records with named fields to the script.
type Stream struct {
	Name string
	Ref  string // the name that the instructions use for its ring buffer
}

// Kind returns the word for the map in messages.
func (m *Map) Kind() string {
	if m.Agg != nil {
		return m.Agg.Kind.String()
	}
	return "table"
}

func (Const) entity()   {}
func (*Func) entity()   {}
func (Builtin) entity() {}
func (Opaque) entity()  {}
func (*Map) entity()    {}
func (*Stream) entity() {}

// FieldKind is the way to read a field of an event.
type FieldKind uint8

// The kinds of field. The comments name the members of Field that apply.
const (
	FieldInt   FieldKind = iota // Size bytes, Signed
	FieldBool                   // an int shown as True or False
	FieldPtr                    // an address; User
	FieldChars                  // char[Size], with or without a NUL
	// FieldDataLoc is a string elsewhere in the record. The low 16 bits of the field are its
	// offset, the bits above are its length.
	FieldDataLoc
	FieldRelLoc    // the same, but the offset counts from the end of this field
	FieldArray     // Len elements of Elem bytes
	FieldTyped     // a value of Type, in the layout of a map value
	FieldConst     // always the int Value
	FieldMemory    // Size bytes of memory at At, Signed
	FieldMemoryStr // a string of at most Size bytes, NUL included, at At
	FieldOpaque    // cannot be read
)

// A Field is a typed argument of an event, at a fixed offset in the program's context.
type Field struct {
	Name   string
	CType  string
	Kind   FieldKind
	Offset int
	Size   int
	Signed bool
	User   bool // FieldPtr: marked __user
	Result bool // a return value: it may be an errno in place of a pointer
	// Tracked reports whether the verifier treats a load of the field as a typed pointer, and
	// rejects arithmetic on it.
	Tracked bool
	Elem    int // size of an element in bytes
	Len     int // number of elements
	Type    *types.Type
	Value   int64
	At      Address
	C       *ctype.Type // the C type, for arguments described by BTF
	Why     string      // FieldOpaque: the error message, if the type does not explain it
}

// An Address is computed from words of the context: the sum of Disp, the word at Base, and Scale
// times the word at Index.
type Address struct {
	Base, Index int // offsets in the context; negative if absent
	Scale       int
	Disp        int64
	Context     bool // add the address of the context itself
	Kernel      bool // the address is in kernel memory, not in that of the process
	Word        bool // the word at Base is a kernel address, but a scalar to the verifier
}

// An Event describes what the event parameter of a handler means for one probe.
type Event struct {
	Probe string // name of the probe, if the program serves one
	// Cookie reports whether the program serves several probes. The attach cookie identifies the
	// probe: its low half is the ProbeID of the name, its high half the ProbeID of Func.
	Cookie bool
	// Func is e.func if the program serves one probe. Otherwise it only reports whether e.func
	// exists: "" if the probes are not at functions, any name if they are.
	Func string
	// Names lists the probes and functions that a program with a cookie serves, as e.probe and
	// e.func name them.
	Names       []string
	Fields      []Field
	Ret         *Field  // e.ret; nil if there is none
	ArgsByIndex bool    // e.args[i] is word i of the context (raw tracepoints)
	Args        []Field // e.args[i], if they have locations of their own
	// Overrides replaces fields that would describe the running task by those of the task that an
	// iterator visits.
	Overrides map[string]Field
	// Goroutine returns the field for e.goid in functions of Go programs; nil elsewhere.
	Goroutine func() (Field, error)
	// Typed returns the named arguments from BTF. It is called when a handler names an argument
	// that is not in Fields. It may be nil.
	Typed func() ([]Field, error)
	// BTFArgs reports whether the verifier knows what pointers among the arguments point to, and
	// allows plain loads through them.
	BTFArgs bool
	// NullGuard, if not 0, is the offset of a word of the context. If that word is 0, there is no
	// event and the handler does not run.
	NullGuard int
	// SameArgs reports whether Args are the same for all probes that the program may serve.
	SameArgs bool
	// Gate, if not "", is the name of an array of one word. While that word is 0, the program does
	// nothing.
	Gate string
	// Syscalls is set if the program runs for all system calls and serves some of them.
	Syscalls *Syscalls
	// NoArgs is the error message for e.args if the event has no arguments.
	NoArgs      string
	ContextCaps ContextCaps
}

// field returns the argument of that name, or nil.
func (e *Event) field(name string) *Field {
	for i := range e.Fields {
		if e.Fields[i].Name == name {
			return &e.Fields[i]
		}
	}
	return nil
}
