package ir

// loadElim replaces a load by an earlier load of the same bytes, and a load from the stack by the
// value that was stored there.
//
// The context does not change during a run. Bytes of the stack change where this function writes
// them, or a helper that received their address. Bytes in a map may be changed by anyone at any
// time: reading them once instead of twice is as if both reads had happened at the same moment,
// which is one of the possible outcomes of two reads. If the function itself may have written to a
// map in between, or if a loop may go around (it may be waiting for a write by someone else), the
// second load stays.
//
// There must be no call in between: a value that is live across a call needs one of four registers
// or a word of the stack, which is no cheaper than loading again.
func loadElim(f *Func) {
	m, w := newMemory(f), newWalker(f)
	seen := map[access][]*Value{}
	repl := newReplacement(f)
	po := postorder(f)
	for i := len(po) - 1; i >= 0; i-- {
		for _, v := range po[i].Values {
			key, ok := accessOf(v)
			if !ok {
				continue
			}
			if v.Op == OpLoad {
				if x := m.known(f, w, seen[key], v); x != nil {
					repl.put(v, x)
					continue
				}
			}
			seen[key] = append(seen[key], v)
		}
	}
	replaceAll(f, repl)
}

// An access identifies bytes and how they are read: in a slot, in the first element of a map, or
// through a pointer.
type access struct {
	slot      *Slot
	sym       string
	pointer   *Value
	off, size int
	signed    bool
}

// accessOf returns the bytes that a load reads, or that a store of eight bytes to the stack writes.
func accessOf(v *Value) (access, bool) {
	if v.Op != OpLoad && (v.Op != OpStore || v.Size != 8 || v.Args[0].Op != OpSlotAddr) {
		return access{}, false
	}
	signed := v.Signed && v.Size < 8
	switch p := v.Args[0]; p.Op {
	case OpSlotAddr:
		return access{slot: p.Slot, off: p.Off + v.Off, size: v.Size, signed: signed}, true
	case OpMapValue:
		return access{sym: p.Sym, off: p.Off + v.Off, size: v.Size, signed: signed}, true
	default:
		return access{pointer: p, off: v.Off, size: v.Size, signed: signed}, true
	}
}

// known returns the value that v loads, if one of the earlier loads and stores provides it, or nil.
func (m *memory) known(f *Func, w *walker, earlier []*Value, v *Value) *Value {
	const tries = 4
	for k := len(earlier) - 1; k >= 0 && k >= len(earlier)-tries; k-- {
		e := earlier[k]
		if !w.dominates(e, v) {
			continue
		}
		ok, looped := w.between(e, v, func(x *Value) bool { return !isCall(x) && !m.disturbs(f, x, v) })
		if !ok || looped && m.foreign(f, v) {
			continue
		}
		if e.Op == OpStore {
			return e.Args[1]
		}
		return e
	}
	return nil
}

// foreign reports whether v loads from neither the stack nor the context.
func (m *memory) foreign(f *Func, v *Value) bool {
	p := v.Args[0]
	return len(m.slots(p)) == 0 && (p.Op != OpCtx || f.Params > 0)
}

// disturbs reports whether x, which is not a call, may change what the load v reads.
func (m *memory) disturbs(f *Func, x, v *Value) bool {
	switch x.Op {
	case OpStore, OpAtomicAdd, OpFetchAdd, OpCmpXchg:
	default:
		return false
	}
	if m.foreign(f, v) {
		return len(m.slots(x.Args[0])) == 0
	}
	for _, s := range m.slots(v.Args[0]) {
		lo, hi := 0, s.Size
		if p := v.Args[0]; p.Op == OpSlotAddr {
			lo, hi = p.Off+v.Off, p.Off+v.Off+v.Size
		}
		if m.writes(x, s, lo, hi) {
			return true
		}
	}
	return false
}
