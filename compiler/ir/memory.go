package ir

import (
	"slices"

	"github.com/cilium/ebpf/asm"
)

// This file describes what values do to the stack, byte by byte, for the passes that move, share or
// drop accesses. A pointer with a known slot and offset (OpSlotAddr) accesses a known range; a
// pointer computed from one accesses whole slots. Helpers are assumed to read and write the whole
// slot that they receive, except those in the table below.

// A memAccess is an access of a value to a range of a slot.
type memAccess struct {
	slot      *Slot
	lo, hi    int
	read      bool
	write     bool
	mustWrite bool // writes every byte of the range in all cases
}

// A memory describes what the values of a function do to its slots. Its lists are indexed by value
// ID.
type memory struct {
	points  [][]*Slot // the slots that a value may point into
	escaped []*Slot   // their address is in memory: any call may access them
	cache   [][]memAccess
	cached  []bool
}

func newMemory(f *Func) *memory {
	m := &memory{points: slotPointers(f), cache: make([][]memAccess, f.NumValues()), cached: make([]bool, f.NumValues())}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			var stored []*Value
			switch v.Op {
			case OpStore, OpAtomicAdd, OpFetchAdd, OpCmpXchg:
				stored = v.Args[1:]
			}
			for _, a := range stored {
				for _, s := range m.points[a.ID] {
					if !slices.Contains(m.escaped, s) {
						m.escaped = append(m.escaped, s)
					}
				}
			}
		}
	}
	return m
}

// helperArg describes how a helper uses memory that it receives.
type helperArg struct {
	reads, writes bool
	mustWrite     bool
	size          int // index of the argument that is the size in bytes; 0: to the end of the slot
}

// helperArgs describes the arguments of helpers. Keys and values are read to the end of their slot:
// only the map knows their length.
//
// bpf_get_current_comm and bpf_probe_read_* write every byte of the buffer, with zeros on failure.
// The _str forms write up to the NUL and leave the rest unchanged.
var helperArgs = map[asm.BuiltinFunc]map[int]helperArg{
	asm.FnMapLookupElem:      {1: {reads: true}},
	asm.FnMapDeleteElem:      {1: {reads: true}},
	asm.FnMapUpdateElem:      {1: {reads: true}, 2: {reads: true}},
	asm.FnGetCurrentComm:     {0: {writes: true, mustWrite: true, size: 1}},
	asm.FnProbeReadKernel:    {0: {writes: true, mustWrite: true, size: 1}},
	asm.FnProbeReadUser:      {0: {writes: true, mustWrite: true, size: 1}},
	asm.FnProbeReadKernelStr: {0: {writes: true, size: 1}},
	asm.FnProbeReadUserStr:   {0: {writes: true, size: 1}},
}

// touches returns the accesses of v to the stack.
func (m *memory) touches(v *Value) []memAccess {
	if v.ID >= len(m.cache) {
		return m.compute(v)
	}
	if !m.cached[v.ID] {
		m.cache[v.ID], m.cached[v.ID] = m.compute(v), true
	}
	return m.cache[v.ID]
}

// slots returns the slots that a value may point into.
func (m *memory) slots(v *Value) []*Slot {
	if v.ID >= len(m.points) {
		return nil
	}
	return m.points[v.ID]
}

func (m *memory) compute(v *Value) []memAccess {
	var ts []memAccess
	whole := func(p *Value, read, write bool) {
		for _, s := range m.slots(p) {
			ts = append(ts, memAccess{slot: s, hi: s.Size, read: read, write: write})
		}
	}
	word := func(size int, read, write bool) {
		p := v.Args[0]
		if p.Op != OpSlotAddr {
			whole(p, read, write)
			return
		}
		lo := p.Off + v.Off
		ts = append(ts, memAccess{p.Slot, lo, lo + size, read, write, write})
	}
	switch v.Op {
	case OpLoad:
		word(v.Size, true, false)
	case OpStore:
		word(v.Size, false, true)
	case OpAtomicAdd, OpFetchAdd, OpCmpXchg:
		word(8, true, true)
	case OpCall, OpCallSub, OpKfunc:
		for i, a := range v.Args {
			row, known := helperArg{}, false
			if v.Op == OpCall {
				row, known = helperArgs[v.Helper][i]
			}
			if !known || a.Op != OpSlotAddr {
				whole(a, true, true)
				continue
			}
			hi := a.Slot.Size
			if row.size > 0 {
				n, c := v.Args[row.size].IsConst()
				if !c || n < 0 || int64(a.Off)+n > int64(hi) {
					whole(a, true, true)
					continue
				}
				hi = a.Off + int(n)
			}
			ts = append(ts, memAccess{a.Slot, a.Off, hi, row.reads, row.writes, row.mustWrite})
		}
		for _, s := range m.escaped {
			ts = append(ts, memAccess{slot: s, hi: s.Size, read: true, write: true})
		}
	}
	return ts
}

// writes reports whether v may change bytes lo to hi of s.
func (m *memory) writes(v *Value, s *Slot, lo, hi int) bool {
	for _, t := range m.touches(v) {
		if t.write && t.slot == s && t.lo < hi && lo < t.hi {
			return true
		}
	}
	return false
}

// A walker determines which code may run between two points.
type walker struct {
	dom *domTree
	pos []int // by value ID, the value's index in its block
}

func newWalker(f *Func) *walker {
	w := &walker{dominators(f), make([]int, f.NumValues())}
	for _, b := range f.Blocks {
		for i, v := range b.Values {
			w.pos[v.ID] = i
		}
	}
	return w
}

// dominates reports whether a comes before b on every path to b.
func (w *walker) dominates(a, b *Value) bool {
	if a.Block == b.Block {
		return w.pos[a.ID] < w.pos[b.ID]
	}
	return w.dom.dominates(a.Block, b.Block)
}

// maxBetween and maxRegion bound the number of values and blocks that are examined between two
// points. What is farther apart is assumed to be disturbed; otherwise the compile time would grow
// with the square of a handler's length.
const (
	maxBetween = 512
	maxRegion  = 128
)

// between calls fn for each value that may run after the last run of a and before b, where a
// dominates b, until fn returns false. It reports whether fn never did. looped is true if b may run
// several times for one run of a.
func (w *walker) between(a, b *Value, fn func(*Value) bool) (ok, looped bool) {
	if a.Block == b.Block {
		vs := a.Block.Values[w.pos[a.ID]+1 : w.pos[b.ID]]
		return len(vs) <= maxBetween && all(vs, fn), false
	}
	if w.pos[b.ID] > maxBetween || len(a.Block.Values)-w.pos[a.ID] > maxBetween {
		return false, false
	}
	if !all(b.Block.Values[:w.pos[b.ID]], fn) || !all(a.Block.Values[w.pos[a.ID]+1:], fn) {
		return false, false
	}
	ok = w.region(a.Block, b.Block, func(blk *Block) bool {
		looped = looped || blk == b.Block
		return len(blk.Values) <= maxBetween && all(blk.Values, fn)
	})
	return ok, looped
}

// region calls fn for each block that may run after from and before to, where from dominates to,
// until fn returns false. It calls fn for to itself if to is in a loop that does not pass through
// from. It reports whether fn never returned false and the number of blocks was within maxRegion.
func (w *walker) region(from, to *Block, fn func(*Block) bool) bool {
	seen := map[*Block]bool{from: true}
	work := []*Block{to}
	for len(work) > 0 {
		b := work[len(work)-1]
		work = work[:len(work)-1]
		for _, p := range b.Preds {
			if seen[p] || !w.dom.reachable(p) {
				continue
			}
			seen[p] = true
			if len(seen) > maxRegion || !fn(p) {
				return false
			}
			work = append(work, p)
		}
	}
	return true
}

func all(vs []*Value, fn func(*Value) bool) bool {
	for _, v := range vs {
		if !fn(v) {
			return false
		}
	}
	return true
}

// isCall reports whether v clobbers R0 to R5.
func isCall(v *Value) bool { return v.Op == OpCall || v.Op == OpCallSub || v.Op == OpKfunc }

// changedBetween reports whether bytes lo to hi of s may change after a and before b.
func (m *memory) changedBetween(w *walker, a, b *Value, s *Slot, lo, hi int) bool {
	ok, _ := w.between(a, b, func(v *Value) bool { return !m.writes(v, s, lo, hi) })
	return !ok
}

// contextReadOnly reports whether reads of the context return the same throughout a run. They do
// not for a subprogram's parameters, which may point to anything, and not if bpf_override_return
// writes to the registers that the context consists of.
func contextReadOnly(f *Func) bool {
	if f.Params > 0 {
		return false
	}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Op == OpCall && v.Helper == asm.FnOverrideReturn {
				return false
			}
		}
	}
	return true
}

// slotPointers returns, by value ID, the slots that a value may point into.
func slotPointers(f *Func) [][]*Slot {
	points := make([][]*Slot, f.NumValues())
	var sums []*Value // values that may point wherever their arguments point
	for _, b := range f.Blocks {
		sums = append(sums, b.Phis...)
		for _, v := range b.Values {
			switch v.Op {
			case OpSlotAddr:
				points[v.ID] = f.Slots[v.Slot.ID : v.Slot.ID+1 : v.Slot.ID+1]
			case OpAdd, OpSub:
				sums = append(sums, v)
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for _, v := range sums {
			for _, a := range v.Args {
				for _, s := range points[a.ID] {
					if !slices.Contains(points[v.ID], s) {
						points[v.ID] = append(points[v.ID], s)
						changed = true
					}
				}
			}
		}
	}
	return points
}
