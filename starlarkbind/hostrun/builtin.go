package hostrun

import (
	"fmt"
	"math/big"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/ktypes"
)

// The functions of handlers that scripts can call have their host halves in the compiler's table.
// This file connects the two: a caller passes Starlark values to a host half and answers its
// questions.

type builtinFunc func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// hostHalf returns the builtin of scripts for a function of handlers: its host half or, if it
// exists only in the kernel, an error that says why. It returns nil if the row has neither, because
// scripts have a function of that name anyway.
func (h *Handlers) hostHalf(d compiler.Doc) builtinFunc {
	params, ok := compiler.HostParams(d.Name)
	if !ok && d.KernelOnly == "" {
		return nil
	}
	if !ok {
		return func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
			return nil, fmt.Errorf("%s() can only be called in a handler: %s", d.Name, d.KernelOnly)
		}
	}
	return func(t *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		values := make([]starlark.Value, len(params))
		pairs := make([]any, 0, 2*len(params))
		for i, p := range params {
			pairs = append(pairs, p, &values[i])
		}
		if err := starlark.UnpackArgs(d.Name, a, kw, pairs...); err != nil {
			return nil, err
		}
		args := make([]any, len(params))
		for i, v := range values {
			if args[i] = v; v == nil {
				args[i] = compiler.Omitted{}
			}
		}
		v, err := compiler.CallOnHost(d.Name, caller{h.env.Lookups, h.env.Types, &h.env, t, d.Name}, args)
		if err != nil {
			return nil, err
		}
		return h.hostValue(v), nil
	}
}

// hostValue returns the result of a host half as a Starlark value.
func (h *Handlers) hostValue(v any) starlark.Value {
	switch v := v.(type) {
	case bool:
		return starlark.Bool(v)
	case *big.Int:
		return starlark.MakeBigInt(v)
	case string:
		return starlark.String(v)
	case compiler.Bytes:
		return starlark.Bytes(v)
	case compiler.Formatted:
		return h.env.Codec.Format(v.Type.Format, v.Words)
	case starlark.Value:
		return v
	}
	return starlark.None
}

// A caller implements compiler.Caller for one call.
type caller struct {
	*Lookups
	*ktypes.Types
	env    *Env
	thread *starlark.Thread
	fn     string
}

var _ compiler.Caller = caller{}

// Unsafe implements compiler.Caller.
func (c caller) Unsafe() bool { return c.env.Unsafe }

// Const implements compiler.Caller.
func (c caller) Const(v any) any {
	switch v := v.(type) {
	case starlark.NoneType:
		return nil
	case starlark.Bool:
		return bool(v)
	case starlark.Int:
		return v.BigInt()
	case starlark.String:
		return string(v)
	case starlark.Bytes:
		return compiler.Bytes(v)
	}
	return v
}

// Repr implements compiler.Caller.
func (c caller) Repr(v any) (string, error) { return c.env.Guards.Repr(v.(starlark.Value)) }

// TypeName implements compiler.Caller.
func (c caller) TypeName(v any) string { return v.(starlark.Value).Type() }

// ByteList implements compiler.Caller.
func (c caller) ByteList(v any) ([]byte, bool) {
	list, ok := v.(starlark.Indexable)
	if _, isStr := v.(starlark.String); !ok || isStr {
		return nil, false
	}
	out := make([]byte, list.Len())
	for i := range out {
		n, ok := list.Index(i).(starlark.Int)
		if !ok || codec.Word(n) > 255 {
			return nil, false
		}
		out[i] = byte(codec.Word(n))
	}
	return out, true
}

// Strings implements compiler.Caller.
func (c caller) Strings(v any) ([]string, bool) {
	list, ok := v.(starlark.Indexable)
	if _, isStr := v.(starlark.String); !ok || isStr {
		return nil, false
	}
	out := make([]string, list.Len())
	for i := range out {
		if out[i], ok = starlark.AsString(list.Index(i)); !ok {
			return nil, false
		}
	}
	return out, true
}

// EventField implements compiler.Caller.
func (c caller) EventField(name string) (any, error) { return eventField(c.thread, c.fn, name) }

// Stack implements compiler.Caller.
func (c caller) Stack(name string, n int) any {
	if e := eventOf(c.thread); e != nil && e.fields[name] != nil {
		if k, ok := e.fields[name].(*codec.Stack); ok && len(k.Frames) > n {
			return &codec.Stack{C: c.env.Codec, User: k.User, PID: k.PID, Frames: k.Frames[:n]}
		}
		return e.fields[name]
	}
	return &codec.Stack{C: c.env.Codec, User: name == "ustack"}
}

// Register implements compiler.Caller.
func (c caller) Register(name string) (any, bool, error) {
	if e := eventOf(c.thread); e != nil {
		if m, ok := e.fields[eventRegs].(starlark.Mapping); ok {
			return m.Get(starlark.String(name))
		}
	}
	return nil, false, nil
}
