package lower

import (
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// NetAddress reads an address from the event, from memory, or from an int.
func NetAddress(lw *Lowerer, e *tree.BuiltinExpr) Val {
	b, x := lw.B, e.Args[0]
	n := addrSize[e.T.Format.Name]
	var words []*ir.Value
	switch t := x.Type(); {
	case t.Kind == types.Array:
		for off := 0; off < n; off += 8 {
			words = append(words, lw.contextWord(x.(*tree.ArgExpr).Field.Offset+off, min(n-off, 8)))
		}
	case t.Kind == types.Bytes:
		m := lw.inMemory(lw.text(x)).mem
		for off := 0; off < n; off += 8 {
			w := b.Load(m.base, m.off+off, 8, false)
			if bits := 8 * (n - off); bits < 64 {
				w = b.Add(ir.OpAnd, w, b.Const(1<<bits-1))
			}
			words = append(words, w)
		}
	case t.Kind == types.Ptr:
		m := lw.readMemory(lw.Value(x).W, t, n, e)
		for off := 0; off < n; off += 8 {
			words = append(words, b.Load(m.base, m.off+off, 8, false))
		}
	default:
		words = append(words, lw.Half32(lw.Value(x).W, false))
	}
	if len(words) == 1 {
		return Scalar(e.T, words[0])
	}
	v := Val{T: e.T}
	for i, w := range words {
		v.Elems = append(v.Elems, Scalar(e.T.Elem.Elems[i], w))
	}
	return v
}

// addrSize is the size in bytes of an address, by format.
var addrSize = map[string]int{"ip4": 4, "ip6": 16, "mac": 6}

// contextWord reads n bytes of the context as a little-endian number. It splits the read, because
// the verifier requires each load to be aligned.
func (lw *Lowerer) contextWord(off, n int) *ir.Value {
	b := lw.B
	var w *ir.Value
	for at := 0; at < n; {
		size := 8
		for (off+at)%size != 0 || at+size > n {
			size /= 2
		}
		x := b.Load(b.Add(ir.OpCtx), off+at, size, false)
		if at > 0 {
			x = b.Add(ir.OpOr, w, b.Add(ir.OpShl, x, b.Const(int64(8*at))))
		}
		w = x
		at += size
	}
	return w
}

// readMemory reads n bytes at an address. If they cannot be read, the result is zeros and the error
// is counted.
func (lw *Lowerer) readMemory(addr *ir.Value, t *types.Type, n int, e *tree.BuiltinExpr) mem {
	b := lw.B
	m := mem{b.SlotAddr(lw.scratchSlot(n, e.Name), 0), 0, (n + 7) &^ 7}
	lw.fill(m, 0)
	lw.readInto(memRead{space: spaceOfAddr(t), addr: addr, op: e.Name, pos: e.Pos}, m, n, false)
	return m
}
