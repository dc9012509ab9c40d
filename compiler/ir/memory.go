package ir

import (
	"slices"

	"github.com/cilium/ebpf/asm"
)

// What values do to the stack, byte by byte, for the passes that move, share or drop accesses. A pointer whose slot and
// offset are plain (OpSlotAddr) touches a range that is known; anything computed from one touches whole slots. Helpers are taken to
// read and write all of a slot that they get, but for those in the table below.

// A memAccess is what a value does to a range of a slot.
type memAccess struct {
	slot      *Slot
	lo, hi    int
	read      bool
	write     bool
	mustWrite bool // it writes each byte of the range, whatever happens
}

// A memory tells what the values of a function do to its slots. Its lists are by the IDs of values.
type memory struct {
	points  [][]*Slot // that a value may point into
	escaped []*Slot   // their address lies in memory: any call may touch them
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

// helperArg is how a helper treats memory that it gets.
type helperArg struct {
	reads, writes bool
	mustWrite     bool
	size          int // the argument that holds the number of bytes; 0: to the end of the slot
}

// helperArgs says what helpers do by argument. Keys and values are read to the end of their slot: how long they are is
// known to the map alone.
//
// bpf_get_current_comm and bpf_probe_read_* write each byte of the buffer, with zeros where they fail. The _str forms write up to
// the NUL, and leave what is behind as it was.
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

// touches lists what v does to the stack.
func (m *memory) touches(v *Value) []memAccess {
	if v.ID >= len(m.cache) {
		return m.compute(v)
	}
	if !m.cached[v.ID] {
		m.cache[v.ID], m.cached[v.ID] = m.compute(v), true
	}
	return m.cache[v.ID]
}

// slots lists the slots that a value may point into.
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

// writes tells whether v may change bytes lo to hi of s.
func (m *memory) writes(v *Value, s *Slot, lo, hi int) bool {
	for _, t := range m.touches(v) {
		if t.write && t.slot == s && t.lo < hi && lo < t.hi {
			return true
		}
	}
	return false
}

// A walker answers what may run between two places.
type walker struct {
	dom *DomTree
	pos []int // by the ID of a value, its place in its block
}

func newWalker(f *Func) *walker {
	w := &walker{Dominators(f), make([]int, f.NumValues())}
	for _, b := range f.Blocks {
		for i, v := range b.Values {
			w.pos[v.ID] = i
		}
	}
	return w
}

// dominates tells whether a stands before b on every way to b.
func (w *walker) dominates(a, b *Value) bool {
	if a.Block == b.Block {
		return w.pos[a.ID] < w.pos[b.ID]
	}
	return w.dom.Dominates(a.Block, b.Block)
}

// maxBetween and maxRegion bound the values and the blocks that are looked at between two places. What is farther apart is taken to be
// disturbed: else the time to compile would grow with the square of a handler's length.
const (
	maxBetween = 512
	maxRegion  = 128
)

// between calls fn for each value that may run after the last run of a and before b, where a dominates b, until fn says
// false. It tells whether fn never did. looped is true where b may run several times for one run of a.
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

// region calls fn for each block that may run after from and before to, where from dominates to, until fn says false.
// It calls fn for to itself where there is a way around to it. It returns false if there are too many blocks.
func (w *walker) region(from, to *Block, fn func(*Block) bool) bool {
	seen := map[*Block]bool{from: true}
	work := []*Block{to}
	for len(work) > 0 {
		b := work[len(work)-1]
		work = work[:len(work)-1]
		for _, p := range b.Preds {
			if seen[p] || !w.dom.Reachable(p) {
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

// isCall tells of values in which R0 to R5 are lost.
func isCall(v *Value) bool { return v.Op == OpCall || v.Op == OpCallSub || v.Op == OpKfunc }

// changedBetween tells whether bytes lo to hi of s may change after a and before b.
func (m *memory) changedBetween(w *walker, a, b *Value, s *Slot, lo, hi int) bool {
	ok, _ := w.between(a, b, func(v *Value) bool { return !m.writes(v, s, lo, hi) })
	return !ok
}

// contextReadOnly tells whether what is read of the context is the same throughout a run: not of a subprogram's parameters, which
// may point to anything, and not where bpf_override_return writes to the registers that the context is.
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
