package ir

import "sort"

// PlaceSlots gives each slot that is used its offset in a frame, from 0 up, and the size of the frame. Slots whose contents
// are wanted at different times share bytes.
//
// A slot is in use at a place when it was touched on some way there and will be touched on some way from there, without a store
// that starts it anew. That is coarser than need be (a slot without such a store is in use between a last read and the write of new
// contents too), but safe for what is touched through its address by helpers.
func PlaceSlots(f *Func) (offsets map[*Slot]int, size int) {
	refs := slotRefs(f)
	in, out := slotRanges(f, refs)
	clash := map[*Slot][]*Slot{}
	seen := map[*Slot]bool{}
	var used []*Slot
	for _, b := range f.Blocks {
		type span struct {
			s          *Slot
			from, upto int
		}
		var spans []span
		for _, s := range f.Slots {
			at, here := refs[b][s]
			sp := span{s, at.first, at.last}
			if in[b].any(s.ID, s.ID+1) {
				sp.from = -1
			}
			if out[b].any(s.ID, s.ID+1) {
				sp.upto = len(b.Values) + 1
			}
			if here || in[b].any(s.ID, s.ID+1) && out[b].any(s.ID, s.ID+1) {
				spans = append(spans, sp)
			}
			if here && !seen[s] {
				seen[s] = true
				used = append(used, s)
			}
		}
		for i, x := range spans {
			for _, y := range spans[:i] {
				if x.from <= y.upto && y.from <= x.upto {
					clash[x.s] = append(clash[x.s], y.s)
					clash[y.s] = append(clash[y.s], x.s)
				}
			}
		}
	}
	// the large ones first: they are the hardest to place
	sort.SliceStable(used, func(i, j int) bool { return used[i].Size > used[j].Size })
	offsets = map[*Slot]int{}
	for _, s := range used {
		off := 0
		for moved := true; moved; {
			moved = false
			for _, t := range clash[s] {
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

// starts tells of a store that starts the slot anew.
func (v *Value) starts(s *Slot) bool {
	return v.Starts && v.Args[0].Op == OpSlotAddr && v.Args[0].Slot == s
}

// touched is where in a block a slot is touched first and last: indices of values, len(Values) for the end of the block.
type touched struct{ first, last int }

// slotRefs finds where slots are touched: through their address, and through what is computed from it.
func slotRefs(f *Func) map[*Block]map[*Slot]touched {
	points := slotPointers(f)
	refs := map[*Block]map[*Slot]touched{}
	for _, b := range f.Blocks {
		m := map[*Slot]touched{}
		touch := func(v *Value, i int) {
			if v == nil {
				return
			}
			for s := range points[v] {
				t, seen := m[s]
				if !seen {
					t = touched{i, i}
				}
				t.first, t.last = min(t.first, i), max(t.last, i)
				m[s] = t
			}
		}
		for _, v := range b.Phis {
			touch(v, 0)
		}
		for i, v := range b.Values {
			for _, a := range v.Args {
				touch(a, i)
			}
			if v.Op != OpSlotAddr { // an address by itself touches nothing
				touch(v, i)
			}
		}
		touch(b.X, len(b.Values))
		touch(b.Y, len(b.Values))
		refs[b] = m
	}
	return refs
}

// slotPointers finds which slots a value may point into.
func slotPointers(f *Func) map[*Value]map[*Slot]bool {
	points := map[*Value]map[*Slot]bool{}
	add := func(v *Value, s *Slot) bool {
		if points[v] == nil {
			points[v] = map[*Slot]bool{}
		}
		if points[v][s] {
			return false
		}
		points[v][s] = true
		return true
	}
	for changed := true; changed; {
		changed = false
		for _, b := range f.Blocks {
			for _, list := range [][]*Value{b.Phis, b.Values} {
				for _, v := range list {
					switch v.Op {
					case OpSlotAddr:
						changed = add(v, v.Slot) || changed
					case OpAdd, OpSub, OpPhi:
						for _, a := range v.Args {
							for s := range points[a] {
								changed = add(v, s) || changed
							}
						}
					}
				}
			}
		}
	}
	return points
}

// slotRanges gives the slots, by ID, that are in use at the start and at the end of each block.
func slotRanges(f *Func, refs map[*Block]map[*Slot]touched) (in, out map[*Block]bits) {
	empty := func() map[*Block]bits {
		m := make(map[*Block]bits, len(f.Blocks))
		for _, b := range f.Blocks {
			m[b] = newBits(len(f.Slots))
		}
		return m
	}
	beforeIn, beforeOut, afterIn, afterOut, starts := empty(), empty(), empty(), empty(), empty()
	for _, b := range f.Blocks {
		for s, at := range refs[b] {
			beforeOut[b].set(s.ID, s.ID+1, true)
			anew := at.first < len(b.Values) && b.Values[at.first].starts(s)
			starts[b].set(s.ID, s.ID+1, anew)
			afterIn[b].set(s.ID, s.ID+1, !anew)
		}
	}
	po := Postorder(f)
	for changed := true; changed; {
		changed = false
		for i := range po {
			b := po[len(po)-1-i]
			for _, p := range b.Preds {
				changed = beforeIn[b].or(beforeOut[p]) || changed
			}
			changed = beforeOut[b].or(beforeIn[b]) || changed
			b = po[i]
			for _, s := range b.Succs {
				changed = afterOut[b].or(afterIn[s]) || changed
			}
			for i, w := range afterOut[b] {
				n := afterIn[b][i] | w&^starts[b][i]
				changed = changed || n != afterIn[b][i]
				afterIn[b][i] = n
			}
		}
	}
	for _, b := range f.Blocks {
		for i := range beforeIn[b] {
			beforeIn[b][i] &= afterIn[b][i]
			beforeOut[b][i] &= afterOut[b][i]
		}
	}
	return beforeIn, beforeOut
}
