package lower

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// pidIn returns the running process's ID in a namespace, or 0 if it has none there.
func (lw *Lowerer) pidIn(dev, ino uint64) *ir.Value {
	// struct bpf_pidns_info: thread, process; zeros if the helper fails
	ids := lw.slotMem(lw.scratchSlot(8, "ids"))
	lw.Call(asm.FnGetNsCurrentPidTgid, lw.B.Const(int64(dev)), lw.B.Const(int64(ino)), lw.addr(ids), lw.B.Const(8))
	return lw.B.Load(ids.base, ids.off+4, 4, false)
}

// outsider is added to the IDs of tasks that have none in Request.Namespace, so that they differ
// from all IDs in it.
const outsider = 1 << 32

// TaskID returns the ID of the running process, or of the running thread.
func (lw *Lowerer) TaskID(process bool) *ir.Value {
	ns, b := lw.Req.Namespace, lw.B
	if ns == nil {
		return lw.Half32(lw.PureCall(asm.FnGetCurrentPidTgid), process)
	}
	ids := lw.slotMem(lw.scratchSlot(8, "ids"))
	failed := lw.Call(asm.FnGetNsCurrentPidTgid, b.Const(int64(ns.Dev)), b.Const(int64(ns.Ino)), lw.addr(ids), b.Const(8))
	off := ids.off
	if process {
		off += 4
	}
	id := new(int)
	inside, outside, done := b.Block("inside"), b.Block("outside"), b.Block("")
	b.If(ir.EQ, failed, b.Const(0), inside, outside)
	b.Continue(inside)
	b.Write(id, b.Load(ids.base, off, 4, false))
	b.Jump(done)
	b.Continue(outside)
	b.Write(id, b.Add(ir.OpAdd, lw.Half32(lw.PureCall(asm.FnGetCurrentPidTgid), process), b.Const(outsider)))
	b.Jump(done)
	b.Continue(done)
	return b.Read(id)
}
