package compiler

import (
	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// arg reads an argument that is one word.
func (lw *lowerer) arg(e *eArg) val {
	f := e.f
	ctx := lw.ctx()
	switch f.Kind {
	case FieldArray:
		return scalar(e.t, lw.b.Load(ctx, f.Offset+e.index*f.Elem, f.Elem, f.Signed))
	case FieldTyped:
		return lw.load(mem{ctx, f.Offset, f.Type.Size()}, f.Type)
	case FieldMemory:
		return scalar(e.t, lw.memoryArg(e))
	case FieldBool:
		w := lw.b.Load(ctx, f.Offset, f.Size, false)
		return scalar(e.t, w)
	}
	w := lw.b.Load(ctx, f.Offset, f.Size, f.Signed)
	switch {
	case f.Tracked:
		w = lw.untrack(w)
	case f.Kind == FieldPtr && lw.req.Event.BTFArgs:
		w = lw.forget(w)
	}
	return scalar(e.t, w)
}

// untrack makes a plain number of a pointer that the verifier follows, since handlers may compute with addresses: after a
// negation it is one to the verifier (check_alu_op, kernel/bpf/verifier.c), and the second gives the value back.
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
	case FieldTyped:
		lw.copyStr(dst, mem{ctx, f.Offset, f.Type.Cap})
		return
	case FieldMemoryStr:
		fn, helper := asm.FnProbeReadUserStr, "probe_read_user_str"
		if f.At.Kernel {
			fn, helper = asm.FnProbeReadKernelStr, "probe_read_kernel_str"
		}
		lw.readInto(fn, helper, "e.args."+f.Name, lw.address(f.At, e.pos), dst, min(n, f.Size), pad, e.pos)
		return
	case FieldChars:
		addr = lw.b.Add(ir.OpAdd, ctx, lw.b.Const(int64(f.Offset)))
		n = min(n, f.Size)
	default:
		loc := lw.b.Load(ctx, f.Offset, 4, false)
		off := lw.b.Add(ir.OpAnd, loc, lw.b.Const(0xffff))
		if f.Kind == FieldRelLoc {
			off = lw.b.Add(ir.OpAdd, off, lw.b.Const(int64(f.Offset+4)))
		}
		addr = lw.b.Add(ir.OpAdd, ctx, off)
		n = min(n, e.t.Cap)
	}
	lw.readInto(asm.FnProbeReadKernelStr, "probe_read_kernel_str", "e.args."+f.Name, addr, dst, n, pad, e.pos)
}

// readStr reads the string at an address.
func (lw *lowerer) readStr(e *eStr, addr *ir.Value, dst mem, pad bool) {
	n := min(dst.cap, e.max)
	lw.bySpace(e.ptr.typ(), addr, func(user bool) {
		fn, name := asm.FnProbeReadKernelStr, "probe_read_kernel_str"
		if user {
			fn, name = asm.FnProbeReadUserStr, "probe_read_user_str"
		}
		lw.readInto(fn, name, "str", addr, dst, n, pad, e.pos)
	})
}

// bySpace reads from user or kernel memory, as an address of type t has it. An address of unknown kind is the kernel's where
// its top bit is set, as on all architectures that we run on.
func (lw *lowerer) bySpace(t *types.Type, addr *ir.Value, read func(user bool)) {
	if t.Kind == types.Ptr && !t.AnySpace {
		read(t.User)
		return
	}
	k, u, done := lw.b.Block("kernel"), lw.b.Block("user"), lw.b.Block("")
	lw.b.If(ir.SLT, addr, lw.b.Const(0), k, u)
	lw.b.Continue(k)
	read(false)
	lw.b.Jump(done)
	lw.b.Continue(u)
	read(true)
	lw.b.Jump(done)
	lw.b.Continue(done)
}

// readInto reads a string of at most n bytes, the NUL among them; the helper empties dst where it fails.
func (lw *lowerer) readInto(fn asm.BuiltinFunc, helper, op string, addr *ir.Value, dst mem, n int, pad bool, pos syntax.Position) {
	b := lw.b
	if pad {
		lw.fill(dst, 0) // the helper writes up to the NUL
	}
	b.Pos = pos
	r := lw.call(fn, lw.addr(dst), b.Const(int64(n)), addr)
	failed, done := b.Block("unread"), b.Block("")
	b.If(ir.SLT, r, b.Const(0), failed, done)
	failed.Cold = true
	b.Continue(failed)
	lw.fail(Site{Pos: pos, Helper: helper, Op: op, Quiet: true}, r)
	b.Jump(done)
	b.Continue(done)
}

// cookie tells which of its probes runs the program.
func (lw *lowerer) cookie() *ir.Value {
	if lw.req.Event.Syscalls != nil {
		return lw.b.Load(lw.syscallEntry(), syscallCookie, 8, false)
	}
	lw.prog.UsesCookie = true
	return lw.call(asm.FnGetAttachCookie, lw.ctx())
}

// address computes where an argument lies that is not in the context.
func (lw *lowerer) address(a Address, pos syntax.Position) *ir.Value {
	b := lw.b
	sum := b.Const(a.Disp)
	if a.Index >= 0 {
		sum = b.Add(ir.OpAdd, sum, b.Add(ir.OpMul, b.Load(lw.ctx(), a.Index, 8, false), b.Const(int64(a.Scale))))
	}
	switch {
	case a.Base >= 0 && a.Kernel && !a.Word: // to the verifier a pointer that may be NULL, with which it lets nobody compute
		base := lw.readWord(asm.FnProbeReadKernel, "probe_read_kernel", b.Add(ir.OpAdd, lw.ctx(), b.Const(int64(a.Base))), 8, false, "e.args", pos)
		sum = b.Add(ir.OpAdd, base, sum)
	case a.Base >= 0:
		sum = b.Add(ir.OpAdd, b.Load(lw.ctx(), a.Base, 8, false), sum)
	}
	if a.Context {
		sum = b.Add(ir.OpAdd, lw.ctx(), sum)
	}
	return sum
}

// memoryArg reads an argument that lies in memory; 0, and counted, where it cannot be read.
func (lw *lowerer) memoryArg(e *eArg) *ir.Value {
	fn, helper := asm.FnProbeReadUser, "probe_read_user"
	if e.f.At.Kernel {
		fn, helper = asm.FnProbeReadKernel, "probe_read_kernel"
	}
	return lw.readWord(fn, helper, lw.address(e.f.At, e.pos), e.f.Size, e.f.Signed, "e.args", e.pos)
}

// readWord reads an int from memory by a helper; op is what the handler reads.
func (lw *lowerer) readWord(fn asm.BuiltinFunc, helper string, addr *ir.Value, size int, signed bool, op string, pos syntax.Position) *ir.Value {
	b := lw.b
	tmp := lw.scratch(8, "argument")
	b.Store(b.SlotAddr(tmp, 0), 0, 8, b.Const(0))
	r := lw.call(fn, b.SlotAddr(tmp, 0), b.Const(int64(size)), addr)
	failed, done := b.Block("unread"), b.Block("")
	b.If(ir.SLT, r, b.Const(0), failed, done)
	failed.Cold = true
	b.Continue(failed)
	lw.fail(Site{Pos: pos, Helper: helper, Op: op, Quiet: true}, r)
	b.Jump(done)
	b.Continue(done)
	return b.Load(b.SlotAddr(tmp, 0), 0, size, signed)
}
