package ir

import (
	"sync"

	"github.com/cilium/ebpf/asm"
)

// commCSE removes calls of bpf_get_current_comm that another such call dominates. The name of a
// task is assumed to stay the same during a run, as its IDs do. If the name is still in the same
// place, the second call is dropped. If it is needed elsewhere, it is copied word by word, which is
// cheaper than a call. If it was overwritten, the second call stays.
//
// A copy keeps the slot of the first name in use for longer. Near the stack limit that could make a
// handler too large, so nothing is copied in functions that need much stack.
func commCSE(f *Func) {
	m, w := newMemory(f), newWalker(f)
	roomy := sync.OnceValue(func() bool { _, size := PlaceSlots(f); return size <= 384 })
	used := usedValues(f)
	var seen []*Value
	instead := map[*Value][]*Value{}
	po := postorder(f)
	for i := len(po) - 1; i >= 0; i-- {
		for _, v := range po[i].Values {
			n, ok := commSize(v)
			if !ok || used[v.ID] {
				continue
			}
			dst := v.Args[0]
			for k := len(seen) - 1; k >= 0; k-- {
				src := seen[k].Args[0]
				if n2, _ := commSize(seen[k]); n2 != n || !w.dominates(seen[k], v) || m.changedBetween(w, seen[k], v, src.Slot, src.Off, src.Off+n) {
					continue
				}
				if dst.Op == OpSlotAddr && dst.Slot == src.Slot && dst.Off == src.Off {
					instead[v] = nil
					break
				}
				apart := len(m.slots(dst)) == 0 || dst.Op == OpSlotAddr && dst.Slot != src.Slot
				if apart && roomy() {
					instead[v] = copyWords(f, v, dst, src, n)
					break
				}
			}
			if dst.Op == OpSlotAddr {
				seen = append(seen, v)
			}
		}
	}
	for _, b := range f.Blocks {
		var out []*Value
		for _, v := range b.Values {
			if words, ok := instead[v]; ok {
				out = append(out, words...)
			} else {
				out = append(out, v)
			}
		}
		b.Values = out
	}
}

// padComm zeroes the memory before each bpf_get_current_comm. From 6.0 until some 6.1, the helper
// leaves the bytes after the NUL unchanged, so that one name could become many keys. All other
// passes may assume that the helper writes every byte.
func padComm(f *Func) {
	for _, b := range f.Blocks {
		var out []*Value
		for _, v := range b.Values {
			if n, ok := commSize(v); ok {
				zero := f.NewValue(OpConst)
				for off := 0; off < n; off += 8 {
					s := f.NewValue(OpStore, v.Args[0], zero)
					s.Off, s.Size, s.Block, s.Pos = off, 8, b, v.Pos
					out = append(out, s)
				}
			}
			out = append(out, v)
		}
		b.Values = out
	}
}

// commSize reports whether v is a call of bpf_get_current_comm, and returns the number of bytes
// that it writes.
func commSize(v *Value) (int, bool) {
	if v.Op != OpCall || v.Helper != asm.FnGetCurrentComm {
		return 0, false
	}
	n, ok := v.Args[1].IsConst()
	return int(n), ok && n > 0 && n%8 == 0
}

// copyWords returns loads and stores that replace v.
func copyWords(f *Func, v, dst, src *Value, n int) []*Value {
	var out []*Value
	for off := 0; off < n; off += 8 {
		l := f.NewValue(OpLoad, src)
		s := f.NewValue(OpStore, dst, l)
		for _, x := range []*Value{l, s} {
			x.Off, x.Size, x.Block, x.Pos = off, 8, v.Block, v.Pos
		}
		out = append(out, l, s)
	}
	return out
}

// usedValues returns, by ID, whether a value is an operand of a value or of the end of a block.
func usedValues(f *Func) []bool {
	used := make([]bool, f.nextVal)
	for _, b := range f.Blocks {
		for _, list := range [][]*Value{b.Phis, b.Values} {
			for _, v := range list {
				for _, a := range v.Args {
					used[a.ID] = true
				}
			}
		}
		for _, a := range []*Value{b.X, b.Y} {
			if a != nil {
				used[a.ID] = true
			}
		}
	}
	return used
}
