package lower

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// The stack has 512 bytes. What does not fit there lives in the scratch map, of which each run
// acquires a slot when it starts and releases it on every path out. Runs can interleave on one
// CPU: a probe in an interrupt comes in between, a program of a uprobe can be preempted. So each
// CPU has several slots, each with a word that is set while the slot is in use. A run stays on
// its CPU. On kernels without compare-exchange (before 5.12) programs cannot be preempted either:
// there, a run that comes in between has released its slot by the time the interrupted run
// continues, so a plain load and store suffice.

// A scratchPlace is a point at which scratch memory can be acquired, or the point that is being
// lowered.
type scratchPlace uint8

const (
	scratchNowhere scratchPlace = iota
	scratchHandler
	scratchFilter
)

// A scratch allocates the memory of a slot of the scratch map.
type scratch struct {
	limit          int          // larger values do not go on the stack
	wanted, taken  scratchPlace // the earliest place that needs it; where it is acquired
	at             scratchPlace
	base           *int // the variable with the address of the slot
	acquired       bool // the slot has been acquired
	size           int
	live, freeList []storage // of statements: in use, and free
}

// A storage is memory of a run: a stack slot, or, if slot is nil, bytes of scratch memory.
type storage struct {
	slot     *ir.Slot
	off, cap int
}

func (h *scratch) reset(at scratchPlace) {
	h.at, h.base, h.acquired, h.size, h.live, h.freeList = at, new(int), false, abi.ScratchHeader, nil, nil
}

// free releases what was allocated after n others were in use.
func (h *scratch) free(n int) {
	h.freeList = append(h.freeList, h.live[n:]...)
	h.live = h.live[:n]
}

// has reports whether a value of that size lives in scratch memory.
func (h *scratch) has(size int) bool {
	if size <= h.limit || h.at == scratchNowhere {
		return false
	}
	h.wanted = max(h.wanted, h.at)
	return h.acquired
}

// alloc returns memory for the whole run.
func (lw *Lowerer) alloc(size int, name string) storage {
	size = (size + 7) &^ 7
	if !lw.scratch.has(size) {
		return storage{slot: lw.B.F.NewSlot(size, name), cap: size}
	}
	r := storage{off: lw.scratch.size, cap: size}
	lw.scratch.size += size
	lw.needs.ScratchSize = max(lw.needs.ScratchSize, lw.scratch.size)
	return r
}

// allocTemp returns memory that is free again at the end of the statement.
func (lw *Lowerer) allocTemp(size int, name string) mem {
	size = max((size+7)&^7, 8)
	if !lw.scratch.has(size) {
		return mem{lw.B.SlotAddr(lw.scratchSlot(size, name), 0), 0, size}
	}
	h := &lw.scratch
	best := -1
	for i, r := range h.freeList {
		if r.cap >= size && (best < 0 || r.cap < h.freeList[best].cap) {
			best = i
		}
	}
	var r storage
	if best >= 0 {
		r = h.freeList[best]
		h.freeList = append(h.freeList[:best], h.freeList[best+1:]...)
	} else {
		r = lw.alloc(size, name)
	}
	h.live = append(h.live, r)
	return mem{lw.B.Read(h.base), r.off, size}
}

// mem returns a storage as a place in memory.
func (lw *Lowerer) mem(r storage) mem {
	if r.slot != nil {
		return lw.slotMem(r.slot)
	}
	return mem{lw.B.Read(lw.scratch.base), r.off, r.cap}
}

// acquireScratch acquires a slot of the scratch map if this is the place to do so. If all slots
// are in use the run ends, which is counted as an error.
func (lw *Lowerer) acquireScratch() {
	if lw.scratch.taken != lw.scratch.at {
		return
	}
	b := lw.B
	lw.needs.ScratchSize = abi.ScratchHeader
	got := b.Block("scratch")
	key := lw.scratchSlot(8, "scratch")
	n, left := new(int), new(int)
	b.Write(n, b.Add(ir.OpMul, lw.PureCall(asm.FnGetSmpProcessorId), b.Const(abi.ScratchSlots)))
	b.Write(left, b.Const(abi.ScratchSlots))
	var base *ir.Value
	b.InLoop(func() {
		head, there, taken := b.Block("scratch"), b.Block(""), b.Block("taken")
		var again, none *ir.Block
		b.InCold(func() { again, none = b.Block("again"), b.Block("none") })
		taken.Cold = true
		b.Jump(head)
		b.Start(head)
		b.Store(b.SlotAddr(key, 0), 0, 4, b.Read(n))
		base = lw.Call(asm.FnMapLookupElem, b.MapPtr(lw.Req.Scratch), b.SlotAddr(key, 0))
		b.If(ir.EQ, base, b.Const(0), lw.end, there) // never; the verifier requires it
		b.Continue(there)
		if lw.Req.Features.FetchAtomics {
			b.If(ir.EQ, b.Add(ir.OpCmpXchg, base, b.Const(0), b.Const(1)), b.Const(0), got, taken)
		} else {
			free := b.Block("free")
			b.If(ir.EQ, b.Load(base, 0, 8, false), b.Const(0), free, taken)
			b.Continue(free)
			b.Store(base, 0, 8, b.Const(1))
			b.Jump(got)
		}
		b.Continue(taken)
		l := b.Add(ir.OpSub, b.Read(left), b.Const(1))
		b.If(ir.EQ, l, b.Const(0), none, again)
		b.Continue(again)
		b.Write(left, l)
		b.Write(n, b.Add(ir.OpAdd, b.Read(n), b.Const(1)))
		b.Jump(head)
		b.Seal(head)
		b.Continue(none)
		lw.Fail(Site{Pos: b.Pos, Op: "scratch", Ends: true}, b.Const(-errBusy))
		b.Jump(lw.end)
	})
	b.Continue(got)
	b.NeverHide(lw.scratch.base)
	b.Write(lw.scratch.base, base)
	lw.scratch.acquired = true
	lw.end = b.Block("release")
}

// release releases the slot where the run ends, and continues at end.
func (lw *Lowerer) release(end *ir.Block) {
	if lw.end == end {
		return
	}
	lw.B.Continue(lw.end)
	if !lw.B.Dead() {
		lw.B.Store(lw.B.Read(lw.scratch.base), 0, 8, lw.B.Const(0))
		lw.B.Jump(end)
	}
}
