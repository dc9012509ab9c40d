package lower

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// Errors are counted in cells: a per-CPU array indexed by site and errno, whose elements hold a
// count and the times of the first and the last error. A failing site costs a lookup and an add;
// nothing is sent to the host, and no error is lost.

// The errno of the handler's own errors, and of helpers that return no code.
const (
	errNoEnt   = 2  // ENOENT: a missing key
	errFault   = 14 // EFAULT: a stack without frames, a NULL pointer that was followed
	errBusy    = 16 // EBUSY: all slots of the scratch map are in use
	errAgain   = 11 // EAGAIN: a compare-exchange that never succeeded
	errInval   = 22 // EINVAL: a negative shift count
	errNoSpc   = 28 // ENOSPC: the ring buffer is full
	errDom     = 33 // EDOM: division by zero
	errRange   = 34 // ERANGE: an index out of range
	errExist   = 17
	errTooLong = 7  // E2BIG: a loop that did not end
	errLong    = 36 // ENAMETOOLONG: a path
)

// countName is the name of the subprogram that counts an error.
const countName = "count_error"

// Fail counts an error at a site. code is the negative errno.
func (lw *Lowerer) Fail(s Site, code *ir.Value) {
	lw.counts++
	n := len(lw.needs.Sites)
	if s.Pos.Line == 0 {
		s.Pos = lw.B.Pos
	}
	lw.needs.Sites = append(lw.needs.Sites, s)
	site := lw.B.Const(int64(abi.CellIndex(n, 0)))
	lw.B.InCold(func() {
		if lw.inline {
			done := lw.B.Block("counted")
			lw.scoped(func() { lw.countError(lw.B, lw.scratchSlot(8, "cell"), site, code, done) })
			lw.B.Continue(done)
			return
		}
		v := lw.B.Add(ir.OpCallSub, site, code)
		v.Sym = countName
	})
}

// countKeys counts a key that was inserted into or deleted from a table from which the kernel
// evicts keys.
func (lw *Lowerer) countKeys(m *tree.Map, what KeyCounter) {
	if m.LRU {
		lw.Fail(Site{Map: m, KeyCounter: what}, lw.B.Const(0))
	}
}

// countError emits the code that counts an error; it continues at done.
func (lw *Lowerer) countError(b *ir.Builder, key *ir.Slot, site, code *ir.Value, done *ir.Block) {
	n := b.Add(ir.OpNeg, code)
	n = b.Add(ir.OpAnd, n, b.Const(abi.CellsPerSite-1))
	n = b.Add(ir.OpAdd, n, site)
	b.Store(b.SlotAddr(key, 0), 0, 4, n)
	cell := b.Add(ir.OpCall, b.MapPtr(lw.Req.Cells), b.SlotAddr(key, 0))
	cell.Helper = asm.FnMapLookupElem
	found, first, add := b.Block("cell"), b.Block("first"), b.Block("add")
	b.If(ir.EQ, cell, b.Const(0), done, found)
	b.Continue(found)
	t := b.Add(ir.OpCall)
	t.Helper = asm.FnKtimeGetNs
	b.Store(cell, abi.CellLast, 8, t)
	b.If(ir.EQ, b.Load(cell, abi.CellFirst, 8, false), b.Const(0), first, add)
	b.Continue(first)
	b.Store(cell, abi.CellFirst, 8, t)
	b.Jump(add)
	b.Continue(add)
	inc := b.Add(ir.OpAtomicAdd, cell, b.Const(1))
	inc.Off = abi.CellCount
	b.Jump(done)
}

// countSub returns the subprogram that counts an error: R1 is the site's first cell, R2 the
// negative errno.
func (lw *Lowerer) countSub() *ir.Func {
	b := ir.NewBuilder(countName)
	b.F.Params = 2
	arg := func(n int64) *ir.Value {
		v := b.Add(ir.OpCtx)
		v.Imm = n
		return v
	}
	done := b.Block("done")
	lw.countError(b, b.F.NewSlot(8, "cell"), arg(0), arg(1), done)
	b.Continue(done)
	b.Ret(b.Const(0))
	return b.Finish()
}
