package tree

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// IntConst returns the constant n.
func IntConst(n int64, pos syntax.Position) *ConstExpr {
	return &ConstExpr{At(ConstType(big.NewInt(n)), pos), big.NewInt(n)}
}

// BoolConst returns the constant b.
func BoolConst(b bool, pos syntax.Position) *ConstExpr { return &ConstExpr{At(types.TBool, pos), b} }

// ConstType returns the type of a captured constant, nil for an int that does not fit in 64 bits,
// or TInvalid for a value that is no constant.
func ConstType(v any) *types.Type {
	switch v := v.(type) {
	case nil:
		return types.TNone
	case bool:
		return types.TBool
	case *big.Int:
		switch {
		// NULL, or an address as returned by uaddr()
		case v.Sign() == 0, v.IsInt64() && v.Cmp(big.NewInt(FirstPages)) >= 0:
			return &types.Type{Kind: types.Int, NonNeg: true, Addr: true}
		case v.IsInt64() && v.Sign() > 0:
			return types.TNat
		case v.IsInt64():
			return types.TInt
		case v.IsUint64():
			return types.TUint
		}
		return nil
	case string:
		if strings.IndexByte(v, 0) >= 0 {
			return types.TNULStr(len(v))
		}
		return types.TStr(len(v))
	case Bytes:
		return types.TBytes(len(v))
	case Tuple:
		elems := constTypes(v)
		if elems == nil {
			return nil
		}
		return types.TTuple(elems...)
	case Struct:
		fields := constTypes(v.Vals)
		if fields == nil {
			return nil
		}
		return types.TStruct(v.Names, fields)
	case List:
		return types.TList
	case Dict:
		return types.TDict
	case Set:
		return types.TSet
	}
	return types.TInvalid
}

// constTypes returns the types of constants, or nil if one does not fit in 64 bits.
func constTypes(vals []any) []*types.Type {
	out := []*types.Type{}
	for _, v := range vals {
		t := ConstType(v)
		if t == nil {
			return nil
		}
		out = append(out, t)
	}
	return out
}

// Word returns the 64 bits of a bool or int constant; 0 for other values.
func Word(v any) int64 {
	switch v := v.(type) {
	case bool:
		if v {
			return 1
		}
	case *big.Int:
		if v.IsInt64() {
			return v.Int64()
		}
		return int64(v.Uint64())
	}
	return 0
}

// ConstTruth returns the truth value of a constant. known is false for other values.
func ConstTruth(v any) (truth, known bool) {
	switch v := v.(type) {
	case nil:
		return false, true
	case bool:
		return v, true
	case *big.Int:
		return v.Sign() != 0, true
	case string:
		return v != "", true
	case Bytes:
		return v != "", true
	case Tuple:
		return len(v) > 0, true
	case List:
		return len(v) > 0, true
	case Set:
		return len(v) > 0, true
	case Dict:
		return len(v.Keys) > 0, true
	case Struct:
		return true, true
	}
	return false, false
}

// ConstLen returns the number of elements of a constant tuple or collection, or of bytes of a
// string or of bytes. It returns false for other values.
func ConstLen(v any) (n int, ok bool) {
	switch v := v.(type) {
	case string:
		return len(v), true
	case Bytes:
		return len(v), true
	}
	elems, ok := ConstElems(v)
	return len(elems), ok
}

// ConstElems returns the elements that a loop over a constant collection visits.
func ConstElems(v any) ([]any, bool) {
	switch v := v.(type) {
	case Tuple:
		return v, true
	case List:
		return v, true
	case Set:
		return v, true
	case Dict:
		return v.Keys, true
	}
	return nil, false
}

// ConstString returns the bytes of a constant string or bytes.
func ConstString(v any) string {
	if b, ok := v.(Bytes); ok {
		return string(b)
	}
	return v.(string)
}

// EndsInNUL reports whether a string ends in a NUL, which a string in a handler cannot.
func EndsInNUL(s string) bool { return strings.HasSuffix(s, "\x00") }

// TrailingNUL reports whether a constant contains a string that ends in a NUL. A handler cannot
// represent it, because its strings end at the last byte that is not NUL.
func TrailingNUL(v any) bool {
	switch v := v.(type) {
	case string:
		return EndsInNUL(v)
	case Tuple:
		return slices.ContainsFunc(v, TrailingNUL)
	case Struct:
		return slices.ContainsFunc(v.Vals, TrailingNUL)
	}
	return false
}

// ConstInt returns the value of a constant int. It returns false for other expressions.
func ConstInt(x Expr) (*big.Int, bool) {
	k, ok := x.(*ConstExpr)
	if !ok || !k.T.IsInt() {
		return nil, false
	}
	return k.Value.(*big.Int), true
}

// ConstCompare compares two constants with op. ok is false if their types do not allow that.
func ConstCompare(op syntax.Token, a, b any) (result, ok bool) {
	if x, isInt := a.(*big.Int); isInt {
		y, isInt := b.(*big.Int)
		if !isInt {
			return false, false
		}
		return Ordered(op, x.Cmp(y)), true
	}
	if x, isBytes := a.(Bytes); isBytes {
		if y, isBytes := b.(Bytes); isBytes {
			return Ordered(op, strings.Compare(string(x), string(y))), true
		}
		return false, false
	}
	if x, isStr := a.(string); isStr {
		y, isStr := b.(string)
		if !isStr {
			return false, false
		}
		n := 0
		if x < y {
			n = -1
		} else if x > y {
			n = 1
		}
		return Ordered(op, n), true
	}
	if op == syntax.EQL || op == syntax.NEQ {
		return (ConstRepr(a) == ConstRepr(b)) == (op == syntax.EQL), true
	}
	return false, false
}

// Ordered returns the result of a comparison with op of two values whose order is n, as cmp.Compare
// returns it.
func Ordered(op syntax.Token, n int) bool {
	switch op {
	case syntax.EQL:
		return n == 0
	case syntax.NEQ:
		return n != 0
	case syntax.LT:
		return n < 0
	case syntax.LE:
		return n <= 0
	case syntax.GT:
		return n > 0
	}
	return n >= 0
}

// FloorDiv returns Starlark's x // y and x % y.
func FloorDiv(x, y *big.Int) (q, r *big.Int) {
	q, r = new(big.Int).QuoRem(x, y, new(big.Int))
	if r.Sign() != 0 && (r.Sign() < 0) != (y.Sign() < 0) {
		q.Sub(q, big.NewInt(1))
		r.Add(r, y)
	}
	return q, r
}

// ConstText returns a constant as Starlark writes it, shortened for messages.
func ConstText(v any) string {
	var b strings.Builder
	writeConst(&b, v, 80)
	s := b.String()
	if len(s) > 60 {
		s = s[:57] + "..."
	}
	return s
}

// ConstRepr returns a constant as Starlark writes it. Two constants of comparable types are equal
// if and only if their representations are.
func ConstRepr(v any) string {
	var b strings.Builder
	writeConst(&b, v, math.MaxInt)
	return b.String()
}

// writeConst writes a constant, and stops adding elements once b is longer than most.
func writeConst(b *strings.Builder, v any, most int) {
	seq := func(open string, list []any, end string) {
		b.WriteString(open)
		for i, e := range list {
			if i > 0 {
				b.WriteString(", ")
			}
			writeConst(b, e, most)
			if b.Len() > most {
				break
			}
		}
		b.WriteString(end)
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case string:
		b.WriteString(syntax.Quote(v, false))
	case Bytes:
		b.WriteString(syntax.Quote(string(v), true))
	case Tuple:
		if len(v) == 1 {
			seq("(", v, ",)")
		} else {
			seq("(", v, ")")
		}
	case List:
		seq("[", v, "]")
	case Set:
		seq("set([", v, "])")
	case Dict:
		b.WriteString("{")
		for i := range v.Keys {
			if i > 0 {
				b.WriteString(", ")
			}
			writeConst(b, v.Keys[i], most)
			b.WriteString(": ")
			writeConst(b, v.Vals[i], most)
			if b.Len() > most {
				break
			}
		}
		b.WriteString("}")
	case Struct:
		b.WriteString("struct(")
		for i, name := range v.Names {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(name + " = ")
			writeConst(b, v.Vals[i], most)
			if b.Len() > most {
				break
			}
		}
		b.WriteString(")")
	default:
		fmt.Fprint(b, v)
	}
}

// FirstPages bounds the addresses that no program can map (vm.mmap_min_addr): they are NULL, or
// NULL plus the offset of a member.
const FirstPages = 1 << 16
