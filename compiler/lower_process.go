package compiler

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A program that belongs to one process (Request.Process) ends at once where an event is another's. It comes before all else,
// since most events are.

// eventPID is e.pid.
func (c *checker) eventPID() expr {
	return c.attr(&eStatic{node: node{types.TEvent, c.req.Handler.Pos}}, "pid", c.req.Handler.Pos)
}

func (lw *lowerer) onlyProcess(pid expr) {
	b, only := lw.b, lw.req.Process
	var id *ir.Value
	if only.Ino == 0 {
		id = lw.value(pid).w
	} else {
		id = lw.pidIn(only.Dev, only.Ino)
	}
	mine := b.Block("process")
	b.If(ir.EQ, id, b.Const(int64(only.PID)), mine, lw.end)
	b.Continue(mine)
}

// pidIn gives the running process's id in a namespace; 0 where it has none there.
func (lw *lowerer) pidIn(dev, ino uint64) *ir.Value {
	ids := lw.slotMem(lw.scratch(8, "ids")) // struct bpf_pidns_info: thread, process; zeros where the helper fails
	lw.call(asm.FnGetNsCurrentPidTgid, lw.b.Const(int64(dev)), lw.b.Const(int64(ino)), lw.addr(ids), lw.b.Const(8))
	return lw.b.Load(ids.base, ids.off+4, 4, false)
}
