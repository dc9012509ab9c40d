package starlarkbind

import (
	"fmt"
	"math/big"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/compiler"
)

// These are the functions of handlers that read memory and use C types, for handlers that the
// script calls. An event then holds values in place of addresses, and the functions read these
// values.

// hostBuf implements buf(ptr, n): the first n bytes of the value that the event has in place of an
// address, padded with zeros.
func (s *Session) hostBuf(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	var n int
	if err := starlark.UnpackArgs("buf", a, kw, "ptr", &x, "n", &n); err != nil {
		return nil, err
	}
	if n < 1 || n > compiler.MaxStr {
		return nil, fmt.Errorf("buf: n must be from 1 to %d", compiler.MaxStr)
	}
	var text string
	switch x := x.(type) {
	case starlark.Bytes:
		text = string(x)
	case starlark.String:
		text = string(x)
	default:
		return nil, fmt.Errorf("buf: the script cannot read memory: give the event bytes instead of the address, got %s", x.Type())
	}
	out := make([]byte, n)
	copy(out, text)
	return starlark.Bytes(out), nil
}

// hostCast implements cast(x, type). An int is converted to the width of the C type; a struct in
// place of an address is returned unchanged.
func (s *Session) hostCast(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	var typ string
	if err := starlark.UnpackArgs("cast", a, kw, "x", &x, "type", &typ); err != nil {
		return nil, err
	}
	switch x := x.(type) {
	case starlark.Int:
		return s.ctypeCall("cast", x.BigInt(), typ)
	case starlark.Bool:
		n := starlark.MakeInt(0)
		if x {
			n = starlark.MakeInt(1)
		}
		return s.ctypeCall("cast", n.BigInt(), typ)
	}
	return x, nil
}

func (s *Session) hostOffsetof(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var typ, member string
	if err := starlark.UnpackArgs("offsetof", a, kw, "type", &typ, "member", &member); err != nil {
		return nil, err
	}
	return s.ctypeCall("offsetof", typ, member)
}

func (s *Session) hostSizeof(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	if err := starlark.UnpackArgs("sizeof", a, kw, "type", &x); err != nil {
		return nil, err
	}
	if name, ok := starlark.AsString(x); ok {
		return s.ctypeCall("sizeof", name)
	}
	if _, ok := x.(starlark.Int); ok {
		return starlark.MakeInt(8), nil
	}
	return nil, fmt.Errorf("sizeof: the size of a %s is not known; name its type: sizeof(\"struct sock\")", x.Type())
}

// hostContainerOf implements container_of(ptr, type, member). An int is an address, from which the
// member's offset is subtracted. A struct stands for the enclosing one and is returned unchanged.
func (s *Session) hostContainerOf(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	var typ, member string
	if err := starlark.UnpackArgs("container_of", a, kw, "ptr", &x, "type", &typ, "member", &member); err != nil {
		return nil, err
	}
	off, err := s.ctypeCall("offsetof", typ, member)
	if err != nil {
		return nil, err
	}
	if x, ok := x.(starlark.Int); ok {
		return x.Sub(off.(starlark.Int)), nil
	}
	return x, nil
}

// ctypeCall evaluates a function of constants with the compiler.
func (s *Session) ctypeCall(name string, args ...any) (starlark.Value, error) {
	v, err := compiler.Constant(s.ktypes, name, args...)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case bool:
		return starlark.Bool(v), nil
	case *big.Int:
		return starlark.MakeBigInt(v), nil
	}
	return nil, fmt.Errorf("%s: not a constant: %v", name, v)
}
