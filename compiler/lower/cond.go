package lower

import (
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// cond jumps to t if x is true, else to f.
func (lw *Lowerer) cond(x tree.Expr, t, f *ir.Block) {
	b := lw.B
	switch x := x.(type) {
	case *tree.ConstExpr:
		if truth, _ := tree.ConstTruth(x.Value); truth {
			b.Jump(t)
		} else {
			b.Jump(f)
		}
		return
	case *tree.NotExpr:
		lw.cond(x.X, f, t)
		return
	case *tree.LogicExpr:
		if x.X.Type().Kind == types.Bool && x.Y.Type().Kind == types.Bool {
			next := b.Block("")
			if x.Op == syntax.AND {
				lw.cond(x.X, next, f)
			} else {
				lw.cond(x.X, t, next)
			}
			b.Continue(next)
			lw.cond(x.Y, t, f)
			return
		}
	case *tree.TruthExpr:
		lw.truth(lw.Value(x.X), t, f)
		return
	case *tree.CompareExpr:
		lw.compare(x, t, f)
		return
	case *tree.ContainsExpr:
		lw.contains(x, t, f)
		return
	case *tree.MethodExpr:
		if row := lw.rows.method(x); row.Jump != nil {
			row.Jump(lw, x, t, f)
			return
		}
	case *tree.InExpr:
		if x.Not {
			t, f = f, t
		}
		lw.search(x.X, x.List, func(int) { b.Jump(t) }, f)
		return
	}
	b.If(ir.NE, lw.Value(x).W, b.Const(0), t, f)
}

// truth jumps by the truth of a value.
func (lw *Lowerer) truth(v Val, t, f *ir.Block) {
	b := lw.B
	switch v.T.Kind {
	case types.Opt:
		some := b.Block("some")
		b.If(ir.NE, v.has, b.Const(0), some, f)
		b.Continue(some)
		lw.truth(*v.inner, t, f)
	case types.Formatted:
		if !v.T.Format.Numeric && !v.T.Format.Empty {
			b.Jump(t)
			return
		}
		for len(v.Elems) > 0 {
			v = v.Elems[0]
		}
		b.If(ir.NE, v.W, b.Const(0), t, f)
	case types.Str:
		if v.T.NULs {
			lw.nonZero(text{Val: v}, t, f)
			return
		}
		b.If(ir.NE, b.Load(v.mem.base, v.mem.off, 1, false), b.Const(0), t, f)
	case types.Tuple:
		if len(v.Elems) > 0 {
			b.Jump(t)
		} else {
			b.Jump(f)
		}
	case types.None:
		b.Jump(f)
	default:
		b.If(ir.NE, v.W, b.Const(0), t, f)
	}
}

func (lw *Lowerer) compare(x *tree.CompareExpr, t, f *ir.Block) {
	switch {
	case x.Op == syntax.NEQ:
		lw.equal(x.X, x.Y, f, t)
	case x.Op == syntax.EQL:
		lw.equal(x.X, x.Y, t, f)
	case x.X.Type().InMemory():
		lw.order(x.Op, lw.text(x.X), lw.text(x.Y), t, f)
	default:
		a, c := lw.Value(x.X), lw.Value(x.Y)
		lw.CompareInts(x.Op, a.W, operandType(x.X, x.Y), c.W, operandType(x.Y, x.X), t, f)
	}
}

// operandType returns the type of x in a comparison with y: a constant that is not negative takes
// y's type.
func operandType(x, y tree.Expr) *types.Type {
	if _, ok := x.(*tree.ConstExpr); ok && x.Type().Kind == types.Int && tree.SmallConst(x) {
		return y.Type()
	}
	return x.Type()
}

// equal compares two expressions; strings are built in memory only if they are not constants.
func (lw *Lowerer) equal(x, y tree.Expr, t, f *ir.Block) {
	if k, ok := x.(*tree.ConstExpr); ok && k.T.Kind != types.None {
		x, y = y, x
	}
	if k, ok := y.(*tree.ConstExpr); ok {
		lw.equalConst(lw.Value(x), k.Value, t, f)
		return
	}
	if x.Type().Kind == types.None {
		x, y = y, x
	}
	if y.Type().Kind == types.None {
		lw.equalConst(lw.Value(x), nil, t, f)
		return
	}
	lw.equalVals(lw.Value(x), lw.Value(y), t, f)
}

// equalConst compares a value with a constant.
func (lw *Lowerer) equalConst(v Val, k any, t, f *ir.Block) {
	b := lw.B
	if v.T.Kind == types.Opt {
		if k == nil {
			b.If(ir.EQ, v.has, b.Const(0), t, f)
			return
		}
		some := b.Block("some")
		b.If(ir.NE, v.has, b.Const(0), some, f)
		b.Continue(some)
		lw.equalConst(*v.inner, k, t, f)
		return
	}
	switch k := k.(type) {
	case nil:
		if v.T.Kind == types.None {
			b.Jump(t)
		} else {
			b.Jump(f)
		}
	case string:
		lw.equalStr(v, k, t, f)
	case tree.Bytes:
		lw.equalStr(v, string(k), t, f)
	case tree.Tuple:
		for i, e := range k {
			next := b.Block("")
			lw.equalConst(v.Elems[i], e, next, f)
			b.Continue(next)
			if b.Dead() {
				return
			}
		}
		b.Jump(t)
	case *big.Int:
		if outside(k, v.T) {
			b.Jump(f)
			return
		}
		b.If(ir.EQ, v.W, b.Const(tree.Word(k)), t, f)
	default:
		b.If(ir.EQ, v.W, b.Const(tree.Word(k)), t, f)
	}
}

// outside reports whether no value of the type can equal the number.
func outside(k *big.Int, t *types.Type) bool {
	if t.Underlying().Kind == types.Int {
		return !k.IsInt64()
	}
	return !k.IsUint64()
}

// equalVals compares two values of comparable types.
func (lw *Lowerer) equalVals(x, y Val, t, f *ir.Block) {
	b := lw.B
	switch {
	case x.T.Kind == types.Opt || y.T.Kind == types.Opt:
		if x.T.Kind != types.Opt {
			x, y = y, x
		}
		some := b.Block("some")
		if y.T.Kind == types.Opt {
			none, x1 := b.Block("none"), b.Block("")
			b.If(ir.EQ, x.has, b.Const(0), none, x1)
			b.Continue(none)
			b.If(ir.EQ, y.has, b.Const(0), t, f)
			b.Continue(x1)
			b.If(ir.NE, y.has, b.Const(0), some, f)
			b.Continue(some)
			lw.equalVals(*x.inner, *y.inner, t, f)
			return
		}
		b.If(ir.NE, x.has, b.Const(0), some, f)
		b.Continue(some)
		lw.equalVals(*x.inner, y, t, f)
	case x.T.Underlying().Kind == types.Tuple:
		for i := range x.Elems {
			next := b.Block("")
			lw.equalVals(x.Elems[i], y.Elems[i], next, f)
			b.Continue(next)
			if b.Dead() {
				return
			}
		}
		b.Jump(t)
	case x.T.InMemory():
		lw.equalText(text{Val: x}, text{Val: y}, t, f)
	case x.T.Kind == types.None:
		b.Jump(t)
	case x.T.IsInt() && y.T.IsInt():
		lw.CompareInts(syntax.EQL, x.W, x.T, y.W, y.T, t, f)
	default:
		b.If(ir.EQ, x.W, y.W, t, f)
	}
}

var signedCond = map[syntax.Token]ir.Cond{syntax.EQL: ir.EQ, syntax.LT: ir.SLT, syntax.LE: ir.SLE, syntax.GT: ir.SGT, syntax.GE: ir.SGE}
var unsignedCond = map[syntax.Token]ir.Cond{syntax.EQL: ir.EQ, syntax.LT: ir.ULT, syntax.LE: ir.ULE, syntax.GT: ir.UGT, syntax.GE: ir.UGE}

// CompareInts compares two integers by value, even if one is signed and the other unsigned: a
// negative number is less than all unsigned ones. A number that is never negative is treated as
// unsigned when compared with an unsigned one, even if it has wrapped.
func (lw *Lowerer) CompareInts(op syntax.Token, x *ir.Value, tx *types.Type, y *ir.Value, ty *types.Type, t, f *ir.Block) {
	b := lw.B
	ux, uy := tx.Kind == types.Uint, ty.Kind == types.Uint
	ux, uy = ux || uy && tx.NonNeg, uy || ux && ty.NonNeg
	switch {
	case ux && uy:
		b.If(unsignedCond[op], x, y, t, f)
	case !ux && !uy:
		b.If(signedCond[op], x, y, t, f)
	default:
		signed := x
		below := op == syntax.LT || op == syntax.LE // the result if x is the negative one
		if ux {
			signed = y
			below = op == syntax.GT || op == syntax.GE
		}
		pos := b.Block("positive")
		if below {
			b.If(ir.SLT, signed, b.Const(0), t, pos)
		} else {
			b.If(ir.SLT, signed, b.Const(0), f, pos)
		}
		b.Continue(pos)
		b.If(unsignedCond[op], x, y, t, f)
	}
}

// dict lowers the lookup of a key in a captured dict.
func (lw *Lowerer) dict(e *tree.DictExpr) Val {
	b := lw.B
	c := lw.newHome(e.T, "dict")
	done, miss := b.Block(""), b.Block("missing")
	var of Val
	if e.Of != nil {
		of = lw.Value(e.Of)
	}
	x, def := e.X, e.Def
	if def != nil && acts(def) {
		x = lw.early(x)
		def = lw.early(def)
	}
	lw.search(x, e.Dict.Keys, func(i int) {
		if e.Of != nil {
			lw.setVal(c, lw.convert(of.Elems[i%len(of.Elems)], e.T))
		} else {
			k := &tree.ConstExpr{Node: tree.At(tree.ConstType(e.Dict.Vals[i]), e.Pos), Value: e.Dict.Vals[i]}
			lw.set(c, tree.Convert(k, e.T))
		}
		b.Jump(done)
	}, miss)
	b.Continue(miss)
	if !b.Dead() {
		if def != nil {
			lw.set(c, def)
			b.Jump(done)
		} else {
			b.B.Cold = true
			errno := errNoEnt
			if e.Index {
				errno = errRange
			}
			lw.Fail(Site{Pos: e.Pos, Op: "[]", Ends: true}, b.Const(int64(-errno)))
			b.Jump(lw.end)
		}
	}
	b.Continue(done)
	return lw.get(c)
}
