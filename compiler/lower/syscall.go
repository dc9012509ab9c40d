package lower

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
)

// A program that serves many probes of system calls is attached to the two events that every call
// passes, sys_enter and sys_exit. An array indexed by the number of the call maps it to the probe.
// The kernel's own system call tracepoints skip the calls of 32-bit programs
// (arch_trace_is_compat_syscall), and so does the program.

// Compat reads the bit, as 0 or 1.
func (lw *Lowerer) Compat() *ir.Value {
	b, flag := lw.B, lw.Req.Compat
	switch {
	case flag == nil:
		return b.Const(0)
	case lw.Req.Features.TaskBTF:
		return lw.Extend(b.Load(lw.PureCall(asm.FnGetCurrentTaskBtf), flag.Offset, 4, false), flag.Bit, 1, false)
	}
	at := lw.plus(lw.PureCall(asm.FnGetCurrentTask), flag.Offset)
	return lw.Extend(lw.readWord(memRead{addr: at, op: "e.compat", pos: lw.B.Pos}, 4, false), flag.Bit, 1, false)
}

// ownSyscalls ends the program at system calls that are not among its probes.
func (lw *Lowerer) ownSyscalls() {
	b := lw.B
	lw.needs.UsesSyscalls = true
	entry := lw.syscallEntry()
	served, own := b.Block("served"), b.Block("own")
	b.If(ir.EQ, b.Load(entry, abi.SyscallCookie, 8, false), b.Const(0), lw.end, served)
	b.Continue(served)
	b.If(ir.NE, lw.Compat(), b.Const(0), lw.end, own)
	b.Continue(own)
	if lw.Req.Event.Syscalls.Count {
		b.Add(ir.OpAtomicAdd, entry, b.Const(1)).Off = abi.SyscallRuns
	}
}

// syscallEntry returns the array element of the current system call; if there is none the program
// ends.
func (lw *Lowerer) syscallEntry() *ir.Value {
	b, calls := lw.B, lw.Req.Event.Syscalls
	number := lw.arg(&tree.ArgExpr{Node: tree.At(types.TInt, b.Pos), Field: lw.Req.Event.Number, Index: 0, Max: 0})
	found := b.Block("found")
	entry := lw.element(calls.Map, number.W)
	b.If(ir.EQ, entry, b.Const(0), lw.end, found)
	b.Continue(found)
	return entry
}

// element looks up a 32-bit index in an array.
func (lw *Lowerer) element(array string, index *ir.Value) *ir.Value {
	key := lw.scratchSlot(8, "index")
	lw.B.Store(lw.B.SlotAddr(key, 0), 0, 4, index)
	return lw.Call(asm.FnMapLookupElem, lw.B.MapPtr(array), lw.B.SlotAddr(key, 0))
}

// passGate ends the program while its gate is closed.
func (lw *Lowerer) passGate() {
	b := lw.B
	lw.needs.UsesGate = true
	word := lw.element(lw.Req.Event.Gate, b.Const(0))
	found, open := b.Block("gate"), b.Block("open")
	b.If(ir.EQ, word, b.Const(0), lw.end, found)
	b.Continue(found)
	b.If(ir.EQ, b.Load(word, 0, 8, false), b.Const(abi.GateShut), lw.end, open)
	b.Continue(open)
}

// SyscallName maps the numbers that a system call has in the ABIs of the host to a single
// number, since values with the same name must be equal in the kernel too. A constant is a number
// of the native architecture.
func SyscallName(lw *Lowerer, e *tree.BuiltinExpr) Val {
	b := lw.B
	n := lw.Value(e.Args[0]).W
	if tree.IsConst(e.Args[0]) || lw.Req.Compat == nil {
		return Scalar(e.T, n)
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
		at := lw.element(lw.Req.Canonical, b.Add(ir.OpAdd, i, b.Const(index)))
		b.If(ir.EQ, at, b.Const(0), done, found)
		b.Continue(found)
		b.Write(res, b.Load(at, 0, 8, false))
		b.Jump(done)
	}
	b.If(ir.NE, lw.Compat(), b.Const(0), compat, native)
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
	return Scalar(e.T, b.Read(res))
}
