package compiler

import (
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// lowerAddr reads an address from the event, from memory, or from an int.
func lowerAddr(lw *lowerer, e *eBuiltin) val {
	b, x := lw.b, e.args[0]
	n := addrSize[e.t.Format.Name]
	var words []*ir.Value
	switch t := x.typ(); {
	case t.Kind == types.Array:
		for off := 0; off < n; off += 8 {
			words = append(words, lw.contextWord(x.(*eArg).f.Offset+off, min(n-off, 8)))
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
		m := lw.readMemory(lw.value(x).w, t, n, e)
		for off := 0; off < n; off += 8 {
			words = append(words, b.Load(m.base, m.off+off, 8, false))
		}
	default:
		words = append(words, lw.half32(lw.value(x).w, false))
	}
	if len(words) == 1 {
		return scalar(e.t, words[0])
	}
	v := val{t: e.t}
	for i, w := range words {
		v.elems = append(v.elems, scalar(e.t.Elem.Elems[i], w))
	}
	return v
}

// addrSize is the size in bytes of an address, by format.
var addrSize = map[string]int{"ip4": 4, "ip6": 16, "mac": 6}

// contextWord reads n bytes of the context as a little-endian number. It splits the read, because
// the verifier requires each load to be aligned.
func (lw *lowerer) contextWord(off, n int) *ir.Value {
	b := lw.b
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
func (lw *lowerer) readMemory(addr *ir.Value, t *types.Type, n int, e *eBuiltin) mem {
	b := lw.b
	m := mem{b.SlotAddr(lw.scratchSlot(n, e.name), 0), 0, (n + 7) &^ 7}
	lw.fill(m, 0)
	lw.readInto(memRead{space: spaceOfAddr(t), addr: addr, op: e.name, pos: e.pos}, m, n, false)
	return m
}
