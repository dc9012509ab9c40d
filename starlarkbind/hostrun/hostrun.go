// Package hostrun runs handlers on the host. A script can call a handler, as
// handler(event(pid=1, comm="sh")), and most functions of handlers.
//
// In the kernel numbers have 64 bits, while Starlark's integers are unbounded. The interpreter
// therefore does not run a handler that the script calls, but a copy of it, in which arithmetic
// wraps. Whether a result is signed follows from the types that the checker found for the probe
// that uses the handler. Without a probe, the event's values have types: numbers of 2**63 or more
// are unsigned. Where the checker does not know the types, because a struct takes the place of an
// address, the operands of each operation decide by the same rule.
//
// The function itself finds the copy. The interpreter's form of every function that could be a
// handler begins with this statement (package source), which the compiler does not see:
//
//	if e == event@ and handled@(e): return result@()
//
// The comparison comes first because calling a function takes much longer.
//
// A function of handlers has its host half in the compiler's table of builtins, which knows no
// Starlark values. This package passes them to it and back.
//
//	hostrun.go     Handlers, Env, Host
//	call.go        calls to handlers: event@, handled@, result@
//	copy.go        copies of handlers, with their operators replaced
//	arithmetic.go  the operators of a copy: arithmetic that wraps at 64 bits
//	event.go       event(...), the argument of a handler
//	builtin.go     functions of handlers that the script calls
//	lookup.go      symbols, cgroups and the clock of the host
package hostrun

import (
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/ktypes"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"github.com/bpfrepl/bpfrepl/starlarkbind/universe"
)

// An Env is what calls share with the rest of the session.
type Env struct {
	Sources *source.Files
	Types   *ktypes.Types
	Guards  *universe.Guards
	Codec   *codec.Codec
	Lookups *Lookups
	Unsafe  bool // the script may change what the kernel and other processes do
	Host
}

// A Host does for calls what needs the session's names and probes.
type Host interface {
	// Function returns the compiler's form of a function.
	Function(fn *starlark.Function) (*compiler.Func, error)
	// Value returns the value that a name in a function has when the script calls it, or nil.
	Value(fn *starlark.Function, id *syntax.Ident) starlark.Value
	// ProbeRequest returns the request with which a probe compiled fn as its handler or filter, or
	// nil if no probe did.
	ProbeRequest(fn *starlark.Function) *compiler.Request
	// EventRequest returns a request to compile a handler for an event that belongs to no probe.
	EventRequest(handler *compiler.Func, ev *compiler.Event) *compiler.Request
}

// Handlers are the handlers that a script calls.
type Handlers struct {
	env    Env
	copies map[*starlark.Function]*funcCopy
}

// New returns Handlers for a session.
func New(env Env) *Handlers { return &Handlers{env: env} }

// Builtins returns the functions of handlers that scripts can call, and the names that a call to a
// handler uses.
func (h *Handlers) Builtins() starlark.StringDict {
	d := h.callBuiltins()
	for _, doc := range compiler.Builtins() {
		if f := h.hostHalf(doc); f != nil {
			d[doc.Name] = starlark.NewBuiltin(doc.Name, f)
		}
	}
	return d
}

// A funcCopy is a copy of a function, and of the functions that it calls, in which arithmetic wraps
// at 64 bits as in the kernel.
type funcCopy struct {
	request *compiler.Request // the request that determines its types; nil: those of an event, see types
	types   string
	name    string
	prog    *starlark.Program // nil: the function cannot be copied
	outer   map[string]*outerName
}

// An outerName is a name from outside a copied function. Each copied function has its own set of
// them.
type outerName struct {
	lookup func() starlark.Value
	was    starlark.Value // the value when the copy was made
}
