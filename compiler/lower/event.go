package lower

import (
	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// arg reads an argument of one word.
func (lw *Lowerer) arg(e *tree.ArgExpr) Val {
	f := e.Field
	ctx := lw.ctx()
	switch f.Kind {
	case abi.FieldArray:
		return Scalar(e.T, lw.B.Load(ctx, f.Offset+e.Index*f.ElemSize, f.ElemSize, f.Signed))
	case abi.FieldValue:
		return lw.load(mem{ctx, f.Offset, tree.TypeOfValue(f).Size()}, tree.TypeOfValue(f))
	case abi.FieldMemory:
		return Scalar(e.T, lw.memoryArg(e))
	case abi.FieldBool:
		w := lw.B.Load(ctx, f.Offset, f.Size, false)
		return Scalar(e.T, w)
	}
	if f.ToNumber() && !lw.Req.Event.BTFArgs { // the verifier has refused the load
		addr := lw.B.Add(ir.OpAdd, ctx, lw.B.Const(int64(f.Offset)))
		return Scalar(e.T, lw.readWord(memRead{space: types.Kernel, addr: addr, op: "e.args." + f.Name, pos: e.Pos}, f.Size, false))
	}
	w := lw.B.Load(ctx, f.Offset, f.Size, f.Signed)
	switch {
	case f.Tracked:
		w = lw.untrack(w)
	case f.Kind == abi.FieldPointer && lw.Req.Event.BTFArgs:
		w = lw.forget(w)
	}
	return Scalar(e.T, w)
}

// untrack turns a pointer that the verifier tracks into a plain number, because handlers may
// compute with addresses. After a negation it is a number to the verifier (check_alu_op,
// kernel/bpf/verifier.c), and the second negation restores the value.
func (lw *Lowerer) untrack(w *ir.Value) *ir.Value {
	return lw.B.Add(ir.OpNeg, lw.B.Add(ir.OpNeg, w))
}

// argStr reads an argument that is a string of the record.
func (lw *Lowerer) argStr(e *tree.ArgExpr, dst mem, pad bool) {
	f := e.Field
	ctx := lw.ctx()
	var addr *ir.Value
	n := dst.cap
	if e.Max > 0 {
		n = min(n, e.Max)
	}
	switch f.Kind {
	case abi.FieldValue:
		lw.copyStr(dst, mem{ctx, f.Offset, tree.TypeOfValue(f).Cap})
		return
	case abi.FieldMemoryString:
		lw.readInto(memRead{space: spaceOfPlace(f.At), addr: lw.address(f.At, e.Pos), str: true, op: "e.args." + f.Name, pos: e.Pos}, dst, min(n, f.Size), pad)
		return
	case abi.FieldCharArray:
		addr = lw.B.Add(ir.OpAdd, ctx, lw.B.Const(int64(f.Offset)))
		n = min(n, f.Size)
	default:
		loc := lw.B.Load(ctx, f.Offset, 4, false)
		off := lw.B.Add(ir.OpAnd, loc, lw.B.Const(0xffff))
		if f.Kind == abi.FieldRelLocString {
			off = lw.B.Add(ir.OpAdd, off, lw.B.Const(int64(f.Offset+4)))
		}
		addr = lw.B.Add(ir.OpAdd, ctx, off)
		n = min(n, e.T.Cap)
	}
	lw.readInto(memRead{addr: addr, str: true, op: "e.args." + f.Name, pos: e.Pos}, dst, n, pad)
}

// readStr reads the string at an address.
func (lw *Lowerer) readStr(e *tree.StrExpr, addr *ir.Value, dst mem, pad bool) {
	n := min(dst.cap, e.Max)
	m := memRead{space: spaceOfAddr(e.Ptr.Type()), addr: addr, str: true, op: "str", pos: e.Pos}
	if e.N == nil {
		lw.readInto(m, dst, n, pad)
		return
	}
	b := lw.B
	size := lw.Value(e.N).W
	if e.N.Type().Kind != types.Uint { // negative counts as 0
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

// Cookie returns the cookie that identifies the probe that runs the program.
func (lw *Lowerer) Cookie() *ir.Value {
	if lw.Req.Event.Syscalls != nil {
		return lw.B.Load(lw.syscallEntry(), abi.SyscallCookie, 8, false)
	}
	lw.needs.UsesCookie = true
	return lw.Call(asm.FnGetAttachCookie, lw.ctx())
}

// address computes the address of an argument that is not in the context.
func (lw *Lowerer) address(a abi.Address, pos syntax.Position) *ir.Value {
	b := lw.B
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
func (lw *Lowerer) memoryArg(e *tree.ArgExpr) *ir.Value {
	return lw.readWord(memRead{space: spaceOfPlace(e.Field.At), addr: lw.address(e.Field.At, e.Pos), op: "e.args", pos: e.Pos}, e.Field.Size, e.Field.Signed)
}

// spaceOfPlace returns the memory space of a field outside the context.
func spaceOfPlace(a abi.Address) types.Space {
	if a.Kernel {
		return types.Kernel
	}
	return types.User
}

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

// NetAddress reads an address from the event, from memory, or from an int.
func NetAddress(lw *Lowerer, e *tree.BuiltinExpr) Val {
	b, x := lw.B, e.Args[0]
	n := addrSize[e.T.Format.Name]
	var words []*ir.Value
	switch t := x.Type(); {
	case t.Kind == types.Array:
		for off := 0; off < n; off += 8 {
			words = append(words, lw.contextWord(x.(*tree.ArgExpr).Field.Offset+off, min(n-off, 8)))
		}
	case t.Kind == types.Bytes:
		m := lw.inMemory(lw.text(x)).mem
		for off := 0; off < n; off += 8 {
			w := b.Load(m.base, m.off+off, 8, false)
			if bits := 8 * (n - off); bits < 64 {
				w = b.Add(ir.OpAnd, w, b.Const(1<<bits-1))
			}
			words = append(words, w)
		}
	case t.Kind == types.Ptr:
		m := lw.readMemory(lw.Value(x).W, t, n, e)
		for off := 0; off < n; off += 8 {
			words = append(words, b.Load(m.base, m.off+off, 8, false))
		}
	default:
		words = append(words, lw.Half32(lw.Value(x).W, false))
	}
	if len(words) == 1 {
		return Scalar(e.T, words[0])
	}
	v := Val{T: e.T}
	for i, w := range words {
		v.Elems = append(v.Elems, Scalar(e.T.Elem.Elems[i], w))
	}
	return v
}

// addrSize is the size in bytes of an address, by format.
var addrSize = map[string]int{"ip4": 4, "ip6": 16, "mac": 6}

// contextWord reads n bytes of the context as a little-endian number. It splits the read, because
// the verifier requires each load to be aligned.
func (lw *Lowerer) contextWord(off, n int) *ir.Value {
	b := lw.B
	var w *ir.Value
	for at := 0; at < n; {
		size := 8
		for (off+at)%size != 0 || at+size > n {
			size /= 2
		}
		x := b.Load(b.Add(ir.OpCtx), off+at, size, false)
		if at > 0 {
			x = b.Add(ir.OpOr, w, b.Add(ir.OpShl, x, b.Const(int64(8*at))))
		}
		w = x
		at += size
	}
	return w
}

// readMemory reads n bytes at an address. If they cannot be read, the result is zeros and the error
// is counted.
func (lw *Lowerer) readMemory(addr *ir.Value, t *types.Type, n int, e *tree.BuiltinExpr) mem {
	b := lw.B
	m := mem{b.SlotAddr(lw.scratchSlot(n, e.Name), 0), 0, (n + 7) &^ 7}
	lw.fill(m, 0)
	lw.readInto(memRead{space: spaceOfAddr(t), addr: addr, op: e.Name, pos: e.Pos}, m, n, false)
	return m
}
