package compiler

import (
	"github.com/bpfrepl/bpfrepl/compiler/builtin"
	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Users of the compiler import this package only. It has the names of what they need of the
// packages below, which document them.

// What a Request consists of.
type (
	Request      = tree.Request
	Func         = tree.Func
	Event        = tree.Event
	Syscalls     = tree.Syscalls
	Compat       = tree.Compat
	Features     = tree.Features
	PIDFilter    = tree.PIDFilter
	PIDNamespace = tree.PIDNamespace
	Types        = tree.Types
	Host         = tree.Host
	HostError    = tree.HostError
	Variant      = tree.Variant
)

// The variants of Request.Variant.
const (
	VariantDefault   = tree.VariantDefault
	VariantCallbacks = tree.VariantCallbacks
)

// What names outside a handler refer to.
type (
	Scope   = tree.Scope
	Entity  = tree.Entity
	Map     = tree.Map
	Stream  = tree.Stream
	Builtin = tree.Builtin
	Opaque  = tree.Opaque
	Const   = tree.Const
	Bytes   = tree.Bytes
	Tuple   = tree.Tuple
	List    = tree.List
	Set     = tree.Set
	Dict    = tree.Dict
	Struct  = tree.Struct
)

// What a Program consists of.
type (
	MapTypes   = tree.MapTypes
	MapUse     = tree.MapUse
	Captured   = tree.Captured
	Site       = lower.Site
	PrintSite  = lower.PrintSite
	Arithmetic = check.Arithmetic
)

// The counters of Site.KeyCounter.
const (
	NoKeyCounter = lower.NoKeyCounter
	KeysInserted = lower.KeysInserted
	KeysDeleted  = lower.KeysDeleted
)

// Limits and layouts of what programs store.
const (
	MaxStr   = tree.MaxStr
	MaxParts = lower.MaxParts
)

// What scripts know of builtins, and their calls outside a handler.
type (
	Doc       = builtin.Doc
	Caller    = builtin.Caller
	Formatted = builtin.Formatted
	Omitted   = builtin.Omitted
)

// ErrCanceled is returned by a compilation that Request.Canceled ended.
var ErrCanceled = tree.ErrCanceled

// Builtins lists the functions that a handler can call, in the order of the table.
func Builtins() []Doc { return builtin.Builtins() }

// Methods lists the methods that a handler can call. Name is "aggregation.add" and so on.
func Methods() []Doc { return builtin.Methods() }

// EventFields lists the name and the description of each builtin field of an event.
func EventFields() [][2]string { return builtin.EventFields() }

// CanCall reports whether a handler can call the builtin of that name.
func CanCall(name string) bool { return builtin.CanCall(name) }

// HostParams returns the parameters of a builtin that has a host half, and ok false for others.
func HostParams(name string) (names []string, ok bool) { return builtin.HostParams(name) }

// CallOnHost calls the host half of a builtin.
func CallOnHost(name string, c Caller, args []any) (any, error) {
	return builtin.CallOnHost(name, c, args)
}

// FormattedType returns the type of values in the format that a script declares by name. It returns
// nil for other names.
func FormattedType(name string) *types.Type { return builtin.FormattedType(name) }
