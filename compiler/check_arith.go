package compiler

import (
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func (c *checker) unary(pos syntax.Position, op syntax.Token, x expr) expr {
	x = c.wantInt(x, "the operand of "+op.String())
	if x.typ().Kind == types.Invalid || op == syntax.PLUS {
		return x
	}
	if k, ok := x.(*eConst); ok {
		n := new(big.Int)
		if op == syntax.MINUS {
			n.Neg(k.v.(*big.Int))
		} else {
			n.Not(k.v.(*big.Int))
		}
		return c.constant(n, pos, "the result")
	}
	return &eUnary{node{types.TInt, pos}, op, x}
}

// binary checks arithmetic. As documented for users, results are signed 64-bit integers unless the
// source is unsigned and the operation keeps it so. A difference is signed: a - b of two sizes may
// be negative.
func (c *checker) binary(pos syntax.Position, op syntax.Token, x, y expr) expr {
	if x.typ().Kind == types.Invalid || y.typ().Kind == types.Invalid {
		return invalid(pos)
	}
	if op == syntax.SLASH {
		return c.bad(pos, "write // for the quotient without a fraction", "a handler has no floats, so / is not supported")
	}
	if x.typ().InMemory() || y.typ().InMemory() {
		kx, ok1 := x.(*eConst)
		ky, ok2 := y.(*eConst)
		if op == syntax.PLUS && ok1 && ok2 && x.typ().Kind == y.typ().Kind {
			if b, ok := kx.v.(Bytes); ok {
				return c.constant(b+ky.v.(Bytes), pos, "the bytes")
			}
			return c.constant(kx.v.(string)+ky.v.(string), pos, "the string")
		}
		hint := "make strings on the host; use a tuple as key: by=(a, b)"
		if op == syntax.PERCENT {
			hint = formatHint
		}
		what := "strings"
		if op == syntax.PLUS && (x.typ().Kind == types.Bytes || y.typ().Kind == types.Bytes) {
			hint = "use a tuple as key: by=(a, b)"
		}
		if x.typ().Kind == types.Bytes || y.typ().Kind == types.Bytes {
			what = "bytes"
		}
		return c.bad(pos, hint, "%s cannot be combined with %s in a handler", what, op)
	}
	moved := movedPointer(op, x, y)
	x = c.wantInt(x, "the left side of "+op.String())
	y = c.wantInt(y, "the right side of "+op.String())
	if x.typ().Kind == types.Invalid || y.typ().Kind == types.Invalid {
		return invalid(pos)
	}
	if moved != nil {
		return &eBinary{node{moved, pos}, op, x, y}
	}
	kx, cx := x.(*eConst)
	ky, cy := y.(*eConst)
	if cx && cy {
		return c.foldInts(pos, op, kx.v.(*big.Int), ky.v.(*big.Int))
	}
	if cy && (op == syntax.SLASHSLASH || op == syntax.PERCENT) && ky.v.(*big.Int).Sign() == 0 {
		return c.bad(pos, "", "%s by zero", map[syntax.Token]string{syntax.SLASHSLASH: "division", syntax.PERCENT: "remainder"}[op])
	}
	if cy && (op == syntax.LTLT || op == syntax.GTGT) && ky.v.(*big.Int).Sign() < 0 {
		return c.bad(pos, "", "negative shift count")
	}
	return &eBinary{node{arithType(op, x, y), pos}, op, x, y}
}

// movedPointer returns the type of a pointer that arithmetic moves, or nil if the result is a
// number. The pointer stays in its memory. It moves by bytes, so the type it points to afterwards
// is unknown.
func movedPointer(op syntax.Token, x, y expr) *types.Type {
	p, other := x, y
	if p.typ().Kind != types.Ptr {
		p, other = y, x
	}
	if p.typ().Kind != types.Ptr || other.typ().Kind == types.Ptr || !other.typ().IsInt() && !other.typ().IsNumber() {
		return nil
	}
	switch k, ok := other.(*eConst); {
	case op == syntax.PLUS, op == syntax.PIPE, op == syntax.MINUS && p == x:
	case op == syntax.AMP && ok && (k.v.(*big.Int).Sign() < 0 || !k.v.(*big.Int).IsInt64()): // p & ~7
	default:
		return nil
	}
	return &types.Type{Kind: types.Ptr, Space: p.typ().Space, Text: "void *"}
}

func arithType(op syntax.Token, x, y expr) *types.Type {
	tx, ty := x.typ(), y.typ()
	addr := tx.Addr || ty.Addr
	signed := &types.Type{Kind: types.Int, Addr: addr && op != syntax.STAR}
	natural := *signed // the result for operands that are never negative
	natural.NonNeg, natural.Wraps = true, tx.Wraps || ty.Wraps
	switch op {
	case syntax.MINUS:
		return signed
	case syntax.AMP:
		// the result is at most the operand that is never negative
		switch {
		case unsignedOperand(x) && tx.Kind == types.Int, unsignedOperand(y) && ty.Kind == types.Int:
			return types.TNat
		case tx.NonNeg, ty.NonNeg:
			return &natural
		}
	case syntax.LTLT, syntax.GTGT:
		return &types.Type{Kind: tx.Kind, Addr: tx.Addr, NonNeg: tx.NonNeg, Wraps: tx.Wraps || tx.NonNeg && op == syntax.LTLT}
	case syntax.SLASHSLASH:
		if k, ok := y.(*eConst); ok && k.v.(*big.Int).Cmp(big.NewInt(1)) > 0 && tx.Kind == types.Uint {
			return types.TNat // below 2**63
		}
	case syntax.PERCENT:
		if smallConst(y) {
			return types.TNat
		}
		if tx.Kind == types.Int && ty.NonNeg {
			return &types.Type{Kind: types.Int, NonNeg: true, Wraps: ty.Wraps}
		}
	case syntax.PLUS, syntax.STAR:
		natural.Wraps = true
	}
	switch {
	case !neverNegative(x) || !neverNegative(y):
		return signed
	case tx.Kind == types.Uint || ty.Kind == types.Uint:
		return &types.Type{Kind: types.Uint, Addr: addr, Wraps: tx.Wraps || ty.Wraps}
	}
	return &natural
}

// foldInts computes with Starlark's integers; only the result has to fit in 64 bits.
func (c *checker) foldInts(pos syntax.Position, op syntax.Token, x, y *big.Int) expr {
	z := new(big.Int)
	switch op {
	case syntax.PLUS:
		z.Add(x, y)
	case syntax.MINUS:
		z.Sub(x, y)
	case syntax.STAR:
		z.Mul(x, y)
	case syntax.SLASHSLASH, syntax.PERCENT:
		if y.Sign() == 0 {
			return c.bad(pos, "", "%s by zero", map[syntax.Token]string{syntax.SLASHSLASH: "division", syntax.PERCENT: "remainder"}[op])
		}
		q, r := floorDiv(x, y)
		if op == syntax.SLASHSLASH {
			z = q
		} else {
			z = r
		}
	case syntax.AMP:
		z.And(x, y)
	case syntax.PIPE:
		z.Or(x, y)
	case syntax.CIRCUMFLEX:
		z.Xor(x, y)
	case syntax.LTLT, syntax.GTGT:
		if y.Sign() < 0 {
			return c.bad(pos, "", "negative shift count")
		}
		if !y.IsInt64() || y.Int64() > 512 {
			return c.bad(pos, "", "shift count %s is too large", y)
		}
		if op == syntax.LTLT {
			z.Lsh(x, uint(y.Int64()))
		} else {
			z.Rsh(x, uint(y.Int64()))
		}
	default:
		return c.bad(pos, "", "%s is not supported in a handler", op)
	}
	return c.constant(z, pos, "the result")
}

func (c *checker) wantInt(x expr, what string) expr {
	switch {
	case x.typ().IsInt(), x.typ().Kind == types.Invalid:
		return x
	case x.typ().Kind == types.Ptr:
		return &eConvert{node{types.TUint, x.position()}, x}
	case x.typ().IsNumber():
		return number(x)
	case x.typ().Kind == types.Opt:
		return c.bad(x.position(), "compare it with None first: if x != None: ...", "%s may be None", what)
	case x.typ().Kind == types.Bool:
		return c.bad(x.position(), "write int(x)", "%s must be an int, not a bool", what)
	}
	return c.bad(x.position(), "", "%s must be an int, not %s", what, x.typ().WithArticle())
}
