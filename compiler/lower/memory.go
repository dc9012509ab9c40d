package lower

import (
	"math/big"
	"slices"

	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
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
func (lw *Lowerer) place(e *tree.MemExpr) Val {
	return Scalar(e.T, lw.chain(func(failed *ir.Block) *ir.Value { return lw.follow(e, failed) }))
}

// placeOf computes the address of a place.
func (lw *Lowerer) placeOf(e *tree.AddrExpr) Val {
	return Scalar(e.T, lw.chain(func(failed *ir.Block) *ir.Value { return lw.placeAddr(e.X, failed) }))
}

// chain returns what read computes, or 0 if read jumps to failed.
func (lw *Lowerer) chain(read func(failed *ir.Block) *ir.Value) *ir.Value {
	res, done := new(int), lw.B.Block("")
	lw.B.Write(res, lw.B.Const(0))
	w := read(done)
	lw.B.Write(res, w)
	lw.B.Jump(done)
	lw.B.Continue(done)
	return lw.B.Read(res)
}

// follow reads the value at a place, as a number. After a failure, which is counted, control
// continues at failed.
func (lw *Lowerer) follow(e *tree.MemExpr, failed *ir.Block) *ir.Value {
	if e.Trusted {
		return lw.loadChain(e, failed)
	}
	addr := lw.placeAddr(e, failed)
	if e.Bits == 0 {
		return lw.read(e, e.Space, addr, e.CType.Size, e.CType.Signed, failed)
	}
	return lw.Extend(lw.read(e, e.Space, addr, bitWindow(e), false, failed), e.Bit, e.Bits, e.CType.Signed)
}

// bitWindow returns the number of bytes, as many as one load reads, that contain a bit field. C
// keeps a bit field within a unit of its type, of 8 bytes at most.
func bitWindow(e *tree.MemExpr) int {
	size := 1
	for e.Bit+e.Bits > 8*size {
		size *= 2
	}
	return size
}

// Extend returns the bits of w starting at from, extended to a number.
func (lw *Lowerer) Extend(w *ir.Value, from, bits int, signed bool) *ir.Value {
	b := lw.B
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
func (lw *Lowerer) read(e *tree.MemExpr, space types.Space, addr *ir.Value, size int, signed bool, failed *ir.Block) *ir.Value {
	b := lw.B
	tmp := lw.scratchSlot(8, "read")
	lw.readTo(memRead{space: space, addr: addr, dst: b.SlotAddr(tmp, 0), size: b.Const(int64(size)), op: e.Text, pos: e.Pos}, failed)
	return b.Load(b.SlotAddr(tmp, 0), 0, size, signed)
}

func (lw *Lowerer) plus(p *ir.Value, off int) *ir.Value {
	if off == 0 {
		return p
	}
	return lw.B.Add(ir.OpAdd, p, lw.B.Const(int64(off)))
}

// placeAddr computes the address of a place, as a number.
func (lw *Lowerer) placeAddr(e *tree.MemExpr, failed *ir.Block) *ir.Value {
	b := lw.B
	var p *ir.Value
	if base, ok := e.Base.(*tree.MemExpr); ok {
		p = lw.follow(base, failed)
	} else {
		p = lw.Value(e.Base).W
	}
	for _, i := range e.Index {
		w := lw.Value(i.X).W
		if i.N > 0 {
			out, in := b.Block("outside"), b.Block("")
			b.Pos = i.Pos
			b.If(ir.UGE, w, b.Const(int64(i.N)), out, in)
			out.Cold = true
			b.Continue(out)
			lw.Fail(Site{Pos: i.Pos, Op: e.Text, Ends: true}, b.Const(-errRange))
			b.Jump(lw.end)
			b.Continue(in)
		}
		if i.Size != 1 {
			w = b.Add(ir.OpMul, w, b.Const(int64(i.Size)))
		}
		p = b.Add(ir.OpAdd, p, w)
	}
	return lw.plus(p, e.Off)
}

// loadChain reads the value at a place by loads through pointers that the verifier knows. A load
// from user memory returns 0, so from a pointer into user memory on, the rest of the chain is read
// by helpers.
func (lw *Lowerer) loadChain(e *tree.MemExpr, failed *ir.Block) *ir.Value {
	b := lw.B
	var hops []*tree.MemExpr
	for x, ok := e, true; ok; x, ok = x.Base.(*tree.MemExpr) {
		hops = append(hops, x)
	}
	slices.Reverse(hops)
	res, at := new(int), new(int)
	users := make([]*ir.Block, len(hops)) // where hop i continues with a user pointer
	done := b.Block("")
	var p *ir.Value
	for i, h := range hops {
		result := false
		switch x := h.Base.(type) {
		case *tree.FieldExpr: // e.task: never NULL
			p = lw.PureCall(asm.FnGetCurrentTaskBtf)
		case *tree.ArgExpr:
			p = b.Load(lw.ctx(), x.Field.Offset, 8, false)
			result = x.Field.Result
		}
		b.Pos = h.Pos
		if _, task := h.Base.(*tree.FieldExpr); !task {
			users[i] = b.Block("user")
			lw.mayLoad(h, p, result, at, users[i], failed)
		}
		p = b.Load(p, h.Off, h.CType.Size, h.CType.Signed)
	}
	if e.CType.Kind == ctype.Pointer {
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
		w := lw.read(h, types.User, lw.plus(b.Read(at), h.Off), h.CType.Size, h.CType.Signed, failed)
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
func (lw *Lowerer) mayLoad(e *tree.MemExpr, p *ir.Value, result bool, at *int, user, failed *ir.Block) {
	b := lw.B
	null, other, to, ok := b.Block("null"), b.Block("not the kernel's"), b.Block("to user"), b.Block("")
	null.Cold, other.Cold, to.Cold = true, true, true
	if result { // an errno instead of a pointer
		valid := b.Block("")
		b.If(ir.UGT, p, b.Const(-MaxErrno-1), null, valid)
		b.Continue(valid)
	}
	b.If(ir.SGE, p, b.Const(0), other, ok)
	b.Continue(other)
	b.If(ir.UGT, p, b.Const(tree.FirstPages-1), to, null)
	b.Continue(to)
	b.Write(at, lw.forget(p))
	b.Jump(user)
	b.Continue(null)
	lw.Fail(Site{Pos: e.Pos, Helper: "probe_read_kernel", Op: e.Text, Quiet: true}, b.Const(-errFault))
	b.Jump(failed)
	b.Continue(ok)
}

// MaxErrno bounds the errnos that kernel functions return, also as pointers (include/linux/err.h:
// MAX_ERRNO).
const MaxErrno = 4095

// forget returns a pointer as a number unknown to the verifier: what an atomic addition leaves in
// memory.
func (lw *Lowerer) forget(p *ir.Value) *ir.Value {
	b := lw.B
	tmp := lw.scratchSlot(8, "number")
	b.Store(b.SlotAddr(tmp, 0), 0, 8, b.Const(0))
	b.Add(ir.OpAtomicAdd, b.SlotAddr(tmp, 0), p)
	return b.Load(b.SlotAddr(tmp, 0), 0, 8, false)
}

// placeStr reads an array of char.
func (lw *Lowerer) placeStr(e *tree.MemExpr, dst mem) {
	b := lw.B
	lw.fill(dst, 0)
	done := b.Block("")
	n := min(dst.cap, e.T.Cap)
	if e.CType.Len > 0 {
		n = min(n, e.CType.Len)
	}
	addr := lw.placeAddr(e, done)
	lw.readTo(memRead{space: e.Space, addr: addr, dst: lw.addr(dst), size: b.Const(int64(n)), str: true, op: e.Text, pos: e.Pos}, done)
	b.Jump(done)
	b.Continue(done)
}

// Narrow truncates a constant to the width of a C integer type.
func Narrow(k *tree.ConstExpr, ct *ctype.Type) *big.Int {
	w := uint64(tree.Word(k.Value)) << (64 - 8*ct.Size)
	if ct.Signed {
		return big.NewInt(int64(w) >> (64 - 8*ct.Size))
	}
	return new(big.Int).SetUint64(w >> (64 - 8*ct.Size))
}

// TaskPointer returns the current task as a number.
func (lw *Lowerer) TaskPointer() Val { return Scalar(tree.TaskType, lw.PureCall(asm.FnGetCurrentTask)) }
