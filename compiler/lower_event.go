package compiler

import (
	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// arg reads an argument of one word.
func (lw *lowerer) arg(e *eArg) val {
	f := e.f
	ctx := lw.ctx()
	switch f.Kind {
	case abi.FieldArray:
		return scalar(e.t, lw.b.Load(ctx, f.Offset+e.index*f.ElemSize, f.ElemSize, f.Signed))
	case abi.FieldValue:
		return lw.load(mem{ctx, f.Offset, typeOfValue(f).Size()}, typeOfValue(f))
	case abi.FieldMemory:
		return scalar(e.t, lw.memoryArg(e))
	case abi.FieldBool:
		w := lw.b.Load(ctx, f.Offset, f.Size, false)
		return scalar(e.t, w)
	}
	w := lw.b.Load(ctx, f.Offset, f.Size, f.Signed)
	switch {
	case f.Tracked:
		w = lw.untrack(w)
	case f.Kind == abi.FieldPointer && lw.req.Event.BTFArgs:
		w = lw.forget(w)
	}
	return scalar(e.t, w)
}

// untrack turns a pointer that the verifier tracks into a plain number, because handlers may
// compute with addresses. After a negation it is a number to the verifier (check_alu_op,
// kernel/bpf/verifier.c), and the second negation restores the value.
func (lw *lowerer) untrack(w *ir.Value) *ir.Value {
	return lw.b.Add(ir.OpNeg, lw.b.Add(ir.OpNeg, w))
}

// argStr reads an argument that is a string of the record.
func (lw *lowerer) argStr(e *eArg, dst mem, pad bool) {
	f := e.f
	ctx := lw.ctx()
	var addr *ir.Value
	n := dst.cap
	if e.max > 0 {
		n = min(n, e.max)
	}
	switch f.Kind {
	case abi.FieldValue:
		lw.copyStr(dst, mem{ctx, f.Offset, typeOfValue(f).Cap})
		return
	case abi.FieldMemoryString:
		lw.readInto(memRead{space: spaceOfPlace(f.At), addr: lw.address(f.At, e.pos), str: true, op: "e.args." + f.Name, pos: e.pos}, dst, min(n, f.Size), pad)
		return
	case abi.FieldCharArray:
		addr = lw.b.Add(ir.OpAdd, ctx, lw.b.Const(int64(f.Offset)))
		n = min(n, f.Size)
	default:
		loc := lw.b.Load(ctx, f.Offset, 4, false)
		off := lw.b.Add(ir.OpAnd, loc, lw.b.Const(0xffff))
		if f.Kind == abi.FieldRelLocString {
			off = lw.b.Add(ir.OpAdd, off, lw.b.Const(int64(f.Offset+4)))
		}
		addr = lw.b.Add(ir.OpAdd, ctx, off)
		n = min(n, e.t.Cap)
	}
	lw.readInto(memRead{addr: addr, str: true, op: "e.args." + f.Name, pos: e.pos}, dst, n, pad)
}

// readStr reads the string at an address.
func (lw *lowerer) readStr(e *eStr, addr *ir.Value, dst mem, pad bool) {
	n := min(dst.cap, e.max)
	m := memRead{space: spaceOfAddr(e.ptr.typ()), addr: addr, str: true, op: "str", pos: e.pos}
	if e.n == nil {
		lw.readInto(m, dst, n, pad)
		return
	}
	b := lw.b
	size := lw.value(e.n).w
	if e.n.typ().Kind != types.Uint { // negative counts as 0
		size = b.Add(ir.OpAnd, size, b.Add(ir.OpXor, b.Add(ir.OpAShr, size, b.Const(63)), b.Const(-1)))
	}
	size, _ = lw.atMost(size, int64(n))
	lw.fill(dst, 0)
	fits, done := b.Block("fits"), b.Block("")
	size = b.Pin(size)
	b.If(ir.ULE, size, b.Const(int64(n)), fits, done) // always; the verifier requires it
	b.Continue(fits)
	m.dst, m.size = lw.addr(dst), size
	lw.readTo(m, done)
	b.Jump(done)
	b.Continue(done)
}

// readInto reads at most n bytes to dst. If pad is set it reads a string, and zeroes dst first,
// because the helper writes only up to the NUL.
func (lw *lowerer) readInto(m memRead, dst mem, n int, pad bool) {
	b := lw.b
	if pad {
		lw.fill(dst, 0)
	}
	done := b.Block("")
	m.dst, m.size = lw.addr(dst), b.Const(int64(n))
	lw.readTo(m, done)
	b.Jump(done)
	b.Continue(done)
}

// cookie returns the cookie that identifies the probe that runs the program.
func (lw *lowerer) cookie() *ir.Value {
	if lw.req.Event.Syscalls != nil {
		return lw.b.Load(lw.syscallEntry(), abi.SyscallCookie, 8, false)
	}
	lw.needs.UsesCookie = true
	return lw.call(asm.FnGetAttachCookie, lw.ctx())
}

// address computes the address of an argument that is not in the context.
func (lw *lowerer) address(a abi.Address, pos syntax.Position) *ir.Value {
	b := lw.b
	sum := b.Const(a.Disp)
	if a.Index >= 0 {
		sum = b.Add(ir.OpAdd, sum, b.Add(ir.OpMul, b.Load(lw.ctx(), a.Index, 8, false), b.Const(int64(a.Scale))))
	}
	switch {
	case a.Base >= 0 && a.Kernel && !a.Word:
		// To the verifier this is a pointer that may be NULL, and it rejects arithmetic on such
		// pointers.
		base := lw.readWord(memRead{addr: b.Add(ir.OpAdd, lw.ctx(), b.Const(int64(a.Base))), op: "e.args", pos: pos}, 8, false)
		sum = b.Add(ir.OpAdd, base, sum)
	case a.Base >= 0:
		sum = b.Add(ir.OpAdd, b.Load(lw.ctx(), a.Base, 8, false), sum)
	}
	if a.Context {
		sum = b.Add(ir.OpAdd, lw.ctx(), sum)
	}
	return sum
}

// memoryArg reads an argument from memory; it is 0, and the error is counted, if it cannot be read.
func (lw *lowerer) memoryArg(e *eArg) *ir.Value {
	return lw.readWord(memRead{space: spaceOfPlace(e.f.At), addr: lw.address(e.f.At, e.pos), op: "e.args", pos: e.pos}, e.f.Size, e.f.Signed)
}

// spaceOfPlace returns the memory space of a field outside the context.
func spaceOfPlace(a abi.Address) types.Space {
	if a.Kernel {
		return types.Kernel
	}
	return types.User
}
