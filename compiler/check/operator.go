package check

import (
	"math/big"
	"slices"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func (c *Checker) unary(pos syntax.Position, op syntax.Token, x tree.Expr) tree.Expr {
	x = c.WantInt(x, "the operand of "+op.String())
	if x.Type().Kind == types.Invalid || op == syntax.PLUS {
		return x
	}
	if k, ok := x.(*tree.ConstExpr); ok {
		n := new(big.Int)
		if op == syntax.MINUS {
			n.Neg(k.Value.(*big.Int))
		} else {
			n.Not(k.Value.(*big.Int))
		}
		return c.Constant(n, pos, "the result")
	}
	return &tree.UnaryExpr{Node: tree.At(types.TInt, pos), Op: op, X: x}
}

// binary checks arithmetic. As documented for users, results are signed 64-bit integers unless the
// source is unsigned and the operation keeps it so. A difference is signed: a - b of two sizes may
// be negative.
func (c *Checker) binary(pos syntax.Position, op syntax.Token, x, y tree.Expr) tree.Expr {
	if x.Type().Kind == types.Invalid || y.Type().Kind == types.Invalid {
		return tree.Invalid(pos)
	}
	if op == syntax.SLASH {
		return c.Bad(pos, "write // for the quotient without a fraction", "a handler has no floats, so / is not supported")
	}
	switch {
	case op == syntax.PLUS && isText(x.Type()) && isText(y.Type()):
		return c.concat(pos, x, y)
	case op == syntax.PERCENT && x.Type().Kind == types.Str:
		return c.percent(pos, x, y)
	}
	if list := addedLists(op, x, y); list != nil {
		return c.Constant(list, pos, "the list")
	}
	for _, e := range []tree.Expr{x, y} {
		if e.Type().IsEither() && (isText(x.Type()) || isText(y.Type())) {
			return c.Bad(pos, "give each text a name of its own, and add to it where it is made", "a handler cannot combine %s with %s", e.Type().WithArticle(), op)
		}
	}
	if x.Type().InMemory() || y.Type().InMemory() || x.Type().IsText() || y.Type().IsText() {
		kx, ok1 := x.(*tree.ConstExpr)
		ky, ok2 := y.(*tree.ConstExpr)
		if op == syntax.PLUS && ok1 && ok2 && x.Type().Kind == y.Type().Kind {
			return c.Constant(kx.Value.(tree.Bytes)+ky.Value.(tree.Bytes), pos, "the bytes")
		}
		hint := "make strings on the host; use a tuple as key: by=(a, b)"
		what := "strings"
		if op == syntax.PLUS {
			hint = `only strings are added to strings; write the text of another value with sprintf("%s%d", s, n)`
		}
		if op == syntax.PLUS && (x.Type().Kind == types.Bytes || y.Type().Kind == types.Bytes) {
			hint = "use a tuple as key: by=(a, b)"
		}
		if x.Type().Kind == types.Bytes || y.Type().Kind == types.Bytes {
			what = "bytes"
		}
		return c.Bad(pos, hint, "%s cannot be combined with %s in a handler", what, op)
	}
	moved := movedPointer(op, x, y)
	x = c.WantInt(x, "the left side of "+op.String())
	y = c.WantInt(y, "the right side of "+op.String())
	if x.Type().Kind == types.Invalid || y.Type().Kind == types.Invalid {
		return tree.Invalid(pos)
	}
	if moved != nil {
		return &tree.BinaryExpr{Node: tree.At(moved, pos), Op: op, X: x, Y: y}
	}
	kx, cx := x.(*tree.ConstExpr)
	ky, cy := y.(*tree.ConstExpr)
	if cx && cy {
		return c.foldInts(pos, op, kx.Value.(*big.Int), ky.Value.(*big.Int))
	}
	if cy && (op == syntax.SLASHSLASH || op == syntax.PERCENT) && ky.Value.(*big.Int).Sign() == 0 {
		return c.Bad(pos, "", "%s by zero", map[syntax.Token]string{syntax.SLASHSLASH: "division", syntax.PERCENT: "remainder"}[op])
	}
	if cy && (op == syntax.LTLT || op == syntax.GTGT) && ky.Value.(*big.Int).Sign() < 0 {
		return c.Bad(pos, "", "negative shift count")
	}
	return &tree.BinaryExpr{Node: tree.At(arithType(op, x, y), pos), Op: op, X: x, Y: y}
}

// movedPointer returns the type of a pointer that arithmetic moves, or nil if the result is a
// number. The pointer stays in its memory. It moves by bytes, so the type it points to afterwards
// is unknown.
func movedPointer(op syntax.Token, x, y tree.Expr) *types.Type {
	p, other := x, y
	if p.Type().Kind != types.Ptr {
		p, other = y, x
	}
	if p.Type().Kind != types.Ptr || other.Type().Kind == types.Ptr || !other.Type().IsInt() && !other.Type().IsNumber() {
		return nil
	}
	switch k, ok := other.(*tree.ConstExpr); {
	case op == syntax.PLUS, op == syntax.PIPE, op == syntax.MINUS && p == x:
	case op == syntax.AMP && ok && (k.Value.(*big.Int).Sign() < 0 || !k.Value.(*big.Int).IsInt64()): // p & ~7
	default:
		return nil
	}
	return &types.Type{Kind: types.Ptr, Space: p.Type().Space, Text: "void *"}
}

func arithType(op syntax.Token, x, y tree.Expr) *types.Type {
	tx, ty := x.Type(), y.Type()
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
		case tree.UnsignedOperand(x) && tx.Kind == types.Int, tree.UnsignedOperand(y) && ty.Kind == types.Int:
			return types.TNat
		case tx.NonNeg, ty.NonNeg:
			return &natural
		}
	case syntax.LTLT, syntax.GTGT:
		return &types.Type{Kind: tx.Kind, Addr: tx.Addr, NonNeg: tx.NonNeg, Wraps: tx.Wraps || tx.NonNeg && op == syntax.LTLT}
	case syntax.SLASHSLASH:
		if k, ok := y.(*tree.ConstExpr); ok && k.Value.(*big.Int).Cmp(big.NewInt(1)) > 0 && tx.Kind == types.Uint {
			return types.TNat // below 2**63
		}
	case syntax.PERCENT:
		if tree.SmallConst(y) {
			return types.TNat
		}
		if tx.Kind == types.Int && ty.NonNeg {
			return &types.Type{Kind: types.Int, NonNeg: true, Wraps: ty.Wraps}
		}
	case syntax.PLUS, syntax.STAR:
		natural.Wraps = true
	}
	switch {
	case !tree.NeverNegative(x) || !tree.NeverNegative(y):
		return signed
	case tx.Kind == types.Uint || ty.Kind == types.Uint:
		return &types.Type{Kind: types.Uint, Addr: addr, Wraps: tx.Wraps || ty.Wraps}
	}
	return &natural
}

// foldInts computes with Starlark's integers; only the result has to fit in 64 bits.
func (c *Checker) foldInts(pos syntax.Position, op syntax.Token, x, y *big.Int) tree.Expr {
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
			return c.Bad(pos, "", "%s by zero", map[syntax.Token]string{syntax.SLASHSLASH: "division", syntax.PERCENT: "remainder"}[op])
		}
		q, r := tree.FloorDiv(x, y)
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
			return c.Bad(pos, "", "negative shift count")
		}
		if !y.IsInt64() || y.Int64() > 512 {
			return c.Bad(pos, "", "shift count %s is too large", y)
		}
		if op == syntax.LTLT {
			z.Lsh(x, uint(y.Int64()))
		} else {
			z.Rsh(x, uint(y.Int64()))
		}
	default:
		return c.Bad(pos, "", "%s is not supported in a handler", op)
	}
	return c.Constant(z, pos, "the result")
}

// WantInt converts x to an int, or reports an error if it is not one. what names x in the message.
func (c *Checker) WantInt(x tree.Expr, what string) tree.Expr {
	switch {
	case x.Type().IsInt(), x.Type().Kind == types.Invalid:
		return x
	case x.Type().Kind == types.Ptr:
		return &tree.ConvertExpr{Node: tree.At(types.TUint, x.Position()), X: x}
	case x.Type().IsNumber():
		return tree.Number(x)
	case x.Type().Kind == types.Opt:
		return c.Bad(x.Position(), "compare it with None first: if x != None: ...", "%s may be None", what)
	case x.Type().Kind == types.Bool:
		return c.Bad(x.Position(), "write int(x)", "%s must be an int, not a bool", what)
	}
	return c.Bad(x.Position(), "", "%s must be an int, not %s", what, x.Type().WithArticle())
}

// addedLists returns x + y of two constant lists or tuples, or nil.
func addedLists(op syntax.Token, x, y tree.Expr) any {
	kx, ok1 := x.(*tree.ConstExpr)
	ky, ok2 := y.(*tree.ConstExpr)
	if op != syntax.PLUS || !ok1 || !ok2 {
		return nil
	}
	switch a := kx.Value.(type) {
	case tree.List:
		if b, ok := ky.Value.(tree.List); ok {
			return slices.Concat(a, b)
		}
	case tree.Tuple:
		if b, ok := ky.Value.(tree.Tuple); ok {
			return slices.Concat(a, b)
		}
	}
	return nil
}

// An Arithmetic has the result types of a function's operations, so that an interpreter can wrap
// numbers as the compiled function does. A function has one Arithmetic per call, because its types
// depend on the arguments.
type Arithmetic struct {
	// Results has the types of operations, index expressions, slices and calls, by the position of
	// the operator, "[" or "(". Code that the checker did not reach has no entry.
	Results map[syntax.Position]*types.Type
	// Calls has the Arithmetic of each called function, by the position of the "(".
	Calls map[syntax.Position]*Arithmetic
}

// RecordArithmetic checks the handler of a request and returns its Arithmetic. The error is a
// diag.List.
func RecordArithmetic(rows *Tables, req *tree.Request) (*Arithmetic, error) {
	c := New(rows, req)
	c.noting = true
	c.program()
	if len(c.Diags) > 0 {
		return nil, c.Diags.Sort()
	}
	return c.arith, nil
}

// newArithmetic returns an Arithmetic for a function called at pos. If up, the caller's frame, is
// not nil, it is entered in the caller's Calls.
func newArithmetic(up *frame, pos syntax.Position) *Arithmetic {
	a := &Arithmetic{Results: map[syntax.Position]*types.Type{}, Calls: map[syntax.Position]*Arithmetic{}}
	if up != nil {
		up.arith.Calls[pos] = a
	}
	return a
}

// note records the type of an expression and returns the expression. Functions are checked
// repeatedly until no type grows; the last record counts.
func (c *Checker) note(pos syntax.Position, e tree.Expr) tree.Expr {
	if c.frame.arith != nil {
		c.frame.arith.Results[pos] = e.Type()
	}
	return e
}
