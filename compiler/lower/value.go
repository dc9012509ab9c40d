package lower

import (
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func (lw *Lowerer) newHome(t *types.Type, name string) *home {
	c := &home{t: t}
	switch t.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		c.room = lw.alloc(t.Cap, name)
	case types.Opt:
		c.has, c.inner = new(int), lw.newHome(t.Elem, name)
	case types.Tuple:
		for _, e := range t.Underlying().Elems {
			c.elems = append(c.elems, lw.newHome(e, name))
		}
	default:
		c.key = new(int)
	}
	return c
}

// set writes an expression of the home's type into it.
func (lw *Lowerer) set(c *home, x tree.Expr) {
	if c.t.InMemory() {
		lw.str(x, lw.mem(c.room), true)
		return
	}
	if m, ok := x.(*tree.MethodExpr); ok && (m.Name == "get" || m.Name == "pop") && m.Map != nil {
		lw.getOrPop(m, m.Name == "pop", c) // directly into its home
		return
	}
	if x, ok := x.(*tree.ConvertExpr); ok && c.t.Kind == types.Opt && x.X.Type().Kind == types.None {
		lw.setNone(c)
		return
	}
	lw.setVal(c, lw.Value(x))
}

// setNone makes an optional None. Its strings are emptied, because the value is copied as a whole
// and the verifier of older kernels rejects reads of stack bytes that were not written.
func (lw *Lowerer) setNone(c *home) {
	lw.B.Write(c.has, lw.B.Const(0))
	lw.clearHome(c.inner)
}

func (lw *Lowerer) clearHome(c *home) {
	switch c.t.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		lw.fill(lw.mem(c.room), 0)
	case types.Opt:
		lw.setNone(c)
	case types.Tuple:
		for _, e := range c.elems {
			lw.clearHome(e)
		}
	default:
		lw.B.Write(c.key, lw.B.Const(0))
	}
}

func (lw *Lowerer) setVal(c *home, v Val) {
	switch c.t.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		lw.copyStr(lw.mem(c.room), v.mem)
	case types.Opt:
		lw.B.Write(c.has, v.has)
		lw.setVal(c.inner, *v.inner)
	case types.Tuple:
		for i, e := range c.elems {
			lw.setVal(e, v.Elems[i])
		}
	default:
		lw.B.Write(c.key, v.W)
	}
}

func (lw *Lowerer) get(c *home) Val {
	v := Val{T: c.t}
	switch c.t.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		v.mem = lw.mem(c.room)
	case types.Opt:
		v.has = lw.B.Read(c.has)
		in := lw.get(c.inner)
		v.inner = &in
	case types.Tuple:
		for _, e := range c.elems {
			v.Elems = append(v.Elems, lw.get(e))
		}
	default:
		v.W = lw.B.Read(c.key)
	}
	return v
}

// zero returns a value of type t whose contents do not matter: the inside of a None.
func (lw *Lowerer) zero(t *types.Type) Val {
	v := Val{T: t}
	switch t.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		v.mem = lw.allocTemp(t.Cap, "none")
		lw.fill(v.mem, 0)
	case types.Opt:
		v.has = lw.B.Const(0)
		in := lw.zero(t.Elem)
		v.inner = &in
	case types.Tuple:
		for _, e := range t.Underlying().Elems {
			v.Elems = append(v.Elems, lw.zero(e))
		}
	default:
		v.W = lw.B.Const(0)
	}
	return v
}

// store writes a value in the layout of a map's key or value, or of a record.
func (lw *Lowerer) store(m mem, v Val) {
	switch v.T.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		m.cap = v.T.Cap
		lw.copyStr(m, v.mem)
	case types.Opt:
		lw.B.Store(m.base, m.off, 8, v.has)
		lw.store(m.at(8), *v.inner)
	case types.Tuple:
		off := 0
		for _, e := range v.Elems {
			lw.store(m.at(off), e)
			off += e.T.Size()
		}
	default:
		lw.B.Store(m.base, m.off, 8, v.W)
	}
}

// storeExpr is store for an expression; strings are built directly in place.
func (lw *Lowerer) storeExpr(m mem, x tree.Expr) {
	t := x.Type()
	switch {
	case t.InMemory():
		m.cap = t.Cap
		lw.str(x, m, true)
	case t.Kind == types.Tuple, t.IsText(), t.IsStruct():
		if tup, ok := x.(*tree.TupleExpr); ok {
			off := 0
			for _, e := range tup.Elems {
				lw.storeExpr(m.at(off), e)
				off += e.Type().Size()
			}
			return
		}
		if cv, ok := x.(*tree.ConvertExpr); ok {
			if tup, ok := cv.X.(*tree.TupleExpr); ok {
				off := 0
				for i, e := range tup.Elems {
					part := t.Underlying().Elems[i]
					lw.storeExpr(m.at(off), tree.Convert(e, part))
					off += part.Size()
				}
				return
			}
		}
		lw.store(m, lw.Value(x))
	default:
		lw.store(m, lw.Value(x))
	}
}

// load reads a value from memory. Strings are copied, because the memory may change.
func (lw *Lowerer) load(m mem, t *types.Type) Val {
	v := Val{T: t}
	switch t.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		v.mem = lw.allocTemp(t.Cap, "string")
		m.cap = t.Cap
		lw.copyStr(v.mem, m)
	case types.Opt:
		v.has = lw.B.Load(m.base, m.off, 8, false)
		in := lw.load(m.at(8), t.Elem)
		v.inner = &in
	case types.Tuple:
		off := 0
		for _, e := range t.Underlying().Elems {
			v.Elems = append(v.Elems, lw.load(m.at(off), e))
			off += e.Size()
		}
	default:
		v.W = lw.B.Load(m.base, m.off, 8, false)
	}
	return v
}
