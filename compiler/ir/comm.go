package ir

import (
	"sync"

	"github.com/cilium/ebpf/asm"
)

// CommCSE makes one bpf_get_current_comm do for those that it dominates. The name of a task is taken to stay the same in a run, as
// its ids are. Where the name still lies in the same place, the second call is dropped; where it is wanted elsewhere, it is copied
// by words, which is less work than a call; where it was overwritten, the second call stays.
//
// A copy keeps the slot of the first name in use for longer. Near the limit of the stack that could be what makes a handler too
// large, so nothing is copied in functions that need much of it.
func CommCSE(f *Func) {
	m, w := newMemory(f), newWalker(f)
	roomy := sync.OnceValue(func() bool { _, size := PlaceSlots(f); return size <= 384 })
	used := usedValues(f)
	var seen []*Value
	instead := map[*Value][]*Value{}
	po := Postorder(f)
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

// PadComm zeroes the memory before each bpf_get_current_comm: from 6.0 until some 6.1, what the helper leaves behind the NUL is
// what was there, so that one name could be many keys. All other passes may take it that the helper writes each byte.
func PadComm(f *Func) {
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

// commSize tells of a bpf_get_current_comm, and how many bytes it writes.
func commSize(v *Value) (int, bool) {
	if v.Op != OpCall || v.Helper != asm.FnGetCurrentComm {
		return 0, false
	}
	n, ok := v.Args[1].IsConst()
	return int(n), ok && n > 0 && n%8 == 0
}

// copyWords makes loads and stores that stand in the place of v.
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

// usedValues tells what is an argument of something, by the IDs of values.
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
