package compiler

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
)

// A program that serves many probes of system calls is attached to the two events that every call
// passes, sys_enter and sys_exit. An array indexed by the number of the call maps it to the probe.
// The kernel's own system call tracepoints skip the calls of 32-bit programs
// (arch_trace_is_compat_syscall), and so does the program.

// compat reads the bit, as 0 or 1.
func (lw *lowerer) compat() *ir.Value {
	b, flag := lw.b, lw.req.Compat
	switch {
	case flag == nil:
		return b.Const(0)
	case lw.req.Features.TaskBTF:
		return lw.extend(b.Load(lw.pureCall(asm.FnGetCurrentTaskBtf), flag.Offset, 4, false), flag.Bit, 1, false)
	}
	at := lw.plus(lw.pureCall(asm.FnGetCurrentTask), flag.Offset)
	return lw.extend(lw.readWord(memRead{addr: at, op: "e.compat", pos: lw.b.Pos}, 4, false), flag.Bit, 1, false)
}

// ownSyscalls ends the program at system calls that are not among its probes.
func (lw *lowerer) ownSyscalls() {
	b := lw.b
	lw.needs.UsesSyscalls = true
	entry := lw.syscallEntry()
	served, own := b.Block("served"), b.Block("own")
	b.If(ir.EQ, b.Load(entry, abi.SyscallCookie, 8, false), b.Const(0), lw.end, served)
	b.Continue(served)
	b.If(ir.NE, lw.compat(), b.Const(0), lw.end, own)
	b.Continue(own)
	if lw.req.Event.Syscalls.Count {
		b.Add(ir.OpAtomicAdd, entry, b.Const(1)).Off = abi.SyscallRuns
	}
}

// syscallEntry returns the array element of the current system call; if there is none the program
// ends.
func (lw *lowerer) syscallEntry() *ir.Value {
	b, calls := lw.b, lw.req.Event.Syscalls
	number := lw.arg(&eArg{node{types.TInt, b.Pos}, lw.req.Event.Number, 0, 0})
	found := b.Block("found")
	entry := lw.element(calls.Map, number.w)
	b.If(ir.EQ, entry, b.Const(0), lw.end, found)
	b.Continue(found)
	return entry
}

// element looks up a 32-bit index in an array.
func (lw *lowerer) element(array string, index *ir.Value) *ir.Value {
	key := lw.scratchSlot(8, "index")
	lw.b.Store(lw.b.SlotAddr(key, 0), 0, 4, index)
	return lw.call(asm.FnMapLookupElem, lw.b.MapPtr(array), lw.b.SlotAddr(key, 0))
}

// passGate ends the program while its gate is closed.
func (lw *lowerer) passGate() {
	b := lw.b
	lw.needs.UsesGate = true
	word := lw.element(lw.req.Event.Gate, b.Const(0))
	found, open := b.Block("gate"), b.Block("open")
	b.If(ir.EQ, word, b.Const(0), lw.end, found)
	b.Continue(found)
	b.If(ir.EQ, b.Load(word, 0, 8, false), b.Const(abi.GateShut), lw.end, open)
	b.Continue(open)
}

// lowerSyscallName maps the numbers that a system call has in the ABIs of the host to a single
// number, since values with the same name must be equal in the kernel too. A constant is a number
// of the native architecture.
func lowerSyscallName(lw *lowerer, e *eBuiltin) val {
	b := lw.b
	n := lw.value(e.args[0]).w
	if isConst(e.args[0]) || lw.req.Compat == nil {
		return scalar(e.t, n)
	}
	lw.needs.UsesNumbers = true
	res := new(int)
	b.Write(res, n)
	compat, native, done := b.Block("compat"), b.Block("native"), b.Block("")
	// lookup writes the table's number for n to res; i is n relative to the first number, and index
	// is where the table starts.
	lookup := func(i *ir.Value, index, size int64) {
		within, found := b.Block("within"), b.Block("found")
		b.If(ir.UGE, i, b.Const(size), done, within)
		b.Continue(within)
		at := lw.element(lw.req.Canonical, b.Add(ir.OpAdd, i, b.Const(index)))
		b.If(ir.EQ, at, b.Const(0), done, found)
		b.Continue(found)
		b.Write(res, b.Load(at, 0, 8, false))
		b.Jump(done)
	}
	b.If(ir.NE, lw.compat(), b.Const(0), compat, native)
	b.Continue(compat)
	compat.Cold = true
	b.Write(res, b.Add(ir.OpOr, n, b.Const(kernelnames.CompatBit)))
	lookup(n, 0, kernelnames.Compat32)
	b.Continue(native)
	if first, size := kernelnames.X32(); size > 0 {
		lookup(b.Add(ir.OpSub, n, b.Const(first)), kernelnames.Compat32, size)
	} else {
		b.Jump(done)
	}
	b.Continue(done)
	return scalar(e.t, b.Read(res))
}
