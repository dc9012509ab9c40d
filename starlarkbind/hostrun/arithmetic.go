package hostrun

import (
	"fmt"
	"math/big"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
)

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
		if len(a) == 2 {
			if at, ok := a[0].(element); ok { // t[k] += v
				return starlark.None, w.augment(op, at.Tuple[0], at.Tuple[1], a[1])
			}
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

// An element is a place that is to be changed: a collection and a key.
type element struct{ starlark.Tuple }

// elementOf returns an element. As in the kernel, a missing key is found before the value to add is
// computed.
var elementOf = starlark.NewBuiltin("element", func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	if t, ok := a[0].(starlark.HasSetKey); ok {
		if _, found, err := t.Get(a[1]); !found && err == nil {
			return nil, noKey(a[0], a[1])
		}
	}
	return element{a}, nil
})

func noKey(t, k starlark.Value) error { return fmt.Errorf("key %v not in %s", k, t.Type()) }

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
			return noKey(t, k)
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
