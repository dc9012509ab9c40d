package builtin

import (
	"fmt"
	"math/big"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A script can call the builtins of handlers too, itself or through a handler that it calls. What a
// builtin does then is the host half of its row. It knows no Starlark values: it receives them as
// opaque values of the Caller, and returns one of these, a constant or a Formatted value.

// hostHalf computes the value of a call on the host.
type hostHalf func(h *hostCall) (any, error)

// A Caller is the script that calls a builtin on the host.
type Caller interface {
	tree.Host
	tree.Types
	// Unsafe reports whether the script may change what the kernel and other processes do.
	Unsafe() bool
	// Const returns an argument as a constant: nil, a bool, *big.Int, string or Bytes. It returns
	// any other value unchanged.
	Const(v any) any
	// Repr returns the text of an argument, as Starlark's repr does.
	Repr(v any) (string, error)
	// TypeName returns the name of an argument's type.
	TypeName(v any) string
	// ByteList returns the bytes of an argument that is a list of ints from 0 to 255.
	ByteList(v any) (b []byte, ok bool)
	// Strings returns the elements of an argument that is a list or tuple of strings.
	Strings(v any) (list []string, ok bool)
	// EventField returns a field of the event whose handler makes the call.
	EventField(name string) (any, error)
	// Stack returns the event's kernel or user stack with at most n frames. Without an event it is
	// empty.
	Stack(name string, n int) any
	// Register returns the register of that name that the event was given.
	Register(name string) (v any, ok bool, err error)
}

// A Formatted value is the result of a host half that the host shows as text.
type Formatted struct {
	Type  *types.Type
	Words types.Words
}

// An Omitted is an argument that the call does not have.
type Omitted struct{}

// A hostCall is a call of a builtin on the host.
type hostCall struct {
	Caller
	rows   *check.Tables
	name   string
	params []check.Param
	args   []any // one for each parameter
	err    error // the first argument of a wrong type
}

// given reports whether the call has an argument.
func (h *hostCall) given(i int) bool {
	_, omitted := h.args[i].(Omitted)
	return !omitted
}

// wrong records that an argument has the wrong type.
func (h *hostCall) wrong(i int, format string, args ...any) {
	if h.err == nil {
		h.err = fmt.Errorf("%s: for parameter %s: %s", h.name, h.params[i].Name, fmt.Sprintf(format, args...))
	}
}

// number returns an int argument.
func (h *hostCall) number(i int) *big.Int {
	n, ok := h.Const(h.args[i]).(*big.Int)
	if !ok {
		h.wrong(i, "got %s, want int", h.TypeName(h.args[i]))
		return new(big.Int)
	}
	return n
}

// word returns an int argument as a signed 64-bit integer, as in a handler.
func (h *hostCall) word(i int) int64 {
	n := h.number(i)
	if !n.IsInt64() && !n.IsUint64() {
		h.wrong(i, "%s does not fit in 64 bits", n)
	}
	return tree.Word(n)
}

// text returns a string argument, or "" if it is omitted.
func (h *hostCall) text(i int) string {
	if !h.given(i) {
		return ""
	}
	s, ok := h.Const(h.args[i]).(string)
	if !ok {
		h.wrong(i, "got %s, want string", h.TypeName(h.args[i]))
	}
	return s
}

// int returns an int argument, or def if it is omitted.
func (h *hostCall) int(i, def int) int {
	if !h.given(i) {
		return def
	}
	n := h.number(i)
	if !n.IsInt64() {
		h.wrong(i, "%s out of range (want value in signed 64-bit range)", n)
	}
	return int(n.Int64())
}

// within returns an int argument that must be from 1 to most, or def if it is omitted.
func (h *hostCall) within(i int, def, most int) int {
	if !h.given(i) {
		return def
	}
	n := h.number(i)
	if !n.IsInt64() || n.Int64() < 1 || n.Int64() > int64(most) {
		if h.err == nil {
			h.err = fmt.Errorf("%s: %s must be from 1 to %d", h.name, h.params[i].Name, most)
		}
		return def
	}
	return int(n.Int64())
}

// needsUnsafe returns an error unless the script may act on other processes. what says what the
// builtin changes.
func (h *hostCall) needsUnsafe(what string) error {
	if h.Unsafe() {
		return nil
	}
	return fmt.Errorf("%s() %s; %s", h.name, what, unsafeHint)
}

// formatted returns a value that the host shows by t's format.
func formatted(t *types.Type, words ...uint64) Formatted {
	f := Formatted{Type: t}
	copy(f.Words[:], words)
	return f
}

// unsafeHint is the hint for builtins that act on other processes or the kernel.
const unsafeHint = "to allow it, start bpfrepl with --unsafe"
