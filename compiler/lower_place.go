package compiler

import (
	"math/big"

	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ctype"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A chain of members, a.b.c, is read hop by hop: one read for each pointer in it. Where the verifier knows the types of the
// pointers (BTF tracepoints, bpf_get_current_task_btf), a read is a plain load, which the kernel makes safe; a pointer
// that may be NULL has to be tested before. Elsewhere it is a call of bpf_probe_read_kernel or _user. A hop that fails is counted
// once and ends the chain: its value is 0 or "".
//
// A pointer that the verifier knows is no number to it, and it refuses most arithmetic on it. So it is used for loads only; as a value
// of the handler it goes through memory in a way that makes the verifier forget what it is.

// place reads the value at a place.
func (lw *lowerer) place(e *ePlace) val {
	return scalar(e.t, lw.chain(func(failed *ir.Block) *ir.Value {
		w := lw.follow(e, failed)
		if e.direct && e.c.Kind == ctype.Pointer {
			w = lw.forget(w)
		}
		return w
	}))
}

// placeOf computes where a place is.
func (lw *lowerer) placeOf(e *eAddr) val {
	return scalar(e.t, lw.chain(func(failed *ir.Block) *ir.Value { return lw.placeAddr(e.x, failed) }))
}

// chain gives what read computes, or 0 where it leaves by its block of failures.
func (lw *lowerer) chain(read func(failed *ir.Block) *ir.Value) *ir.Value {
	res, done := new(int), lw.b.Block("")
	lw.b.Write(res, lw.b.Const(0))
	w := read(done)
	lw.b.Write(res, w)
	lw.b.Jump(done)
	lw.b.Continue(done)
	return lw.b.Read(res)
}

// follow reads the value at a place; failed is where it goes on after a failure, which is counted.
func (lw *lowerer) follow(e *ePlace, failed *ir.Block) *ir.Value {
	b := lw.b
	if e.direct {
		p := lw.known(e, failed)
		b.Pos = e.pos
		return b.Load(p, e.off, e.c.Size, e.c.Signed)
	}
	addr := lw.placeAddr(e, failed)
	if e.bits == 0 {
		return lw.read(e, addr, e.c.Size, e.c.Signed, failed)
	}
	return lw.extend(lw.read(e, addr, bitWindow(e), false, failed), e.bit, e.bits, e.c.Signed)
}

// bitWindow gives the bytes from the place on that hold a bit field, as many as one load reads. C keeps a bit field within a
// unit of its type, of 8 bytes at most.
func bitWindow(e *ePlace) int {
	size := 1
	for e.bit+e.bits > 8*size {
		size *= 2
	}
	return size
}

// extend gives bits from a bit on as a number.
func (lw *lowerer) extend(w *ir.Value, from, bits int, signed bool) *ir.Value {
	b := lw.b
	op := ir.OpLShr
	if signed {
		op = ir.OpAShr
	}
	if n := 64 - from - bits; n > 0 {
		w = b.Add(ir.OpShl, w, b.Const(int64(n)))
	}
	if bits < 64 {
		w = b.Add(op, w, b.Const(int64(64-bits)))
	}
	return w
}

// read calls a helper that reads size bytes at an address.
func (lw *lowerer) read(e *ePlace, addr *ir.Value, size int, signed bool, failed *ir.Block) *ir.Value {
	b := lw.b
	fn, helper := asm.FnProbeReadKernel, "probe_read_kernel"
	if e.user {
		fn, helper = asm.FnProbeReadUser, "probe_read_user"
	}
	tmp := lw.scratch(8, "read")
	b.Pos = e.pos
	r := lw.call(fn, b.SlotAddr(tmp, 0), b.Const(int64(size)), addr)
	lw.orFail(e, helper, r, failed)
	return b.Load(b.SlotAddr(tmp, 0), 0, size, signed)
}

// orFail counts a negative result of a helper and goes on at failed.
func (lw *lowerer) orFail(e *ePlace, helper string, r *ir.Value, failed *ir.Block) {
	b := lw.b
	bad, ok := b.Block("unread"), b.Block("")
	b.If(ir.SLT, r, b.Const(0), bad, ok)
	bad.Cold = true
	b.Continue(bad)
	lw.fail(Site{Pos: e.pos, Helper: helper, Op: e.text, Quiet: true}, r)
	b.Jump(failed)
	b.Continue(ok)
}

func (lw *lowerer) plus(p *ir.Value, off int) *ir.Value {
	if off == 0 {
		return p
	}
	return lw.b.Add(ir.OpAdd, p, lw.b.Const(int64(off)))
}

// placeAddr computes the address of a place, as a number.
func (lw *lowerer) placeAddr(e *ePlace, failed *ir.Block) *ir.Value {
	b := lw.b
	var p *ir.Value
	if base, ok := e.base.(*ePlace); ok {
		p = lw.follow(base, failed)
		if base.direct {
			p = lw.forget(p)
		}
	} else {
		p = lw.value(e.base).w
	}
	for _, i := range e.index {
		w := lw.value(i.x).w
		if i.n > 0 {
			out, in := b.Block("outside"), b.Block("")
			b.Pos = i.pos
			b.If(ir.UGE, w, b.Const(int64(i.n)), out, in)
			out.Cold = true
			b.Continue(out)
			lw.fail(Site{Pos: i.pos, Op: e.text, Ends: true}, b.Const(-errRange))
			b.Jump(lw.end)
			b.Continue(in)
		}
		if i.size != 1 {
			w = b.Add(ir.OpMul, w, b.Const(int64(i.size)))
		}
		p = b.Add(ir.OpAdd, p, w)
	}
	return lw.plus(p, e.off)
}

// known gives the pointer that the place counts from, which the verifier knows, to load from.
func (lw *lowerer) known(e *ePlace, failed *ir.Block) *ir.Value {
	b := lw.b
	var p *ir.Value
	switch x := e.base.(type) {
	case *eField: // e.task: never NULL
		return lw.pure(asm.FnGetCurrentTaskBtf)
	case *eArg:
		p = b.Load(lw.ctx(), x.f.Offset, 8, false)
	case *ePlace:
		p = lw.follow(x, failed)
	}
	null, ok := b.Block("null"), b.Block("")
	b.Pos = e.pos
	if a, isArg := e.base.(*eArg); isArg && a.f.Result { // an errno in place of a pointer
		valid := b.Block("")
		b.If(ir.UGT, p, b.Const(-maxErrno-1), null, valid)
		b.Continue(valid)
	}
	if a, isArg := e.base.(*eArg); isArg && a.f.AnySpace { // NULL, or of the process
		b.If(ir.SGE, p, b.Const(0), null, ok)
	} else {
		b.If(ir.EQ, p, b.Const(0), null, ok)
	}
	null.Cold = true
	b.Continue(null)
	lw.fail(Site{Pos: e.pos, Helper: "probe_read_kernel", Op: e.text, Quiet: true}, b.Const(-errFault))
	b.Jump(failed)
	b.Continue(ok)
	return p
}

// maxErrno bounds the errnos that the kernel's functions return as pointers (include/linux/err.h: MAX_ERRNO).
const maxErrno = 4095

// forget gives a pointer as a number that the verifier knows nothing of: what an atomic addition leaves in memory.
func (lw *lowerer) forget(p *ir.Value) *ir.Value {
	b := lw.b
	tmp := lw.scratch(8, "number")
	b.Store(b.SlotAddr(tmp, 0), 0, 8, b.Const(0))
	b.Add(ir.OpAtomicAdd, b.SlotAddr(tmp, 0), p)
	return b.Load(b.SlotAddr(tmp, 0), 0, 8, false)
}

// placeStr reads an array of char.
func (lw *lowerer) placeStr(e *ePlace, dst mem) {
	b := lw.b
	lw.fill(dst, 0)
	done := b.Block("")
	fn, helper := asm.FnProbeReadKernelStr, "probe_read_kernel_str"
	if e.user {
		fn, helper = asm.FnProbeReadUserStr, "probe_read_user_str"
	}
	n := min(dst.cap, e.t.Cap)
	if e.c.Len > 0 {
		n = min(n, e.c.Len)
	}
	addr := lw.placeAddr(e, done)
	b.Pos = e.pos
	r := lw.call(fn, lw.addr(dst), b.Const(int64(n)), addr)
	lw.orFail(e, helper, r, done)
	b.Jump(done)
	b.Continue(done)
}

// narrow gives a constant the width of an int type of C.
func narrow(k *eConst, ct *ctype.Type) *big.Int {
	w := uint64(word(k.v)) << (64 - 8*ct.Size)
	if ct.Signed {
		return big.NewInt(int64(w) >> (64 - 8*ct.Size))
	}
	return new(big.Int).SetUint64(w >> (64 - 8*ct.Size))
}

// task is the current task: as a number here, as a pointer that the verifier knows in known.
func (lw *lowerer) task() val { return scalar(taskType, lw.pure(asm.FnGetCurrentTask)) }

// taskType names the type only: BTF is read for it once a handler follows it.
var taskType = &types.Type{Kind: types.Ptr, Text: "struct task_struct *"}
