package compiler

import (
	"math/big"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/compiler/ctype"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// An Entity is what a name from outside of a handler stands for.
type Entity interface{ entity() }

// A Scope finds what names stand for: the globals and free variables of a function.
type Scope interface {
	// Lookup gives nil for a name that has no value.
	Lookup(id *syntax.Ident) Entity
}

// Const is a captured constant: nil (None), bool, *big.Int, string, Bytes, Tuple, List, Dict or Set.
type Const struct{ V any }

// Bytes is a Starlark bytes value.
type Bytes string

// Tuple, List and Set hold constants.
type (
	Tuple []any
	List  []any
	Set   []any
)

// Dict holds constants in the order of insertion.
type Dict struct{ Keys, Vals []any }

// A Func is a Starlark function.
type Func struct {
	Name     string
	Pos      syntax.Position
	Fn       *resolve.Function
	Defaults map[string]Entity // of parameters
	Scope    Scope
	// ID tells functions apart that come from one place in the source and hold different variables.
	ID any
}

// Builtin is a function that a handler may call.
type Builtin struct{ Name string }

// Opaque is a value that means nothing in a handler: a float, a probe, a module...
type Opaque struct{ Type string }

// A Map is an aggregation or a table. Key and Val are nil until its first use gives them; compiling never
// changes them: the result says what they are to become.
type Map struct {
	Name      string
	Ref       string // by which the instructions name it
	Agg       *agg.Spec
	LRU       bool
	Swappable bool // reached through an outer map, so that the host can exchange it
	Atomic    bool // runs can meet on one CPU, so adds are atomic
	MapTypes
	Open bool     // no program has the map yet: the types may grow
	Hint MapTypes // what other programs will use
}

// A Stream carries records to the script, each with named fields.
type Stream struct {
	Name string
	Ref  string // by which the instructions name its ring buffer
}

// Kind is how messages call it.
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

// FieldKind is how a field of an event is read.
type FieldKind uint8

// The kinds of field.
const (
	FieldInt       FieldKind = iota // Size bytes, Signed
	FieldBool                       // an int that is shown as True or False
	FieldPtr                        // an address; User
	FieldChars                      // char[Size], NUL-terminated or not
	FieldDataLoc                    // a string elsewhere in the record: its offset in the low 16 bits, its length above
	FieldRelLoc                     // the same, but the offset counts from the end of this field
	FieldArray                      // Len elements of Elem bytes
	FieldTyped                      // a value of Type, as it lies in a map
	FieldConst                      // the int Value, always
	FieldMemory                     // Size bytes of memory at At, Signed
	FieldMemoryStr                  // a string of at most Size bytes, NUL included, at At
	FieldOpaque                     // cannot be read
)

// A Field is a typed argument of an event, at a fixed offset of the program's context.
type Field struct {
	Name   string
	CType  string
	Kind   FieldKind
	Offset int
	Size   int
	Signed bool
	User   bool // FieldPtr: the mark __user
	Result bool // what a function returned: an errno may stand in place of a pointer
	// Tracked: the verifier knows a load of it as a typed pointer, and forbids arithmetic with that.
	Tracked bool
	Elem    int // bytes
	Len     int // elements
	Type    *types.Type
	Value   int64
	At      Address
	C       *ctype.Type // of arguments that BTF describes
	Why     string      // of FieldOpaque: the message for who reads it, if its type does not say it
}

// An Address is computed from words of the context: the sum of Disp, the word at Base, and Scale times the word at Index.
type Address struct {
	Base, Index int // offsets in the context; negative: none
	Scale       int
	Disp        int64
	Context     bool // the context's own address is added
	Kernel      bool // it is the kernel's memory, not the process's
	Word        bool // the word at Base is a plain number to the verifier, though an address of the kernel
}

// An Event says what e means for one probe.
type Event struct {
	Probe       string   // the name, when the program serves one probe
	Cookie      bool     // the program serves several: the attach cookie tells which, ProbeID of the name below ProbeID of Func
	Func        string   // e.func, when the program serves one probe; else "" where there is no function, any name where there is
	Names       []string // of the probes and functions that a program with a cookie serves, as e.probe and e.func name them
	Fields      []Field
	Ret         *Field  // e.ret; nil where there is none
	ArgsByIndex bool    // e.args[i] is word i of the context (raw tracepoints)
	Args        []Field // e.args[i], where they have places of their own
	// Overrides are fields of the event that mean something else than the running task's: those of the task that an iterator is
	// at.
	Overrides map[string]Field
	// Goroutine gives e.goid in functions of Go programs; nil elsewhere.
	Goroutine func() (Field, error)
	// Typed gives the arguments by name, from BTF; it is asked once a handler names one that is not among Fields.
	Typed func() ([]Field, error)
	// BTFArgs: the verifier knows what pointers among the arguments point to, and lets plain loads follow them.
	BTFArgs bool
	// NullGuard is the offset of a word of the context; where that is 0 there is no event, and the handler does not run. 0: none.
	NullGuard int
	// SameArgs tells that Args are the same for all probes that the program may serve.
	SameArgs bool
	// Gate names an array of one word: while it is 0 the program does nothing. "": there is none.
	Gate string
	// Syscalls is set where the program runs for all system calls and serves some.
	Syscalls *Syscalls
	// NoArgs says why there are no arguments, for the message.
	NoArgs      string
	ContextCaps ContextCaps
}

// field finds an argument by name.
func (e *Event) field(name string) *Field {
	for i := range e.Fields {
		if e.Fields[i].Name == name {
			return &e.Fields[i]
		}
	}
	return nil
}

// constType gives the type of a captured constant, or nil for an int that does not fit in 64 bits.
func constType(v any) *types.Type {
	switch v := v.(type) {
	case nil:
		return types.TNone
	case bool:
		return types.TBool
	case *big.Int:
		switch {
		case v.Sign() == 0, v.IsInt64() && v.Cmp(big.NewInt(firstPages)) >= 0: // NULL, or an address as uaddr() has it
			return &types.Type{Kind: types.Int, NonNeg: true, Addr: true}
		case v.IsInt64() && v.Sign() > 0:
			return types.TNat
		case v.IsInt64():
			return types.TInt
		case v.IsUint64():
			return types.TUint
		}
		return nil
	case string:
		if strings.IndexByte(v, 0) >= 0 {
			return types.TNULStr(len(v))
		}
		return types.TStr(len(v))
	case Bytes:
		return types.TBytes(len(v))
	case Tuple:
		t := &types.Type{Kind: types.Tuple}
		for _, e := range v {
			et := constType(e)
			if et == nil {
				return nil
			}
			t.Elems = append(t.Elems, et)
		}
		return t
	case List:
		return types.TList
	case Dict:
		return types.TDict
	case Set:
		return types.TSet
	}
	return types.TInvalid
}

// word gives a constant's 64 bits.
func word(v any) int64 {
	switch v := v.(type) {
	case bool:
		if v {
			return 1
		}
	case *big.Int:
		if v.IsInt64() {
			return v.Int64()
		}
		return int64(v.Uint64())
	}
	return 0
}
