package tree

import (
	"math/big"
	"slices"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Convert converts x to type t, which holds all values of x's type.
func Convert(x Expr, t *types.Type) Expr {
	if x.Type().Equal(t) || x.Type().Kind == types.Invalid || t.Kind == types.Invalid {
		return x
	}
	if x.Type().IsInt() && t.IsInt() {
		if k, ok := x.(*ConstExpr); ok {
			return &ConstExpr{At(t, k.Pos), k.Value}
		}
	}
	return &ConvertExpr{At(t, x.Position()), x}
}

// Number returns a numeric formatted value as a plain number, and any other expression unchanged.
func Number(x Expr) Expr {
	if t := x.Type(); t.IsNumber() {
		if k, ok := x.(*ConstExpr); ok {
			return &ConstExpr{At(t.Elem, k.Pos), k.Value}
		}
		return &ConvertExpr{At(t.Elem, x.Position()), x}
	}
	return x
}

// NeverNegative reports whether x cannot be negative, unless it has wrapped (types.Type.Wraps).
func NeverNegative(x Expr) bool { return x.Type().Kind == types.Uint || x.Type().NonNeg }

// UnsignedOperand reports whether the bits of x, read as unsigned, are its value.
func UnsignedOperand(x Expr) bool {
	return x.Type().Kind == types.Uint || x.Type().NonNeg && !x.Type().Wraps
}

// SmallConst reports whether x is a constant from 0 to 2**63-1.
func SmallConst(x Expr) bool {
	k, ok := x.(*ConstExpr)
	return ok && k.Value.(*big.Int).Sign() >= 0 && k.Value.(*big.Int).IsInt64()
}

// IsConst reports whether x is a constant.
func IsConst(x Expr) bool {
	_, ok := x.(*ConstExpr)
	return ok
}

// Invalid returns an expression of unknown type, the result of an error that has been reported.
func Invalid(pos syntax.Position) Expr { return &ConstExpr{Node: At(types.TInvalid, pos)} }

// WithPos returns x with another position.
func WithPos(x Expr, pos syntax.Position) Expr {
	switch x := x.(type) {
	case *ConstExpr:
		return &ConstExpr{At(x.T, pos), x.Value}
	case *StaticExpr:
		return &StaticExpr{At(x.T, pos), x.Entity}
	}
	return x
}

// KnownTruth returns the truth value of a constant. known is false for other expressions.
func KnownTruth(x Expr) (truth, known bool) {
	if k, ok := x.(*ConstExpr); ok && k.T.Kind != types.Invalid && k.T.Kind != types.Formatted {
		return ConstTruth(k.Value)
	}
	return false, false
}

// Truth converts x to a condition. It returns false if values of x's type are neither true nor
// false.
func Truth(x Expr) (cond Expr, ok bool) {
	t := x.Type()
	if b, known := KnownTruth(x); known {
		return BoolConst(b, x.Position()), true
	}
	switch t.Kind {
	case types.Bool, types.Invalid:
		return x, true
	case types.None:
		return BoolConst(false, x.Position()), true
	case types.Tuple:
		return BoolConst(len(t.Elems) > 0, x.Position()), true
	case types.Bytes:
		return BoolConst(t.Len > 0, x.Position()), true
	case types.Opt:
		if _, ok := Truth(&NarrowExpr{At(t.Elem, x.Position()), x}); !ok {
			return x, false
		}
		return &TruthExpr{At(types.TBool, x.Position()), x}, true
	case types.Int, types.Uint, types.Str, types.Ptr:
		return &TruthExpr{At(types.TBool, x.Position()), x}, true
	case types.Formatted:
		switch {
		case t.IsText():
			return BoolConst(true, x.Position()), t.Format.Name != types.Joined && hasLiteral(t.Format.Arg)
		case t.IsEither():
			return x, false
		}
		if t.Format.Numeric || t.Format.Empty {
			return &TruthExpr{At(types.TBool, x.Position()), x}, true
		}
		return BoolConst(true, x.Position()), true
	}
	return x, false
}

// hasLiteral reports whether a text of this format is never empty.
func hasLiteral(format string) bool {
	pieces, _ := types.Pieces(format)
	return slices.ContainsFunc(pieces, func(p types.Piece) bool { return p.Verb == 0 })
}
