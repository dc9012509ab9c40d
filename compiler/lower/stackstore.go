package lower

import (
	"slices"
	"strconv"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// The kernel has its own map type for stacks, and bpf_get_stackid to fill it. It is not exact: a
// stack whose bucket is occupied by another is refused, and of two that are stored in one empty
// bucket at the same time the later replaces the earlier, under the same ID. So the frames are read
// into the run's own memory (bpf_get_stack) and stored in a hash map, under a number that is
// computed from them. A number belongs to one list of frames permanently: it is inserted only if it
// is absent, and a run that finds the number present compares the frames, and tries the next number
// if they differ.
//
// abi.StackSize describes an element.

// userStack is BPF_F_USER_STACK.
const userStack = 1 << 8

func (lw *Lowerer) stackMix() *ir.Value {
	mix := uint64(abi.StackHashMul)
	return lw.B.Const(int64(mix))
}

// Stack stores the current stack, of the type t, and returns its number.
func (lw *Lowerer) Stack(t *types.Type, pos syntax.Position) Val {
	b := lw.B
	n, err := strconv.Atoi(t.Format.Arg)
	if err != nil {
		lw.bug(pos, "a stack of %q frames", t.Format.Arg)
		return lw.zero(t)
	}
	if !slices.Contains(lw.needs.Stacks, n) {
		lw.needs.Stacks = append(lw.needs.Stacks, n)
	}
	b.Pos = pos
	user := t.Format.Name == "ustack"
	if !user {
		lw.needs.KernelStacks = true
	}
	room, got := lw.frames(user, n)
	id, pid := new(int), new(int)
	some, none, failed, lost, done := b.Block("stack"), b.Block("none"), b.Block("failed"), b.Block("lost"), b.Block("")
	failed.Cold, lost.Cold = true, true
	site := Site{Pos: pos, Op: t.Format.Name}
	b.Write(pid, b.Const(0))
	b.Write(id, b.Const(0))
	b.If(ir.SGT, got, b.Const(0), some, none)
	b.Continue(none)
	unread := b.Block("unread")
	unread.Cold = true
	b.If(ir.EQ, got, b.Const(0), done, unread)
	b.Continue(unread)
	b.If(ir.EQ, got, b.Const(-errFault), done, failed) // EFAULT: there are no frames
	b.Continue(failed)
	site.Helper = "get_stack"
	b.Write(id, got)
	lw.Fail(site, got)
	b.Jump(done)

	b.Continue(some)
	lw.writeLength(room, got, n)
	r := b.Add(ir.OpCallSub, lw.addr(room))
	r.Sym = lw.stackStore(n)
	b.Write(id, r)
	if user {
		b.Write(pid, lw.TaskID(true))
	}
	b.If(ir.SLT, r, b.Const(0), lost, done)
	b.Continue(lost)
	site.Helper = "map_update_elem"
	lw.Fail(site, r)
	b.Jump(done)
	b.Continue(done)
	if t.Format.Name != "ustack" {
		return Scalar(t, b.Read(id))
	}
	return Val{T: t, Elems: []Val{Scalar(types.TInt, b.Read(id)), Scalar(types.TInt, b.Read(pid))}}
}

// frames reads the frames after the first word of room, and returns how many bytes they have, or a
// negative errno. If the program itself is the innermost frame, one more frame is read and the
// innermost is skipped, so that the position of the call does not make a different stack.
func (lw *Lowerer) frames(user bool, n int) (room mem, got *ir.Value) {
	b := lw.B
	flags, ask := int64(0), n
	switch {
	case user:
		flags = userStack
	case lw.Req.Event.Context.OwnFrame:
		flags, ask = 1, n+1
	}
	room = lw.allocTemp(max(abi.StackSize(n), 8*(ask+1)), "frames")
	if room.base.Op == ir.OpSlotAddr { // required by the verifier of older kernels
		lw.fill(room, 0)
	}
	got = lw.Call(asm.FnGetStack, lw.ctx(), lw.addr(room.at(8)), b.Const(int64(8*ask)), b.Const(flags))
	return room, got
}

// writeLength writes the first word of room, and zeros after the frames.
func (lw *Lowerer) writeLength(room mem, got *ir.Value, n int) {
	b := lw.B
	size := new(int)
	more, done := b.Block("more"), b.Block("")
	b.Write(size, got)
	b.If(ir.SGT, got, b.Const(int64(8*n)), more, done)
	b.Continue(more)
	b.Write(size, b.Const(int64(8*n)))
	b.Jump(done)
	b.Continue(done)
	b.Store(room.base, room.off, 8, b.Read(size))
	for off := 8 * (n + 1); off < abi.StackSize(n); off += 8 {
		b.Store(room.base, room.off+off, 8, b.Const(0))
	}
}

// A stackStore is a subprogram that stores stacks of up to n frames.
type stackStore struct {
	n      int
	inLoop bool
}

// stackStore returns the name of the subprogram. The subprogram takes the address of the memory
// with the frames, and returns the stack's number or a negative errno.
func (lw *Lowerer) stackStore(n int) string {
	k := stackStore{n, lw.inLoop()}
	if name := lw.stackStores[k]; name != "" {
		return lw.weighSub(name)
	}
	lw.stackStores[k] = lw.callback("keep_stack", 1, func(args []*ir.Value) *ir.Value { return k.store(lw, args[0]) })
	return lw.stackStores[k]
}

func (k stackStore) store(lw *Lowerer, room *ir.Value) *ir.Value {
	b, n := lw.B, k.n
	hash := new(int)
	b.Write(hash, b.Const(0))
	hashed := b.Block("hashed")
	k.loop(lw, room, hashed, func(off *ir.Value) {
		from := b.Add(ir.OpAdd, room, off)
		h := b.Read(hash)
		for w := range k.group() {
			h = b.Add(ir.OpMul, b.Add(ir.OpXor, h, b.Load(from, 8*w, 8, false)), lw.stackMix())
			h = b.Add(ir.OpXor, h, b.Add(ir.OpLShr, h, b.Const(32)))
		}
		b.Write(hash, h)
	})
	b.Continue(hashed)

	// number returns a number above 0.
	number := func(h *ir.Value) *ir.Value { return b.Add(ir.OpAdd, b.Add(ir.OpLShr, h, b.Const(2)), b.Const(1)) }
	id, result := new(int), new(int)
	b.Write(id, number(b.Read(hash)))
	key := lw.scratchSlot(8, "number")
	out, many := b.Block("out"), b.Block("too many")
	lw.boundedLoop(k.inLoop, b.Const(abi.StackProbes), out, many, func(_ *ir.Value, again, out *ir.Block) {
		there, same := b.Block("there"), b.Block("same")
		var absent, other, refused *ir.Block
		b.InCold(func() { absent, other, refused = b.Block("absent"), b.Block("other"), b.Block("refused") })
		b.Store(b.SlotAddr(key, 0), 0, 8, b.Read(id))
		b.Write(result, b.Read(id))
		p := lw.Call(asm.FnMapLookupElem, b.MapPtr(abi.StackMap(n)), b.SlotAddr(key, 0))
		b.If(ir.NE, p, b.Const(0), there, absent)

		b.Continue(there)
		k.loop(lw, p, same, func(off *ir.Value) {
			x, y, diff := b.Add(ir.OpAdd, room, off), b.Add(ir.OpAdd, p, off), b.Const(0)
			for w := range k.group() {
				diff = b.Add(ir.OpOr, b.Add(ir.OpXor, b.Load(x, 8*w, 8, false), b.Load(y, 8*w, 8, false)), diff)
			}
			equal := b.Block("")
			b.If(ir.NE, diff, b.Const(0), other, equal)
			b.Continue(equal)
		})
		b.Continue(same)
		b.Jump(out)

		b.Continue(other) // the number belongs to another stack
		b.Write(id, number(b.Add(ir.OpMul, b.Read(id), lw.stackMix())))
		b.Jump(again)

		b.Continue(absent)
		r := lw.errno(lw.Call(asm.FnMapUpdateElem, b.MapPtr(abi.StackMap(n)), b.SlotAddr(key, 0), room, b.Const(updateNoExist)))
		b.If(ir.EQ, r, b.Const(0), out, refused)
		b.Continue(refused)
		b.Write(result, r)
		b.If(ir.EQ, r, b.Const(-errExist), again, out) // another run has just inserted it
	})
	b.Continue(many)
	b.Write(result, b.Const(-errExist))
	b.Jump(out)
	b.Continue(out)
	return b.Read(result)
}

// group returns how many words are processed in each iteration of a loop. In a loop of the handler
// it is all of them, since there the verifier would follow the code after the loop for each exit of
// each iteration.
func (k stackStore) group() int {
	if n := abi.StackWords(k.n); k.inLoop || n < abi.StackGroup {
		return n
	}
	return abi.StackGroup
}

// loop calls group for each group of words of a stack that is in use, and continues at done. The
// verifier follows the loop iteration by iteration.
func (k stackStore) loop(lw *Lowerer, stack *ir.Value, done *ir.Block, group func(off *ir.Value)) {
	b := lw.B
	step := int64(8 * k.group())
	last := int64(abi.StackSize(k.n)) - step
	if last == 0 {
		group(b.Const(0))
		b.Jump(done)
		return
	}
	size := b.Add(ir.OpAdd, b.Load(stack, 0, 8, false), b.Const(8))
	at := new(int)
	b.Write(at, b.Const(0))
	b.InLoop(func() {
		head, more, next := b.Block("words"), b.Block("more"), b.Block("next")
		b.Jump(head)
		b.Start(head)
		off := b.Read(at)
		lw.repeated(abi.StackSize(k.n)/int(step), func() { group(off) })
		b.If(ir.EQ, off, b.Const(last), done, more)
		b.Continue(more)
		to := b.Add(ir.OpAdd, off, b.Const(step))
		b.If(ir.UGE, to, size, done, next)
		b.Continue(next)
		b.Write(at, to)
		b.Jump(head)
		b.Seal(head)
	})
}
