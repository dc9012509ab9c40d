package ir

// fold evaluates what is constant: arithmetic on constants, operations that change nothing, and
// phis of one value. It repeats until nothing changes.
func fold(f *Func) {
	for {
		r := newReplacement(f)
		for _, b := range f.Blocks {
			for _, phi := range b.Phis {
				if v := samePhi(phi, r); v != nil {
					r.put(phi, v)
				}
			}
			for _, v := range b.Values {
				if w := foldValue(f, v, r); w != nil {
					r.put(v, w)
				}
			}
		}
		replaceAll(f, r)
		if r.n == 0 {
			return
		}
	}
}

// samePhi returns the value that a phi has on every path, or nil.
func samePhi(phi *Value, r *replacement) *Value {
	var same *Value
	for i, a := range phi.Args {
		a = r.get(a)
		phi.Args[i] = a
		if a == phi || same != nil && (a == same || a.Op == OpConst && same.Op == OpConst && a.Imm == same.Imm) {
			continue
		}
		if same != nil {
			return nil
		}
		same = a
	}
	return same
}

// foldValue returns the constant or the argument that v is equal to, or nil.
func foldValue(f *Func, v *Value, r *replacement) *Value {
	if v.Op < OpAdd || v.Op > OpNeg {
		return nil
	}
	for i, a := range v.Args {
		v.Args[i] = r.get(a)
	}
	constant := func(n int64) *Value {
		c := f.NewValue(OpConst)
		c.Imm = n
		return c
	}
	x, xc := v.Args[0].IsConst()
	if v.Op == OpNeg {
		if xc {
			return constant(-x)
		}
		return nil
	}
	y, yc := v.Args[1].IsConst()
	if xc && yc {
		if n, ok := eval(v.Op, x, y); ok {
			return constant(n)
		}
		return nil
	}
	if xc && !yc && commutes(v.Op) { // constants to the right, where instructions take them
		v.Args[0], v.Args[1] = v.Args[1], v.Args[0]
		x, xc, y, yc = 0, false, x, true
	}
	if !yc {
		return nil
	}
	switch {
	case y == 0 && (v.Op == OpAdd || v.Op == OpSub || v.Op == OpOr || v.Op == OpXor || v.Op == OpShl || v.Op == OpLShr || v.Op == OpAShr),
		y == 1 && (v.Op == OpMul || v.Op == OpUDiv),
		y == -1 && v.Op == OpAnd:
		return v.Args[0]
	case y == 0 && (v.Op == OpMul || v.Op == OpAnd), y == 1 && v.Op == OpUMod:
		return constant(0)
	}
	strength(f, v, y)
	return nil
}

// strength turns unsigned multiplication and division by powers of two into shifts and masks.
func strength(f *Func, v *Value, y int64) {
	if y <= 0 || y&(y-1) != 0 {
		return
	}
	n := int64(0)
	for y>>n != 1 {
		n++
	}
	c := f.NewValue(OpConst)
	switch v.Op {
	case OpMul:
		v.Op, c.Imm = OpShl, n
	case OpUDiv:
		v.Op, c.Imm = OpLShr, n
	case OpUMod:
		v.Op, c.Imm = OpAnd, y-1
	default:
		return
	}
	v.Args[1] = c
}

func commutes(op Op) bool {
	switch op {
	case OpAdd, OpMul, OpAnd, OpOr, OpXor:
		return true
	}
	return false
}

// eval evaluates a binary operation as the BPF machine does. It returns false for a division by
// zero and for shifts by 64 or more, which lowering never lets happen at run time.
func eval(op Op, x, y int64) (int64, bool) {
	switch op {
	case OpAdd:
		return x + y, true
	case OpSub:
		return x - y, true
	case OpMul:
		return x * y, true
	case OpAnd:
		return x & y, true
	case OpOr:
		return x | y, true
	case OpXor:
		return x ^ y, true
	}
	switch {
	case op == OpUDiv && y != 0:
		return int64(uint64(x) / uint64(y)), true
	case op == OpUMod && y != 0:
		return int64(uint64(x) % uint64(y)), true
	case uint64(y) > 63:
		return 0, false
	case op == OpShl:
		return x << y, true
	case op == OpLShr:
		return int64(uint64(x) >> y), true
	case op == OpAShr:
		return x >> y, true
	}
	return 0, false
}
