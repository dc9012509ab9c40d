package compiler

import (
	"math"
	"math/big"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func (c *checker) badNUL(pos syntax.Position, v any) expr {
	return c.bad(pos, `bytes keep trailing NULs: b"..."`, "a string in a handler cannot end in a NUL: %s", constText(v))
}

// contains checks x in y for a string or bytes y.
func (c *checker) contains(pos syntax.Position, x, y expr, not bool) expr {
	tx, ty := x.typ(), y.typ()
	if ty.Kind == types.Str && tx.Kind != types.Str || ty.Kind == types.Bytes && tx.Kind != types.Bytes && !tx.IsInt() {
		if tx.Kind == types.Opt {
			return c.bad(pos, "compare it with None first: if x != None: ...", "the left side of in may be None")
		}
		return c.bad(pos, usage(tx), "%s cannot be searched for %s", types.WithArticle(ty.Kind.Noun()), tx.WithArticle())
	}
	kx, cx := x.(*eConst)
	ky, cy := y.(*eConst)
	if n, isInt := constInt(x); isInt && (!n.IsInt64() || n.Int64() < 0 || n.Int64() > 255) {
		return c.bad(x.position(), "", "a byte must be from 0 to 255, got %s", n)
	}
	if cx && cy && !tx.IsInt() {
		return boolConst(strings.Contains(constString(ky.v), constString(kx.v)) != not, pos)
	}
	if cx {
		if most, s, cut := cutBelow(ty, kx.v); cut {
			c.tooLong(pos, y, most, s)
			return invalid(pos)
		}
	}
	words := 1
	switch {
	case cx && !tx.IsInt():
		words = (len(constString(kx.v)) + 7) / 8
	case tx.InMemory():
		words = tx.Cap / 8
	}
	if places := ty.Cap; words*places > maxSearchWork {
		most := maxSearchWork / places * 8
		return c.bad(pos, "shorten one of them: str(ptr, 64)", "the search is too long for a handler: in %d bytes it can look for at most %d", places, most)
	}
	var e expr = &eContains{node{types.TBool, pos}, x, y}
	if not {
		e = &eNot{node{types.TBool, pos}, e}
	}
	return e
}

// textIndex checks s[i].
func (c *checker) textIndex(pos syntax.Position, x, i expr) expr {
	i = c.wantInt(i, "the index of "+x.typ().Kind.Noun())
	if i.typ().Kind == types.Invalid {
		return i
	}
	t := types.TStr(1)
	if x.typ().Kind == types.Bytes {
		t = types.TBytes(1)
	}
	n, known := constInt(i)
	if known && !n.IsInt64() {
		return c.bad(i.position(), "indexes start at 0, or at -1 from the end", "index out of range: %s", n)
	}
	k, isConst := x.(*eConst)
	if known && (isConst || x.typ().Kind == types.Bytes) {
		size := int64(x.typ().Len)
		if isConst {
			size = int64(len(constString(k.v)))
		}
		at := new(big.Int).Set(n)
		if at.Sign() < 0 {
			at.Add(at, big.NewInt(size))
		}
		if at.Sign() < 0 || !at.IsInt64() || at.Int64() >= size {
			return c.bad(i.position(), "indexes start at 0, or at -1 from the end", "index out of range: the value has %s", countOf(int(size), "byte"))
		}
		if isConst {
			return c.textConst(k, at.Int64(), at.Int64()+1, pos)
		}
	}
	return &eIndex{node{t, pos}, x, i}
}

// textConst returns the part from lo to hi of a constant string or bytes.
func (c *checker) textConst(k *eConst, lo, hi int64, pos syntax.Position) expr {
	if b, ok := k.v.(Bytes); ok {
		return c.constant(b[lo:hi], pos, "the slice")
	}
	return c.constant(k.v.(string)[lo:hi], pos, "the slice")
}

// slice checks x[lo:hi].
func (c *checker) slice(x *syntax.SliceExpr) expr {
	recv := c.expr(x.X)
	ok := recv.typ().Kind != types.Invalid
	var runtime []expr
	bound := func(e syntax.Expr, def int64, x *expr) int64 {
		if e == nil {
			return def
		}
		v := c.expr(e)
		if v.typ().Kind == types.None {
			return def
		}
		n, isConst := constInt(v)
		switch {
		case v.typ().Kind == types.Invalid:
			ok = false
		case !isConst:
			v = c.wantInt(v, "the bound of a slice")
			ok = ok && v.typ().Kind != types.Invalid
			if runtime = append(runtime, v); x != nil {
				*x = v
			}
		case !n.IsInt64() || n.Int64() == sliceEnd:
			return int64(n.Sign()) * math.MaxInt64
		default:
			return n.Int64()
		}
		return 0
	}
	var xlo, xhi expr
	lo, hi, step := bound(x.Lo, 0, &xlo), bound(x.Hi, sliceEnd, &xhi), bound(x.Step, 1, nil)
	if !ok {
		return invalid(x.Lbrack)
	}
	if step != 1 {
		return c.bad(x.Lbrack, "omit it", "a slice in a handler cannot have a step")
	}
	k, isConst := recv.(*eConst)
	switch {
	case len(runtime) > 0 && recv.typ().Kind == types.Bytes:
		return c.bad(runtime[0].position(), "use constants: b[2:8], b[-4:]; or read a string: str(ptr, n)", "the bounds of a slice of bytes must be constant ints in a handler")
	case len(runtime) > 0 && recv.typ().Kind == types.Str:
		size := recv.typ().Cap - 1
		t := types.TStr(size)
		if recv.typ().NULs {
			t = types.TNULStr(size)
		}
		return &eSlice{node{t, x.Lbrack}, recv, lo, hi, size, xlo, xhi}
	case isConst && recv.typ().InMemory():
		lo, hi = sliceOf(int64(len(constString(k.v))), lo, hi)
		return c.textConst(k, lo, hi, x.Lbrack)
	case recv.typ().Kind == types.Bytes:
		lo, hi = sliceOf(int64(recv.typ().Len), lo, hi)
		return &eSlice{node{types.TBytes(int(hi - lo)), x.Lbrack}, recv, lo, hi, int(hi - lo), nil, nil}
	case recv.typ().Kind == types.Str:
		return c.stringSlice(x.Lbrack, recv, lo, hi)
	}
	return c.bad(x.Lbrack, "take elements by index: (x[0], x[1])", "a handler can slice strings and bytes only, not %s", recv.typ().WithArticle())
}

// sliceOf resolves the bounds of a slice of n bytes, which may be negative or out of range.
func sliceOf(n, lo, hi int64) (int64, int64) {
	at := func(i int64) int64 {
		if i < 0 {
			i += n
		}
		return min(max(i, 0), n)
	}
	if hi == sliceEnd {
		hi = n
	}
	lo, hi = at(lo), at(hi)
	return lo, max(lo, hi)
}

// stringSlice checks a slice of a string with constant bounds. It computes the maximum length of
// the result, as the length of x is known only at run time.
func (c *checker) stringSlice(pos syntax.Position, x expr, lo, hi int64) expr {
	size := int64(x.typ().Cap - 1)
	lo = max(lo, -size)
	var most int64
	switch {
	case lo >= 0 && (hi >= 0 || hi == sliceEnd):
		lo, hi = sliceOf(size, lo, hi)
		most = hi - lo
	case hi == sliceEnd:
		most = -lo
	case hi >= 0:
		hi = min(hi, size)
		most = min(-lo, hi)
	case lo >= 0:
		hi = max(hi, -size)
		most = size + hi - lo
	default:
		hi = max(hi, -size)
		most = hi - lo
	}
	most = min(max(most, 0), size)
	t := types.TStr(int(most))
	if x.typ().NULs {
		t = types.TNULStr(int(most))
	}
	return &eSlice{node{t, pos}, x, lo, hi, int(most), nil, nil}
}
