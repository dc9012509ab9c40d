package check

import (
	"math"
	"math/big"
	"slices"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/plural"
)

// contains checks x in y for a string or bytes y.
func (c *Checker) contains(pos syntax.Position, x, y tree.Expr, not bool) tree.Expr {
	tx, ty := x.Type(), y.Type()
	if ty.Kind == types.Str && tx.Kind != types.Str || ty.Kind == types.Bytes && tx.Kind != types.Bytes && !tx.IsInt() {
		if tx.Kind == types.Opt {
			return c.Bad(pos, "compare it with None first: if x != None: ...", "the left side of in may be None")
		}
		return c.Bad(pos, UsageHint(tx), "%s cannot be searched for %s", types.WithArticle(ty.Kind.Noun()), tx.WithArticle())
	}
	kx, cx := x.(*tree.ConstExpr)
	ky, cy := y.(*tree.ConstExpr)
	if n, isInt := tree.ConstInt(x); isInt && (!n.IsInt64() || n.Int64() < 0 || n.Int64() > 255) {
		return c.Bad(x.Position(), "", "a byte must be from 0 to 255, got %s", n)
	}
	if cx && cy && !tx.IsInt() {
		return tree.BoolConst(strings.Contains(tree.ConstString(ky.Value), tree.ConstString(kx.Value)) != not, pos)
	}
	if cx {
		if most, s, cut := cutBelow(ty, kx.Value); cut {
			c.tooLong(pos, y, most, s)
			return tree.Invalid(pos)
		}
	}
	words := 1
	switch {
	case cx && !tx.IsInt():
		words = (len(tree.ConstString(kx.Value)) + 7) / 8
	case tx.InMemory():
		words = tx.Cap / 8
	}
	if places := ty.Cap; words*places > tree.MaxSearchWork {
		most := tree.MaxSearchWork / places * 8
		return c.Bad(pos, "shorten one of them: str(ptr, 64)", "the search is too long for a handler: in %d bytes it can look for at most %d", places, most)
	}
	var e tree.Expr = &tree.ContainsExpr{Node: tree.At(types.TBool, pos), X: x, Y: y}
	if not {
		e = &tree.NotExpr{Node: tree.At(types.TBool, pos), X: e}
	}
	return e
}

// textIndex checks s[i].
func (c *Checker) textIndex(pos syntax.Position, x, i tree.Expr) tree.Expr {
	i = c.WantInt(i, "the index of "+x.Type().Kind.Noun())
	if i.Type().Kind == types.Invalid {
		return i
	}
	t := types.TStr(1)
	if x.Type().Kind == types.Bytes {
		t = types.TBytes(1)
	}
	n, known := tree.ConstInt(i)
	if known && !n.IsInt64() {
		return c.Bad(i.Position(), "indexes start at 0, or at -1 from the end", "index out of range: %s", n)
	}
	k, isConst := x.(*tree.ConstExpr)
	if known && (isConst || x.Type().Kind == types.Bytes) {
		size := int64(x.Type().Len)
		if isConst {
			size = int64(len(tree.ConstString(k.Value)))
		}
		at := new(big.Int).Set(n)
		if at.Sign() < 0 {
			at.Add(at, big.NewInt(size))
		}
		if at.Sign() < 0 || !at.IsInt64() || at.Int64() >= size {
			return c.Bad(i.Position(), "indexes start at 0, or at -1 from the end", "index out of range: the value has %s", plural.Of(int(size), "byte"))
		}
		if isConst {
			return c.textConst(k, at.Int64(), at.Int64()+1, pos)
		}
	}
	return &tree.IndexExpr{Node: tree.At(t, pos), X: x, I: i}
}

// textConst returns the part from lo to hi of a constant string or bytes.
func (c *Checker) textConst(k *tree.ConstExpr, lo, hi int64, pos syntax.Position) tree.Expr {
	if b, ok := k.Value.(tree.Bytes); ok {
		return c.Constant(b[lo:hi], pos, "the slice")
	}
	return c.Constant(k.Value.(string)[lo:hi], pos, "the slice")
}

// slice checks x[lo:hi].
func (c *Checker) slice(x *syntax.SliceExpr) tree.Expr {
	recv := c.expr(x.X)
	ok := recv.Type().Kind != types.Invalid
	var runtime []tree.Expr
	bound := func(e syntax.Expr, def int64, x *tree.Expr) int64 {
		if e == nil {
			return def
		}
		v := c.expr(e)
		if v.Type().Kind == types.None {
			return def
		}
		n, isConst := tree.ConstInt(v)
		switch {
		case v.Type().Kind == types.Invalid:
			ok = false
		case !isConst:
			v = c.WantInt(v, "the bound of a slice")
			ok = ok && v.Type().Kind != types.Invalid
			if runtime = append(runtime, v); x != nil {
				*x = v
			}
		case !n.IsInt64() || n.Int64() == tree.SliceEnd:
			return int64(n.Sign()) * math.MaxInt64
		default:
			return n.Int64()
		}
		return 0
	}
	var xlo, xhi tree.Expr
	lo, hi, step := bound(x.Lo, 0, &xlo), bound(x.Hi, tree.SliceEnd, &xhi), bound(x.Step, 1, nil)
	if !ok {
		return tree.Invalid(x.Lbrack)
	}
	if step != 1 {
		return c.Bad(x.Lbrack, "omit it", "a slice in a handler cannot have a step")
	}
	k, isConst := recv.(*tree.ConstExpr)
	switch {
	case len(runtime) > 0 && recv.Type().Kind == types.Bytes:
		return c.Bad(runtime[0].Position(), "use constants: b[2:8], b[-4:]; or read a string: str(ptr, n)", "the bounds of a slice of bytes must be constant ints in a handler")
	case len(runtime) > 0 && recv.Type().Kind == types.Str:
		size := recv.Type().Cap - 1
		t := types.TStr(size)
		if recv.Type().NULs {
			t = types.TNULStr(size)
		}
		return &tree.SliceExpr{Node: tree.At(t, x.Lbrack), X: recv, Lo: lo, Hi: hi, Most: size, XLo: xlo, XHi: xhi}
	case isConst && len(runtime) == 0 && (recv.Type().Kind == types.List || recv.Type().Kind == types.Tuple):
		list, _ := tree.ConstElems(k.Value)
		lo, hi = sliceOf(int64(len(list)), lo, hi)
		if recv.Type().Kind == types.Tuple {
			return c.Constant(tree.Tuple(list[lo:hi]), x.Lbrack, "the slice")
		}
		return c.Constant(tree.List(list[lo:hi]), x.Lbrack, "the slice")
	case isConst && recv.Type().InMemory():
		lo, hi = sliceOf(int64(len(tree.ConstString(k.Value))), lo, hi)
		return c.textConst(k, lo, hi, x.Lbrack)
	case recv.Type().Kind == types.Bytes:
		lo, hi = sliceOf(int64(recv.Type().Len), lo, hi)
		return &tree.SliceExpr{Node: tree.At(types.TBytes(int(hi-lo)), x.Lbrack), X: recv, Lo: lo, Hi: hi, Most: int(hi - lo), XLo: nil, XHi: nil}
	case recv.Type().Kind == types.Str:
		return c.StringSlice(x.Lbrack, recv, lo, hi)
	}
	return c.Bad(x.Lbrack, "take elements by index: (x[0], x[1])", "a handler can slice strings and bytes only, not %s", recv.Type().WithArticle())
}

// sliceOf resolves the bounds of a slice of n bytes, which may be negative or out of range.
func sliceOf(n, lo, hi int64) (int64, int64) {
	at := func(i int64) int64 {
		if i < 0 {
			i += n
		}
		return min(max(i, 0), n)
	}
	if hi == tree.SliceEnd {
		hi = n
	}
	lo, hi = at(lo), at(hi)
	return lo, max(lo, hi)
}

// StringSlice checks a slice of a string with constant bounds. It computes the maximum length of
// the result, as the length of x is known only at run time.
func (c *Checker) StringSlice(pos syntax.Position, x tree.Expr, lo, hi int64) tree.Expr {
	size := int64(x.Type().Cap - 1)
	lo = max(lo, -size)
	var most int64
	switch {
	case lo >= 0 && (hi >= 0 || hi == tree.SliceEnd):
		lo, hi = sliceOf(size, lo, hi)
		most = hi - lo
	case hi == tree.SliceEnd:
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
	if x.Type().NULs {
		t = types.TNULStr(int(most))
	}
	return &tree.SliceExpr{Node: tree.At(t, pos), X: x, Lo: lo, Hi: hi, Most: int(most), XLo: nil, XHi: nil}
}

// Affix checks startswith and endswith, whose argument may be a tuple.
func Affix(c *Checker, e *tree.MethodExpr) tree.Expr {
	arg := e.Args[0]
	var list []tree.Expr
	switch a := arg.(type) {
	case *tree.ConstExpr:
		list = []tree.Expr{a}
		if tup, ok := a.Value.(tree.Tuple); ok && a.T.Kind == types.Tuple {
			list = nil
			for i, v := range tup {
				list = append(list, &tree.ConstExpr{Node: tree.At(a.T.Elems[i], a.Pos), Value: v})
			}
		}
	case *tree.TupleExpr:
		list = a.Elems
	default:
		list = []tree.Expr{arg}
	}
	known, all := false, true
	for _, p := range list {
		if p.Type().Kind != types.Str {
			hint := ""
			if p.Type().Kind == types.List {
				hint = "a tuple is allowed here: (" + `"a", "b")`
			}
			return c.Bad(p.Position(), hint, "%s needs a string or a tuple of strings, not %s", e.Name, p.Type().WithArticle())
		}
		kr, ok1 := e.X.(*tree.ConstExpr)
		kp, ok2 := p.(*tree.ConstExpr)
		if ok2 {
			if most, s, cut := cutBelow(e.X.Type(), kp.Value); cut {
				c.tooLong(p.Position(), e.X, most, s)
				return tree.Invalid(e.Pos)
			}
		}
		if !ok1 || !ok2 {
			all = false
			continue
		}
		has := strings.HasPrefix
		if e.Name == "endswith" {
			has = strings.HasSuffix
		}
		known = known || has(kr.Value.(string), kp.Value.(string))
	}
	if all {
		return tree.BoolConst(known, e.Pos)
	}
	e.Args = list
	e.T = types.TBool
	return e
}

// FormattedAffix checks startswith and endswith of a value that the host shows as a name. It
// compares the value with the numbers of all names that match.
func FormattedAffix(c *Checker, e *tree.MethodExpr) tree.Expr {
	t := e.X.Type()
	var all map[int64]string
	if names := requestFormats[t.Format.Name].names; names != nil {
		all = names(c)
	} else if names := t.Format.Row().Names; names != nil {
		all = names(t.Format)
	} else {
		return c.Bad(e.Pos, t.Format.Row().Hint, "%s() of %s: its text is produced on the host", e.Name, t.WithArticle())
	}
	k, ok := e.Args[0].(*tree.ConstExpr)
	var affixes []string
	if ok {
		switch v := k.Value.(type) {
		case string:
			affixes = []string{v}
		case tree.Tuple:
			for _, x := range v {
				s, isStr := x.(string)
				ok = ok && isStr
				affixes = append(affixes, s)
			}
		default:
			ok = false
		}
	}
	if !ok {
		return c.Bad(e.Args[0].Position(), "", "%s() of %s takes a constant string, or a tuple of these", e.Name, t.WithArticle())
	}
	has := strings.HasPrefix
	if e.Name == "endswith" {
		has = strings.HasSuffix
	}
	var list []any
	for n, name := range all {
		if slices.ContainsFunc(affixes, func(s string) bool { return has(name, s) }) {
			list = append(list, big.NewInt(n))
		}
	}
	slices.SortFunc(list, func(a, b any) int { return a.(*big.Int).Cmp(b.(*big.Int)) })
	if v, ok := e.X.(*tree.ConstExpr); ok {
		return tree.BoolConst(slices.ContainsFunc(list, func(n any) bool { return n.(*big.Int).Cmp(v.Value.(*big.Int)) == 0 }), e.Pos)
	}
	return &tree.InExpr{Node: tree.At(types.TBool, e.Pos), X: &tree.ConvertExpr{Node: tree.At(t.Elem, e.Pos), X: e.X}, List: list, Not: false}
}
