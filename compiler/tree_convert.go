package compiler

import (
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// convert converts x to type t, which holds all values of x's type.
func convert(x expr, t *types.Type) expr {
	if x.typ().Equal(t) || x.typ().Kind == types.Invalid || t.Kind == types.Invalid {
		return x
	}
	if x.typ().IsInt() && t.IsInt() {
		if k, ok := x.(*eConst); ok {
			return &eConst{node{t, k.pos}, k.v}
		}
	}
	return &eConvert{node{t, x.position()}, x}
}

// number returns a numeric formatted value as a plain number, and any other expression unchanged.
func number(x expr) expr {
	if t := x.typ(); t.IsNumber() {
		if k, ok := x.(*eConst); ok {
			return &eConst{node{t.Elem, k.pos}, k.v}
		}
		return &eConvert{node{t.Elem, x.position()}, x}
	}
	return x
}

// neverNegative reports whether x cannot be negative, unless it has wrapped (types.Type.Wraps).
func neverNegative(x expr) bool { return x.typ().Kind == types.Uint || x.typ().NonNeg }

// unsignedOperand reports whether the bits of x, read as unsigned, are its value.
func unsignedOperand(x expr) bool {
	return x.typ().Kind == types.Uint || x.typ().NonNeg && !x.typ().Wraps
}

// smallConst reports whether x is a constant from 0 to 2**63-1.
func smallConst(x expr) bool {
	k, ok := x.(*eConst)
	return ok && k.v.(*big.Int).Sign() >= 0 && k.v.(*big.Int).IsInt64()
}

func isConst(x expr) bool {
	_, ok := x.(*eConst)
	return ok
}

// invalid returns an expression of unknown type, the result of an error that has been reported.
func invalid(pos syntax.Position) expr { return &eConst{node: node{types.TInvalid, pos}} }

// at returns x with another position.
func at(x expr, pos syntax.Position) expr {
	switch x := x.(type) {
	case *eConst:
		return &eConst{node{x.t, pos}, x.v}
	case *eStatic:
		return &eStatic{node{x.t, pos}, x.ent}
	}
	return x
}

// knownTruth returns the truth value of a constant. known is false for other expressions.
func knownTruth(x expr) (truth, known bool) {
	if k, ok := x.(*eConst); ok && k.t.Kind != types.Invalid && k.t.Kind != types.Formatted {
		return constTruth(k.v)
	}
	return false, false
}

// truth converts x to a condition. It returns false if values of x's type are neither true nor false.
func truth(x expr) (cond expr, ok bool) {
	t := x.typ()
	if b, known := knownTruth(x); known {
		return boolConst(b, x.position()), true
	}
	switch t.Kind {
	case types.Bool, types.Invalid:
		return x, true
	case types.None:
		return boolConst(false, x.position()), true
	case types.Tuple:
		return boolConst(len(t.Elems) > 0, x.position()), true
	case types.Bytes:
		return boolConst(t.Len > 0, x.position()), true
	case types.Int, types.Uint, types.Str, types.Opt, types.Ptr:
		return &eTruth{node{types.TBool, x.position()}, x}, true
	case types.Formatted:
		if t.Format.Numeric || t.Format.Empty {
			return &eTruth{node{types.TBool, x.position()}, x}, true
		}
		return boolConst(true, x.position()), true
	}
	return x, false
}
