package ir

import "github.com/cilium/ebpf/asm"

// lookupCSE replaces a map lookup by an earlier one of the same key: `if k in t: x = t[k]`,
// `t[k] += 1` after `k in t`, `t[k] = t.get(k, 0) + t[k]`.
//
// The result of a lookup is true only at the time of the lookup. Another CPU may delete the key a
// moment later. The memory stays memory of the map (RCU), but a map with preallocated elements
// reuses the element for the next key that is inserted. So each use of the pointer already is a
// race with a window from the lookup to the use: a few instructions. Sharing a lookup must not make
// that window larger in kind. Hence:
//
//   - Nothing may be in between that is slow or can change the map: no update, no delete, no
//     callback, no read of a string, no subprogram, no loop. The quick helpers that build keys
//     (IDs, comm, time) are allowed if the pointer is only read through.
//   - If the second pointer is written through (an atomic add), no call at all may be in between:
//     the two windows then differ by a few instructions only.
//   - What looks like a write in the source, `t[k] = v`, is an update of the map, not a lookup, and
//     it stays one: if the key has been deleted by then, the update must insert it again, which no
//     store through a pointer can do. So read-modify-write by `t[k] = t[k] + 1` is one lookup and
//     one update, and `t[k] += 1` after a test is one lookup and one add.
//
// A key that was absent is treated as absent the second time too: the handler sees one moment for
// both.
//
// Two keys are the same if each of their words comes from the same last write. The length of a key
// appears in no instruction; the key ends within both slots, so the words up to the end of the
// shorter slot are compared. Words that were never written are not part of a key: the verifier
// would reject the lookup.
func lookupCSE(f *Func) {
	if !contextReadOnly(f) {
		return
	}
	k := &keys{newMemory(f), newWalker(f)}
	readOnly := readThrough(f)
	const tries = 8 // how many earlier lookups in the map are considered
	seen := map[string][]*Value{}
	repl := newReplacement(f)
	po := postorder(f)
	for i := len(po) - 1; i >= 0; i-- {
		for _, v := range po[i].Values {
			if v.Op != OpCall || v.Helper != asm.FnMapLookupElem || v.Args[0].Op != OpMapPtr || v.Args[1].Op != OpSlotAddr {
				continue
			}
			var first *Value
			sym := v.Args[0].Sym
			earlier := seen[sym]
			for n := len(earlier) - 1; n >= 0 && n >= len(earlier)-tries && first == nil; n-- {
				if u := earlier[n]; k.near(u, v, readOnly[v.ID]) && k.same(u, v) {
					first = u
				}
			}
			if first != nil {
				repl.put(v, first)
			} else {
				seen[sym] = append(earlier, v)
			}
		}
	}
	replaceAll(f, repl)
}

// quick lists the helpers that may be called between two lookups that become one.
var quick = map[asm.BuiltinFunc]bool{asm.FnGetCurrentPidTgid: true, asm.FnGetCurrentUidGid: true, asm.FnGetCurrentComm: true,
	asm.FnGetSmpProcessorId: true, asm.FnKtimeGetNs: true, asm.FnKtimeGetBootNs: true, asm.FnGetCurrentTask: true}

// readThrough returns, by ID, which values are only compared and read through.
func readThrough(f *Func) []bool {
	only := make([]bool, f.nextVal)
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			only[v.ID] = true
		}
	}
	for _, b := range f.Blocks {
		for _, v := range b.Phis {
			for _, a := range v.Args {
				only[a.ID] = false
			}
		}
		for _, v := range b.Values {
			for _, a := range v.Args {
				if v.Op != OpLoad {
					only[a.ID] = false
				}
			}
		}
		if b.Kind == TermRet {
			only[b.X.ID] = false
		}
	}
	return only
}

type keys struct {
	m *memory
	w *walker
}

// near reports whether the code between two lookups allows them to be merged.
func (k *keys) near(u, v *Value, reads bool) bool {
	if !k.w.dominates(u, v) {
		return false
	}
	ok, looped := k.w.between(u, v, func(x *Value) bool {
		switch x.Op {
		case OpCall:
			return reads && quick[x.Helper]
		case OpCallSub, OpKfunc, OpAtomicAdd, OpFetchAdd, OpCmpXchg:
			return false
		}
		return true
	})
	return ok && !looped
}

// same reports whether two lookups have the same key.
func (k *keys) same(u, v *Value) bool {
	p, q := u.Args[1], v.Args[1]
	n := min(p.Slot.Size-p.Off, q.Slot.Size-q.Off)
	for off := 0; off < n; off += 8 {
		if !k.last(u, p.Slot, p.Off+off).same(k.last(v, q.Slot, q.Off+off)) {
			return false
		}
	}
	return n > 0
}

// A content describes where the eight bytes at a place come from: a word that was stored, bytes of
// the task's name, or else the slot as a write or the start of a block left it.
type content struct {
	word *Value
	comm bool
	off  int // with comm: offset in the name; else in slot
	by   *Value
	at   *Block
	slot *Slot // nil if neither by nor at is set: never written
}

func (c content) same(d content) bool {
	if c.word != nil && d.word != nil {
		return congruent(c.word, d.word, 4)
	}
	return c == d
}

// last returns the last write of the word at off of s before v.
func (k *keys) last(v *Value, s *Slot, off int) content {
	b, i := v.Block, k.w.pos[v.ID]
	for steps := 0; ; {
		for i--; i >= 0; i-- {
			if steps++; steps > maxBetween {
				return content{by: v, slot: s, off: off} // equal to nothing else
			}
			x := b.Values[i]
			if !k.m.writes(x, s, off, off+8) {
				continue
			}
			if p := x.Args[0]; p.Op == OpSlotAddr && p.Slot == s {
				if x.Op == OpStore && x.Size == 8 && p.Off+x.Off == off {
					return k.word(x.Args[1])
				}
				if n, ok := commSize(x); ok && off >= p.Off && off+8 <= p.Off+n {
					return content{comm: true, off: off - p.Off}
				}
			}
			return content{by: x, slot: s, off: off}
		}
		d := k.w.dom.parent(b)
		if d == nil {
			return content{}
		}
		still := k.w.region(d, b, func(x *Block) bool {
			return all(x.Values, func(y *Value) bool { return !k.m.writes(y, s, off, off+8) })
		})
		if !still {
			return content{at: b, slot: s, off: off}
		}
		b, i = d, len(d.Values)
	}
}

// word returns the content of a stored word; for a copy, that of the original.
func (k *keys) word(x *Value) content {
	if p := x.Args; x.Op == OpLoad && x.Size == 8 && p[0].Op == OpSlotAddr && (p[0].Off+x.Off)%8 == 0 {
		if c := k.last(x, p[0].Slot, p[0].Off+x.Off); c != (content{}) {
			return c
		}
	}
	return content{word: x}
}

// congruent reports whether two values are equal by construction: computed from the context, from
// helpers whose results are constant during a run, and by arithmetic on such values. It compares
// depth levels of operations.
func congruent(a, b *Value, depth int) bool {
	if a == b {
		return true
	}
	if a.Op != b.Op || depth == 0 || len(a.Args) != len(b.Args) {
		return false
	}
	switch {
	case a.Op == OpConst, a.Op == OpCtx:
		return a.Imm == b.Imm
	case a.Op == OpCall:
		if !a.Pure || !b.Pure || a.Helper != b.Helper {
			return false
		}
	case a.Op == OpLoad:
		if a.Args[0].Op != OpCtx || a.Off != b.Off || a.Size != b.Size || a.Signed != b.Signed {
			return false
		}
	case a.Op < OpAdd || a.Op > OpNeg:
		return false
	}
	for i := range a.Args {
		if !congruent(a.Args[i], b.Args[i], depth-1) {
			return false
		}
	}
	return true
}
