package tree

import (
	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// An Entity is what a name from outside a handler refers to.
type Entity interface{ entity() }

// A Scope resolves names: the globals and free variables of a function.
type Scope interface {
	// Lookup returns nil for a name without a value.
	Lookup(id *syntax.Ident) Entity
}

// Const is a captured constant: nil (None), bool, *big.Int, string, Bytes, Tuple, List, Dict, Set
// or Struct.
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

// Struct holds constants by name, in the order in which they were given.
type Struct struct {
	Names []string
	Vals  []any
}

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

// Opaque is a value that cannot be used in a handler: a float, a probe, a module. For a struct,
// Part describes the field because of which it cannot be used.
type Opaque struct{ Type, Part string }

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

// An Event describes what the event parameter of a handler means for one program: the schema of
// what the context holds, and what the program needs besides.
type Event struct {
	abi.Event
	Probe string // name of the probe, if the program serves one
	// Cookie reports whether the program serves several probes. The attach cookie identifies the
	// probe: its low half is the ProbeID of the name, its high half the ProbeID of Func.
	Cookie bool
	// Func is e.func if the program serves one probe. Otherwise it only reports whether e.func
	// exists: "" if the probes are not at functions, any name if they are.
	Func string
	// Names lists the probes and functions that a program with a cookie serves, as e.probe and
	// e.func name them.
	Names []string
	Ret   *abi.Field // e.ret; nil if there is none
	// Goroutine returns the field for e.goid in functions of Go programs; nil elsewhere.
	Goroutine func() (abi.Field, error)
	// Typed returns the named arguments from BTF. It is called when a handler names an argument
	// that is not in Fields. It may be nil.
	Typed func() ([]abi.Field, error)
	// BTFArgs reports whether the verifier knows what pointers among the arguments point to, and
	// allows plain loads through them.
	BTFArgs bool
	// Gate, if not "", is the name of an array of one word. While that word is 0, the program does
	// nothing.
	Gate string
	// Syscalls is set if the program runs for all system calls and serves some of them. The event
	// then has a Number.
	Syscalls *Syscalls
	Context  abi.Context
}

// WhyNoArgs returns the error message for e.args if the event has no arguments, else "".
func (e *Event) WhyNoArgs() string {
	if e.NoArgs == "" && len(e.Fields) == 0 && !e.RawArgs && e.Args == nil {
		return e.Probe + " has no arguments"
	}
	return e.NoArgs
}

// TypeOfValue returns the type of a field of kind FieldValue.
func TypeOfValue(f *abi.Field) *types.Type { return f.Type.(*types.Type) }

// Syscalls describes the system calls that a program serves.
type Syscalls struct {
	Map   string // array by call number: a cookie, or 0 if not served, and a count of runs
	Count bool   // count the runs
}

// MapTypes has the types of a map's keys and values, nil if not known, and the positions of the
// uses that determined them.
type MapTypes struct {
	Key, Val     *types.Type
	KeyAt, ValAt syntax.Position
}
