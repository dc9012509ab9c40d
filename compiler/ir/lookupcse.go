package ir

import "github.com/cilium/ebpf/asm"

// LookupCSE makes one map lookup do for a later one of the same key: `if k in t: x = t[k]`, `t[k] += 1` behind `k in t`,
// `t[k] = t.get(k, 0) + t[k]`.
//
// What a lookup gives is true at its own time only. Another CPU may delete the key a moment later; the memory stays memory of the
// map (RCU), but a map that has its elements allocated beforehand gives the place to the next key that is inserted. So each
// use of the pointer is already a race with a window from the lookup to the use: a few instructions. To share a lookup must
// not make that window larger in kind. Hence:
//
//   - Nothing may stand in between that is slow or can change the map: no update, no delete, no callback, no read of a string, no
//     subprogram, no loop. The quick helpers that make keys (ids, comm, time) may, where the pointer is only read through.
//   - Where the second pointer is written through (an atomic add), no call at all may stand in between: the two windows are then
//     the same but for a few instructions.
//   - What looks like a write in the source, `t[k] = v`, is an update of the map, not a lookup, and it stays one: if the
//     key is gone by then, it has to come back, which no store through a pointer can do. So read-modify-write by `t[k] = t[k] + 1`
//     is one lookup and one update, and `t[k] += 1` behind a test is one lookup and one add.
//
// A key that was absent is as absent the second time: the handler sees one moment for both.
//
// Keys are the same where each of their words comes from the same last write. How long a key is stands in no instruction; it
// ends within both slots, so the words up to the end of the shorter one are compared. Words that were never written are
// no part of a key: the verifier would have none of it.
func LookupCSE(f *Func) {
	if !contextReadOnly(f) {
		return
	}
	k := &keys{newMemory(f), newWalker(f)}
	readOnly := readThrough(f)
	const tries = 8 // how many earlier lookups in the map are looked at
	seen := map[string][]*Value{}
	repl := newReplacement(f)
	po := Postorder(f)
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

// quick are the helpers that may stand between two lookups that become one.
var quick = map[asm.BuiltinFunc]bool{asm.FnGetCurrentPidTgid: true, asm.FnGetCurrentUidGid: true, asm.FnGetCurrentComm: true,
	asm.FnGetSmpProcessorId: true, asm.FnKtimeGetNs: true, asm.FnKtimeGetBootNs: true, asm.FnGetCurrentTask: true}

// readThrough finds the values that are only compared, and read through, by their IDs.
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

// near tells whether what stands between two lookups lets them be one.
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

// same tells whether two lookups are of the same key.
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

// A content says where the eight bytes at a place come from: a word that was stored, a byte of the name of the task, or else
// the slot as a write or the start of a block left it.
type content struct {
	word *Value
	comm bool
	off  int // with comm: which of its bytes; else in slot
	by   *Value
	at   *Block
	slot *Slot // nil with neither by nor at: never written
}

func (c content) same(d content) bool {
	if c.word != nil && d.word != nil {
		return congruent(c.word, d.word, 4)
	}
	return c == d
}

// last finds the last write of the word of s at off before v.
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
		d := k.w.dom.Idom(b)
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

// word is the content that a stored word is; of a copy, what was copied.
func (k *keys) word(x *Value) content {
	if p := x.Args; x.Op == OpLoad && x.Size == 8 && p[0].Op == OpSlotAddr && (p[0].Off+x.Off)%8 == 0 {
		if c := k.last(x, p[0].Slot, p[0].Off+x.Off); c != (content{}) {
			return c
		}
	}
	return content{word: x}
}

// congruent tells whether two values are the same by how they are computed: from the context, from helpers that give the
// same throughout a run, and by arithmetic from such. It looks depth operations deep.
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
