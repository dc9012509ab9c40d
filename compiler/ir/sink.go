package ir

import (
	"slices"

	"github.com/cilium/ebpf/asm"
)

// sink moves work whose result only one of a block's successors needs to the start of that
// successor, so that a filter runs before the work that it makes unnecessary:
//
//	path = str(e.args.filename)
//	if e.pid != 42:
//	    return                       # the string was not wanted
//	paths.add(by=path)
//
// Two kinds of work move. First, values without effect that read nothing that could change:
// arithmetic, loads of the context, helpers whose results are constant during a run; they move to
// where all their uses are. Second, reads of strings and of the task's name into a slot that only
// one successor reads before it is written again: the zeros below the buffer, the call, and the
// block that counts its failure move as a whole, to a new block on the edge. now() does not move:
// its result is the time at which it was called.
//
// A read that is not needed is then not made, and the failure that it would have met is not
// counted, because it did not happen. A read that moves happens later. Nothing that a handler does
// can change what it reads (handlers write to maps and to their own stack), and writes by others
// were never ordered with the read. Reads keep their order among each other: a read never passes
// the test of another one, and its new block comes before those that are already on the edge.
//
// Nothing moves into a loop.
func sink(f *Func) {
	for sinkReads(f) || sinkValues(f) {
	}
}

// sinkValues moves values from their blocks to the successor that needs them.
func sinkValues(f *Func) bool {
	dom := dominators(f)
	uses := make([][]*Block, f.nextVal)
	eachUse(f, func(v *Value, u use) { uses[v.ID] = append(uses[v.ID], u.at) })
	steady := contextReadOnly(f)
	moved := false
	po := postorder(f)
	slices.Reverse(po) // so that a value moves all the way down
	for _, b := range po {
		if b.Kind != TermIf {
			continue
		}
		gone := map[*Value]bool{}
		down := map[*Block][]*Value{} // the values that move, last first
		for i := len(b.Values) - 1; i >= 0; i-- {
			v := b.Values[i]
			if !movable(v, steady) || len(uses[v.ID]) == 0 {
				continue
			}
			for _, s := range b.Succs {
				if len(s.Preds) != 1 || s.Loop > b.Loop || !dominatesAll(dom, s, uses[v.ID]) {
					continue
				}
				gone[v] = true
				down[s] = append(down[s], v)
				v.Block = s
				for _, a := range v.Args {
					for k, at := range uses[a.ID] {
						if at == b {
							uses[a.ID][k] = s
							break
						}
					}
				}
				break
			}
		}
		if len(gone) == 0 {
			continue
		}
		moved = true
		b.Values = slices.DeleteFunc(b.Values, func(v *Value) bool { return gone[v] })
		for s, vs := range down {
			slices.Reverse(vs)
			s.Values = append(vs, s.Values...)
		}
	}
	return moved
}

func dominatesAll(dom *domTree, s *Block, at []*Block) bool {
	for _, b := range at {
		if !dom.dominates(s, b) {
			return false
		}
	}
	return true
}

// movable reports whether v has the same result wherever in a run it is computed from its
// arguments; steady is whether loads of the context do.
func movable(v *Value, steady bool) bool {
	switch {
	case v.Op >= OpAdd && v.Op <= OpNeg:
		// not the user of a pinned value, which would stay pinned for longer
		return !slices.ContainsFunc(v.Args, func(a *Value) bool { return a.Op == OpPin })
	case v.Op == OpCall:
		return v.Pure && len(v.Args) == 0
	case v.Op == OpLoad:
		return v.Args[0].Op == OpCtx && steady
	case v.Op == OpSlotAddr, v.Op == OpMapPtr, v.Op == OpMapValue:
		return true
	}
	return false
}

var stringReads = map[asm.BuiltinFunc]bool{asm.FnProbeReadKernelStr: true, asm.FnProbeReadUserStr: true, asm.FnGetCurrentComm: true}

// maxSinks bounds the rounds of sinkReads, each of which examines the whole function.
const maxSinks = 16

// sinkReads moves each read past one branch after the other, as far as possible.
func sinkReads(f *Func) bool {
	moved := false
	for range maxSinks {
		if !sinkRead(f) {
			break
		}
		moved = true
		mergeBlocks(f)
	}
	return moved
}

// sinkRead moves each read past at most one branch. The analysis of the function stays valid while
// it does, except for the blocks that a move has changed.
func sinkRead(f *Func) bool {
	var w *liveBytes
	var uses []int
	changed := map[*Block]bool{}
	for _, b := range postorder(f) {
		for i := len(b.Values) - 1; i >= 0; i-- {
			if v := b.Values[i]; v.Op != OpCall || !stringReads[v.Helper] || v.Args[0].Op != OpSlotAddr {
				continue
			}
			if w == nil {
				w, uses = newWanted(f, newMemory(f)), make([]int, f.nextVal)
				eachUse(f, func(v *Value, _ use) { uses[v.ID]++ })
			}
			r := readingAt(w.m, uses, b, i)
			if r == nil || changed[b] || changed[r.next] || r.failed != nil && changed[r.failed] || changed[r.next.Succs[0]] || changed[r.next.Succs[1]] {
				continue
			}
			if s := r.sink(f, w); s != nil {
				for _, x := range []*Block{b, r.next, s} {
					changed[x] = true
				}
				if r.failed != nil {
					changed[r.failed] = true
				}
				break // the values of b have changed
			}
		}
	}
	return len(changed) > 0
}

// A stringRead is a read of a string, with its parts in the blocks.
type stringRead struct {
	blk    *Block
	moves  map[*Value]bool // the zeros and the call
	call   *Value
	failed *Block // counts its failure; nil if the result is not tested
	next   *Block // where control continues
	slot   *Slot
	lo, hi int // the bytes that it writes
}

// readingAt returns the parts of the read at b.Values[i], or nil if it does not have a form that
// can be moved.
func readingAt(m *memory, uses []int, b *Block, i int) *stringRead {
	call := b.Values[i]
	t := m.touches(call)[0]
	r := &stringRead{blk: b, moves: map[*Value]bool{call: true}, call: call, next: b, slot: t.slot, lo: t.lo, hi: t.hi}
	if len(m.touches(call)) != 1 || t.read || slices.Contains(m.escaped, t.slot) {
		return nil
	}
	for j := i - 1; j >= 0; j-- {
		x := b.Values[j]
		if !touchesSlot(m, x, r.slot) {
			continue
		}
		if x.Op != OpStore || x.Args[0].Op != OpSlotAddr || x.Args[1].Op != OpConst {
			break
		}
		r.moves[x] = true
		z := m.touches(x)[0]
		r.lo, r.hi = min(r.lo, z.lo), max(r.hi, z.hi)
	}
	if uses[call.ID] > 0 {
		if b.Kind != TermIf || b.X != call || b.Y.Op != OpConst {
			return nil
		}
		r.failed, r.next = b.Succs[0], b.Succs[1]
		seen := 1
		for _, x := range r.failed.Values {
			if x.Op != OpCallSub && (x.Op < OpAdd || x.Op > OpNeg) {
				return nil
			}
			for _, a := range x.Args {
				if a == call {
					seen++
				}
				if a.Op == OpSlotAddr {
					return nil
				}
			}
		}
		joined := r.failed.Kind == TermJump && r.failed.Succs[0] == r.next && len(r.failed.Preds) == 1
		if !joined || seen != uses[call.ID] || len(r.next.Preds) != 2 || len(r.next.Phis) > 0 {
			return nil
		}
	}
	after := b.Values[i+1:]
	if r.next != b {
		after = append(slices.Clone(after), r.next.Values...)
	}
	if r.next.Kind != TermIf || !all(after, func(x *Value) bool { return !touchesSlot(m, x, r.slot) }) {
		return nil
	}
	return r
}

func touchesSlot(m *memory, v *Value, s *Slot) bool {
	return slices.ContainsFunc(m.touches(v), func(t memAccess) bool { return t.slot == s })
}

// sink moves the read to the edge that leads to where it is needed, if exactly one of the two does.
// It returns the block that the edge leads to, or nil.
func (r *stringRead) sink(f *Func, w *liveBytes) *Block {
	d := r.next
	way := -1
	for i, s := range d.Succs {
		if w.any(w.in[s.ID], r.slot, r.lo, r.hi) {
			if way >= 0 {
				return nil
			}
			way = i
		}
	}
	if way < 0 || d.Succs[way].Loop > d.Loop || d.Succs[0] == d.Succs[1] {
		return nil
	}
	s := d.Succs[way]
	read := f.NewBlock("read")
	read.Cold, read.Loop, read.Pos = s.Cold, d.Loop, r.blk.Pos
	stay := r.blk.Values[:0:0]
	for _, v := range r.blk.Values {
		if r.moves[v] {
			read.Values = append(read.Values, v)
			v.Block = read
		} else {
			stay = append(stay, v)
		}
	}
	r.blk.Values = stay
	last := read
	if r.failed != nil {
		last = f.NewBlock("")
		last.Cold, last.Loop, last.Pos = s.Cold, d.Loop, r.blk.Pos
		read.Kind, read.Cond, read.X, read.Y, read.Succs = TermIf, r.blk.Cond, r.blk.X, r.blk.Y, []*Block{r.failed, last}
		last.Preds = []*Block{read, r.failed}
		r.failed.Preds, r.failed.Succs = []*Block{read}, []*Block{last}
		r.blk.Kind, r.blk.X, r.blk.Y, r.blk.Succs = TermJump, nil, nil, []*Block{d}
		d.Preds = []*Block{r.blk}
	}
	last.Kind, last.Succs = TermJump, []*Block{s}
	s.Preds[firstPred(s, d)] = last
	d.Succs[way], read.Preds = read, []*Block{d}
	return s
}
