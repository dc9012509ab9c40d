package ir

import (
	"cmp"
	"slices"
)

// PlaceSlots returns the offset in the frame of each slot that is used, from 0 up, and the size of
// the frame. Slots whose contents are needed at different times share bytes.
//
// A slot is in use at a point if it was accessed on some path to that point and will be accessed on
// some path from it before a store that restarts it. That is coarser than necessary (a slot without
// such a store is also in use between a last read and the write of new contents), but safe for
// slots that helpers access through their address.
func PlaceSlots(f *Func) (offsets map[*Slot]int, size int) {
	refs := slotRefs(f)
	r := slotRanges(f, refs)
	clashes := make([][]*Slot, len(f.Slots))
	noted := map[[2]int]bool{}
	seen := make([]bool, len(f.Slots))
	var used []*Slot
	for _, b := range f.Blocks {
		var spans []slotRef
		for _, at := range refs[b.ID] {
			if !seen[at.slot.ID] {
				seen[at.slot.ID] = true
				used = append(used, at.slot)
			}
			if r.inUse(r.in, b, at.slot) {
				at.first = -1
			}
			if r.inUse(r.out, b, at.slot) {
				at.last = len(b.Values) + 1
			}
			spans = append(spans, at)
		}
		r.through(b, refs[b.ID], func(s *Slot) { spans = append(spans, slotRef{s, -1, len(b.Values) + 1}) })
		slices.SortStableFunc(spans, func(x, y slotRef) int { return cmp.Compare(x.first, y.first) })
		var open []slotRef
		for _, x := range spans {
			open = slices.DeleteFunc(open, func(y slotRef) bool { return y.last < x.first })
			for _, y := range open {
				pair := [2]int{min(x.slot.ID, y.slot.ID), max(x.slot.ID, y.slot.ID)}
				if !noted[pair] {
					noted[pair] = true
					clashes[x.slot.ID] = append(clashes[x.slot.ID], y.slot)
					clashes[y.slot.ID] = append(clashes[y.slot.ID], x.slot)
				}
			}
			open = append(open, x)
		}
	}
	// Large slots first: they are the hardest to place.
	slices.SortStableFunc(used, func(x, y *Slot) int { return cmp.Compare(y.Size, x.Size) })
	offsets = map[*Slot]int{}
	for _, s := range used {
		off := 0
		for moved := true; moved; {
			moved = false
			for _, t := range clashes[s.ID] {
				if o, placed := offsets[t]; placed && off < o+t.Size && o < off+s.Size {
					off, moved = o+t.Size, true
				}
			}
		}
		offsets[s] = off
		size = max(size, off+s.Size)
	}
	return offsets, size
}

// starts reports whether v is a store that restarts the slot: its previous contents are not needed.
func (v *Value) starts(s *Slot) bool {
	return v.Starts && v.Args[0].Op == OpSlotAddr && v.Args[0].Slot == s
}

// A slotRef records where in a block a slot is accessed first and last: indices of values, with
// len(Values) for the end of the block.
type slotRef struct {
	slot        *Slot
	first, last int
}

// slotRefs returns where slots are accessed: through their address, or through what is computed
// from it. The lists are indexed by block ID, and each is sorted by the slots' IDs.
func slotRefs(f *Func) [][]slotRef {
	points := slotPointers(f)
	refs := make([][]slotRef, f.nextBlk)
	at := make([]int, len(f.Slots)) // the index of the slot in the list, counted from 1
	for _, b := range f.Blocks {
		var list []slotRef
		touch := func(v *Value, i int) {
			if v == nil {
				return
			}
			for _, s := range points[v.ID] {
				if at[s.ID] == 0 {
					list = append(list, slotRef{s, i, i})
					at[s.ID] = len(list)
				}
				r := &list[at[s.ID]-1]
				r.first, r.last = min(r.first, i), max(r.last, i)
			}
		}
		for _, v := range b.Phis {
			touch(v, 0)
		}
		for i, v := range b.Values {
			for _, a := range v.Args {
				touch(a, i)
			}
			if v.Op != OpSlotAddr { // an address by itself accesses nothing
				touch(v, i)
			}
		}
		touch(b.X, len(b.Values))
		touch(b.Y, len(b.Values))
		for _, r := range list {
			at[r.slot.ID] = 0
		}
		slices.SortFunc(list, func(x, y slotRef) int { return cmp.Compare(x.slot.ID, y.slot.ID) })
		refs[b.ID] = list
	}
	return refs
}

// ranges holds the slots that are in use at the start and at the end of each block, by block ID.
// Most slots are in use within one block only, so the sets have bits for the others alone.
type ranges struct {
	in, out []bits
	bit     []int   // by slot ID; -1: not in use at the start or end of any block
	slots   []*Slot // by bit
}

func (r *ranges) inUse(sets []bits, b *Block, s *Slot) bool {
	i := r.bit[s.ID]
	return i >= 0 && sets[b.ID].has(i)
}

// through calls fn with each slot that is in use throughout b without being accessed there; here
// lists the slots that are.
func (r *ranges) through(b *Block, here []slotRef, fn func(*Slot)) {
	for i, s := range r.slots {
		if r.in[b.ID].has(i) && r.out[b.ID].has(i) {
			if _, touched := slices.BinarySearchFunc(here, s.ID, func(x slotRef, id int) int { return cmp.Compare(x.slot.ID, id) }); !touched {
				fn(s)
			}
		}
	}
}

func slotRanges(f *Func, refs [][]slotRef) *ranges {
	r := &ranges{bit: make([]int, len(f.Slots))}
	where := make([]*Block, len(f.Slots)) // the only block that accesses the slot, restarting it
	anew := func(b *Block, at slotRef) bool { return at.first < len(b.Values) && b.Values[at.first].starts(at.slot) }
	for i := range r.bit {
		r.bit[i] = -1
	}
	for _, b := range f.Blocks {
		for _, at := range refs[b.ID] {
			id := at.slot.ID
			if r.bit[id] < 0 && (where[id] != nil || !anew(b, at)) {
				r.bit[id] = len(r.slots)
				r.slots = append(r.slots, at.slot)
			}
			where[id] = b
		}
	}
	empty := func() []bits {
		m := make([]bits, f.nextBlk)
		for _, b := range f.Blocks {
			m[b.ID] = newBits(len(r.slots))
		}
		return m
	}
	beforeIn, beforeOut, afterIn, afterOut, starts := empty(), empty(), empty(), empty(), empty()
	for _, b := range f.Blocks {
		for _, at := range refs[b.ID] {
			if i := r.bit[at.slot.ID]; i >= 0 {
				beforeOut[b.ID].set(i, i+1, true)
				starts[b.ID].set(i, i+1, anew(b, at))
				afterIn[b.ID].set(i, i+1, !anew(b, at))
			}
		}
	}
	po := postorder(f)
	for changed := true; changed; {
		changed = false
		for i := range po {
			b := po[len(po)-1-i]
			for _, p := range b.Preds {
				changed = beforeIn[b.ID].or(beforeOut[p.ID]) || changed
			}
			changed = beforeOut[b.ID].or(beforeIn[b.ID]) || changed
			b = po[i]
			for _, s := range b.Succs {
				changed = afterOut[b.ID].or(afterIn[s.ID]) || changed
			}
			for i, w := range afterOut[b.ID] {
				n := afterIn[b.ID][i] | w&^starts[b.ID][i]
				changed = changed || n != afterIn[b.ID][i]
				afterIn[b.ID][i] = n
			}
		}
	}
	for _, b := range f.Blocks {
		for i := range beforeIn[b.ID] {
			beforeIn[b.ID][i] &= afterIn[b.ID][i]
			beforeOut[b.ID][i] &= afterOut[b.ID][i]
		}
	}
	r.in, r.out = beforeIn, beforeOut
	return r
}
