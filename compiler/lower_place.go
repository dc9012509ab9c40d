package compiler

import (
	"math/big"
	"slices"

	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// A chain of members, a.b.c, is read hop by hop: one read for each pointer in it. If the verifier
// knows the types of the pointers (BTF tracepoints, bpf_get_current_task_btf), a read is a plain
// load, which the kernel makes safe; a pointer that may be NULL must be tested before. Otherwise it
// is a call of bpf_probe_read_kernel or _user. A hop that fails is counted once and ends the chain:
// its value is 0 or "".
//
// A pointer that the verifier tracks is not a number to it, and it rejects most arithmetic on it.
// So such a pointer is used for loads only; to become a value of the handler it goes through memory
// in a way that makes the verifier forget what it is.

// place reads the value at a place.
func (lw *lowerer) place(e *eMemRef) val {
	return scalar(e.t, lw.chain(func(failed *ir.Block) *ir.Value { return lw.follow(e, failed) }))
}

// placeOf computes the address of a place.
func (lw *lowerer) placeOf(e *eAddr) val {
	return scalar(e.t, lw.chain(func(failed *ir.Block) *ir.Value { return lw.placeAddr(e.x, failed) }))
}

// chain returns what read computes, or 0 if read jumps to failed.
func (lw *lowerer) chain(read func(failed *ir.Block) *ir.Value) *ir.Value {
	res, done := new(int), lw.b.Block("")
	lw.b.Write(res, lw.b.Const(0))
	w := read(done)
	lw.b.Write(res, w)
	lw.b.Jump(done)
	lw.b.Continue(done)
	return lw.b.Read(res)
}

// follow reads the value at a place, as a number. After a failure, which is counted, control
// continues at failed.
func (lw *lowerer) follow(e *eMemRef, failed *ir.Block) *ir.Value {
	if e.direct {
		return lw.loadChain(e, failed)
	}
	addr := lw.placeAddr(e, failed)
	if e.bits == 0 {
		return lw.read(e, e.space, addr, e.c.Size, e.c.Signed, failed)
	}
	return lw.extend(lw.read(e, e.space, addr, bitWindow(e), false, failed), e.bit, e.bits, e.c.Signed)
}

// bitWindow returns the number of bytes, as many as one load reads, that contain a bit field. C
// keeps a bit field within a unit of its type, of 8 bytes at most.
func bitWindow(e *eMemRef) int {
	size := 1
	for e.bit+e.bits > 8*size {
		size *= 2
	}
	return size
}

// extend returns the bits of w starting at from, extended to a number.
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
func (lw *lowerer) read(e *eMemRef, space types.Space, addr *ir.Value, size int, signed bool, failed *ir.Block) *ir.Value {
	b := lw.b
	tmp := lw.scratchSlot(8, "read")
	lw.readTo(memRead{space: space, addr: addr, dst: b.SlotAddr(tmp, 0), size: b.Const(int64(size)), op: e.text, pos: e.pos}, failed)
	return b.Load(b.SlotAddr(tmp, 0), 0, size, signed)
}

func (lw *lowerer) plus(p *ir.Value, off int) *ir.Value {
	if off == 0 {
		return p
	}
	return lw.b.Add(ir.OpAdd, p, lw.b.Const(int64(off)))
}

// placeAddr computes the address of a place, as a number.
func (lw *lowerer) placeAddr(e *eMemRef, failed *ir.Block) *ir.Value {
	b := lw.b
	var p *ir.Value
	if base, ok := e.base.(*eMemRef); ok {
		p = lw.follow(base, failed)
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

// loadChain reads the value at a place by loads through pointers that the verifier knows. A load
// from user memory returns 0, so from a pointer into user memory on, the rest of the chain is read
// by helpers.
func (lw *lowerer) loadChain(e *eMemRef, failed *ir.Block) *ir.Value {
	b := lw.b
	var hops []*eMemRef
	for x, ok := e, true; ok; x, ok = x.base.(*eMemRef) {
		hops = append(hops, x)
	}
	slices.Reverse(hops)
	res, at := new(int), new(int)
	users := make([]*ir.Block, len(hops)) // where hop i continues with a user pointer
	done := b.Block("")
	var p *ir.Value
	for i, h := range hops {
		result := false
		switch x := h.base.(type) {
		case *eField: // e.task: never NULL
			p = lw.pureCall(asm.FnGetCurrentTaskBtf)
		case *eArg:
			p = b.Load(lw.ctx(), x.f.Offset, 8, false)
			result = x.f.Result
		}
		b.Pos = h.pos
		if _, task := h.base.(*eField); !task {
			users[i] = b.Block("user")
			lw.mayLoad(h, p, result, at, users[i], failed)
		}
		p = b.Load(p, h.off, h.c.Size, h.c.Signed)
	}
	if e.c.Kind == ctype.Pointer {
		p = lw.forget(p)
	}
	b.Write(res, p)
	b.Jump(done)
	for i, h := range hops {
		if users[i] == nil {
			continue
		}
		users[i].Cold = true
		b.Continue(users[i])
		w := lw.read(h, types.User, lw.plus(b.Read(at), h.off), h.c.Size, h.c.Signed, failed)
		if i == len(hops)-1 {
			b.Write(res, w)
			b.Jump(done)
			break
		}
		b.Write(at, w)
		b.Jump(users[i+1])
	}
	b.Continue(done)
	return b.Read(res)
}

// mayLoad continues if p is a kernel pointer that may be loaded from. It writes a pointer to user
// memory to at and jumps to user.
func (lw *lowerer) mayLoad(e *eMemRef, p *ir.Value, result bool, at *int, user, failed *ir.Block) {
	b := lw.b
	null, other, to, ok := b.Block("null"), b.Block("not the kernel's"), b.Block("to user"), b.Block("")
	null.Cold, other.Cold, to.Cold = true, true, true
	if result { // an errno instead of a pointer
		valid := b.Block("")
		b.If(ir.UGT, p, b.Const(-maxErrno-1), null, valid)
		b.Continue(valid)
	}
	b.If(ir.SGE, p, b.Const(0), other, ok)
	b.Continue(other)
	b.If(ir.UGT, p, b.Const(firstPages-1), to, null)
	b.Continue(to)
	b.Write(at, lw.forget(p))
	b.Jump(user)
	b.Continue(null)
	lw.fail(Site{Pos: e.pos, Helper: "probe_read_kernel", Op: e.text, Quiet: true}, b.Const(-errFault))
	b.Jump(failed)
	b.Continue(ok)
}

// maxErrno bounds the errnos that kernel functions return, also as pointers (include/linux/err.h:
// MAX_ERRNO).
const maxErrno = 4095

// forget returns a pointer as a number unknown to the verifier: what an atomic addition leaves in
// memory.
func (lw *lowerer) forget(p *ir.Value) *ir.Value {
	b := lw.b
	tmp := lw.scratchSlot(8, "number")
	b.Store(b.SlotAddr(tmp, 0), 0, 8, b.Const(0))
	b.Add(ir.OpAtomicAdd, b.SlotAddr(tmp, 0), p)
	return b.Load(b.SlotAddr(tmp, 0), 0, 8, false)
}

// placeStr reads an array of char.
func (lw *lowerer) placeStr(e *eMemRef, dst mem) {
	b := lw.b
	lw.fill(dst, 0)
	done := b.Block("")
	n := min(dst.cap, e.t.Cap)
	if e.c.Len > 0 {
		n = min(n, e.c.Len)
	}
	addr := lw.placeAddr(e, done)
	lw.readTo(memRead{space: e.space, addr: addr, dst: lw.addr(dst), size: b.Const(int64(n)), str: true, op: e.text, pos: e.pos}, done)
	b.Jump(done)
	b.Continue(done)
}

// narrow truncates a constant to the width of a C integer type.
func narrow(k *eConst, ct *ctype.Type) *big.Int {
	w := uint64(word(k.v)) << (64 - 8*ct.Size)
	if ct.Signed {
		return big.NewInt(int64(w) >> (64 - 8*ct.Size))
	}
	return new(big.Int).SetUint64(w >> (64 - 8*ct.Size))
}

// task returns the current task as a number.
func (lw *lowerer) task() val { return scalar(taskType, lw.pureCall(asm.FnGetCurrentTask)) }
