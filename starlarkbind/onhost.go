package starlarkbind

import (
	"fmt"
	"math/big"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// A handler that the script calls itself, as handler(event(...)), has to compute what it computes
// in the kernel, where numbers have 64 bits. Starlark's integers are unbounded. The interpreter
// therefore does not run the handler but a copy of it (copyfunc.go), in which arithmetic wraps.
// Whether a result is signed follows from the types that the checker found for the probe that uses
// the handler. Without a probe, the event's values have types: numbers of 2**63 or more are
// unsigned. Where the checker does not know the types, because a struct takes the place of an
// address, the operands of each operation decide by the same rule.
//
// The function itself finds the copy. The interpreter's form of every function that could be a
// handler begins with this statement, which the compiler does not see:
//
//	if e == event@ and handled@(e): return result@()
//
// The comparison comes first because calling a function takes much longer.

// anyEvent compares equal to every event.
var anyEvent = &event{}

// hostCallBuiltins returns the builtins that the test uses.
func (s *Session) hostCallBuiltins() starlark.StringDict {
	result := func(t *starlark.Thread, _ *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		v := t.Local(source.ResultName).(starlark.Value)
		t.SetLocal(source.ResultName, nil)
		return v, nil
	}
	handled := func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		fn, ok := t.DebugFrame(1).Callable().(*starlark.Function)
		if !ok {
			return starlark.False, nil
		}
		h := s.hostCopy(fn, args[0].(*event))
		if h == nil {
			return starlark.False, nil
		}
		v, err := h.call(t, args)
		t.SetLocal(source.ResultName, v)
		return starlark.True, err
	}
	return starlark.StringDict{source.EventName: anyEvent, source.HandledName: starlark.NewBuiltin(source.HandledName, handled), source.ResultName: starlark.NewBuiltin(source.ResultName, result)}
}

// withoutHostCalls removes the frames of a handler's original from a call stack. The frames of its
// copy remain.
func withoutHostCalls(frames starlark.CallStack) starlark.CallStack {
	var out starlark.CallStack
	for _, f := range frames {
		switch {
		case f.Name == source.HandledName && len(out) > 0:
			out = out[:len(out)-1]
		default:
			out = append(out, f)
		}
	}
	return out
}

// maxHostCopies limits the number of handler copies that are kept.
const maxHostCopies = 64

// hostCopy returns the copy of a function for an event. It returns nil if the function contains
// something that the compiler rejects anyway.
func (s *Session) hostCopy(fn *starlark.Function, e *event) *funcCopy {
	req, types := s.reg.requestOf(fn), ""
	if req == nil {
		types = e.types()
	}
	h := s.copies[fn]
	if h == nil || h.request != req || h.types != types || !h.valid() {
		h = s.copyFunc(fn, req, e)
		h.request, h.types = req, types
		if s.copies == nil || len(s.copies) >= maxHostCopies {
			s.copies = map[*starlark.Function]*funcCopy{}
		}
		s.copies[fn] = h
	}
	if h.prog == nil {
		return nil
	}
	return h
}

// A wrapping describes how the result of an operation wraps at 64 bits.
type wrapping uint8

const (
	byOperands wrapping = iota // unsigned if an operand is 2**63 or more
	asSigned
	asUnsigned
)

var wrapNames = [...]string{"", "signed", "unsigned"}

var word64 = new(big.Int).Lsh(big.NewInt(1), 64)

// wrap wraps a number that was computed from operands.
func (w wrapping) wrap(n starlark.Int, operands ...starlark.Value) starlark.Int {
	if w == byOperands {
		w = asSigned
		for _, v := range operands {
			if x, ok := v.(starlark.Int); ok && x.Sign() > 0 {
				if _, small := x.Int64(); !small {
					w = asUnsigned
				}
			}
		}
	}
	if _, fits := n.Int64(); fits && w == asSigned {
		return n
	}
	if _, fits := n.Uint64(); fits && w == asUnsigned {
		return n
	}
	u := new(big.Int).Mod(n.BigInt(), word64).Uint64()
	if w == asUnsigned {
		return starlark.MakeUint64(u)
	}
	return starlark.MakeInt64(int64(u))
}

// binary computes x op y.
func (w wrapping) binary(op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	if n, ok := y.(starlark.Int); ok && (op == syntax.LTLT || op == syntax.GTGT) {
		if count, small := n.Int64(); n.Sign() > 0 && (!small || count > 64) {
			y = starlark.MakeInt(64) // as many as there are bits; Starlark limits shift counts
		}
	}
	v, err := starlark.Binary(op, x, y)
	if n, ok := v.(starlark.Int); ok && err == nil {
		return w.wrap(n, x, y), nil
	}
	return v, err
}

// builtin returns a function that computes an operation. With one operand and op 0 it only wraps
// the operand.
func (w wrapping) builtin(op syntax.Token) *starlark.Builtin {
	name := strings.TrimSpace(wrapNames[w] + " " + op.String())
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		switch {
		case len(a) == 3: // t[k] += v
			return starlark.None, w.augment(op, a[0], a[1], a[2])
		case len(a) == 2:
			return w.binary(op, a[0], a[1])
		}
		v, err := a[0], error(nil)
		if op != 0 {
			v, err = starlark.Unary(op, v)
		}
		if n, ok := v.(starlark.Int); ok && err == nil {
			return w.wrap(n, a[0]), nil
		}
		return v, err
	})
}

// augment computes t[k] op= v.
func (w wrapping) augment(op syntax.Token, t, k, v starlark.Value) error {
	if table, ok := t.(*maps.Table); ok && table.Decl().Val != nil {
		w = wrappingOf(table.Decl().Val)
	}
	switch t := t.(type) {
	case starlark.HasSetKey:
		old, found, err := t.Get(k)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("key %v not in %s", k, t.Type())
		}
		if v, err = w.binary(op, old, v); err != nil {
			return err
		}
		return t.SetKey(k, v)
	case starlark.HasSetIndex:
		i, err := starlark.AsInt32(k)
		if err != nil {
			return err
		}
		if i < 0 {
			i += t.Len()
		}
		if i < 0 || i >= t.Len() {
			return fmt.Errorf("%s index %v out of range", t.Type(), k)
		}
		if v, err = w.binary(op, t.Index(i), v); err != nil {
			return err
		}
		return t.SetIndex(i, v)
	}
	return fmt.Errorf("%s value does not support item assignment", t.Type())
}

// wrappingOf returns how numbers of type t wrap.
func wrappingOf(t *types.Type) wrapping {
	switch {
	case t == nil:
		return byOperands
	case t.Kind == types.Uint, t.Kind == types.Ptr:
		return asUnsigned
	}
	return asSigned
}
