package lower

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// A loop that a helper runs (bpf_for_each_map_elem, bpf_loop) has its body in a callback, a
// function with its own stack. The handler's variables are SSA words and slots of its stack. Those
// that the body uses live in a frame, a slot of the outer function whose address the helper passes
// to the callback: what the body reads is stored there before the helper is called and loaded at
// the callback's entry; what the body writes is stored at the callback's exit and loaded after the
// call. Which variables these are is known when the body has been lowered: a read that no write in
// the callback precedes, and a write of a variable that the outer function has. Slots with strings
// are copied into the frame and back.
//
// A jump out of the loop (a return, or an error that ends the handler) stores a number in the
// variable exitKind and makes the helper stop. The code after the call completes the jump that the
// number selects.

// A callbackBody is a callback during lowering.
type callbackBody struct {
	name     string
	up       *callbackBody
	outer    *ir.Builder
	size     int                  // of the frame
	at       map[ir.Variable]int  // offsets in the frame
	vars     []ir.Variable        // in the order of their offsets
	writes   map[ir.Variable]bool // those that the body writes
	slots    map[*ir.Slot]int     // offsets of the copies of slots
	order    []*ir.Slot
	exit     *ir.Block
	more     *int      // the callback's result: 0 to go on, 1 to stop
	exitKind *int      // how the loop was left
	exits    []*result // the functions that the body returns from
	ends     bool      // the body can end the handler
}

// The kinds of exit from a loop. A return to exits[i] is exitReturn + i.
const (
	exitNormal = iota // the loop reached its end
	exitBreak         // break, or the condition of while
	exitError         // an error ended the handler
	exitReturn
)

func (o *callbackBody) place(x ir.Variable) int {
	off, ok := o.at[x]
	if !ok {
		off = o.size
		o.at[x] = off
		o.vars = append(o.vars, x)
		o.size += 8
	}
	return off
}

// copyOf returns the copy of an outer slot in the frame.
func (o *callbackBody) copyOf(lw *Lowerer, s *ir.Slot) mem {
	off, ok := o.slots[s]
	if !ok {
		off = o.size
		o.slots[s] = off
		o.order = append(o.order, s)
		o.size += s.Size
	}
	return mem{lw.B.Read(o), off, s.Size}
}

// inCallback puts a loop's body into a callback with that many parameters, the last of which is the
// frame's address, and returns how the loop was left. body gets the parameters; it must end with a
// jump to next or to leave. call emits the call of the helper.
func (lw *Lowerer) inCallback(name string, params int, body func(args []*ir.Value, next, leave *ir.Block), call func(fn, frame *ir.Value)) (way *ir.Value) {
	o := lw.newCallbackBody(name, params, body)
	lw.callBody(o, true, call)
	return lw.B.Read(o.exitKind)
}

// newCallbackBody lowers the callback.
func (lw *Lowerer) newCallbackBody(name string, params int, body func(args []*ir.Value, next, leave *ir.Block)) *callbackBody {
	o := &callbackBody{up: lw.out, outer: lw.B, at: map[ir.Variable]int{}, writes: map[ir.Variable]bool{}, slots: map[*ir.Slot]int{}, more: new(int), exitKind: new(int)}
	end, loops, homes, at := lw.end, lw.loops, maps.Clone(lw.homes), lw.scratch.at
	lw.beforeCall(o)
	o.name = lw.callback(name, params, func(args []*ir.Value) *ir.Value {
		lw.out, lw.loops = o, nil
		lw.scratch.at = at
		b, frame := lw.B, args[params-1]
		for _, x := range []ir.Variable{o, lw.ctxVar, lw.scratch.base} {
			b.NeverHide(x)
		}
		b.Write(o, frame)
		b.Outer(func(x ir.Variable) *ir.Value { return b.Load(frame, o.place(x), 8, false) })
		o.exit, lw.end = b.Block("exit"), b.Block("end of loop and handler")
		next, leave := b.Block("next"), b.Block("leave")
		body(args, next, leave)
		o.ends = len(lw.end.Preds) > 0
		b.Continue(next)
		lw.exit(exitNormal)
		b.Continue(leave)
		lw.exit(exitBreak)
		b.Continue(lw.end)
		lw.exit(exitError)
		b.Continue(o.exit)
		for _, x := range b.Written() {
			if _, captured := o.at[x]; captured || o.known(x) {
				o.writes[x] = true
				b.Store(frame, o.place(x), 8, b.Read(x))
			}
		}
		return b.Read(o.more)
	})
	// what only the body uses is gone with the callback's stack
	lw.out, lw.end, lw.loops, lw.homes = o.up, end, loops, homes
	return o
}

// beforeCall sets the variables that every callback reads or that the code after it reads. The
// callback has to be lowered after it; and each call needs it, since the first call of a
// subprogram, where it is lowered, need not be on the path to the others.
func (lw *Lowerer) beforeCall(o *callbackBody) {
	lw.B.Write(o.exitKind, lw.B.Const(exitNormal))
	if lw.out == nil {
		lw.B.NeverHide(lw.ctxVar)
		lw.B.Write(lw.ctxVar, lw.ctx())
	}
}

// exit leaves the callback.
func (lw *Lowerer) exit(way int64) {
	more := int64(1)
	if way == exitNormal {
		more = 0
	}
	lw.B.Write(lw.out.exitKind, lw.B.Const(way))
	lw.B.Write(lw.out.more, lw.B.Const(more))
	lw.B.Jump(lw.out.exit)
}

// known reports whether the outer function, or one around it, has the variable.
func (o *callbackBody) known(x ir.Variable) bool {
	for p := o; p != nil; p = p.up {
		if p.outer.Writes(x) {
			return true
		}
	}
	return false
}

// callBody fills the frame, calls the helper, and loads what the body may have written from the
// frame. If the body ended the handler or returned from an inlined function, it jumps there.
//
// Words that the body of a loop writes are hidden from the verifier (see ir.Builder.Opaque), before
// the call and after it. Kernels before 6.7 follow a callback once, with the values from before the
// call, and go on with those that it leaves. They do not consider that it may run more often, or
// not at all: if each run of the body left the loop in the same manner, they would remove the code
// for a loop that ends normally.
//
// The words that the body does not write are hidden after the call, on all ways out of the loop.
// Kernels from 6.1 to 6.3 need that. The verifier compares two states only in the numbers on which
// a later branch depends. To find these it follows the instructions backwards, those of the
// callback too, as if they were the caller's: if the callback writes a register of the same number,
// it loses the caller's, takes two states for equal, and removes one side of the branch. Linux 6.4
// tells the frames apart (kernel/bpf/verifier.c: backtrack_insn). A branch on an unknown number
// depends on none from before the call.
func (lw *Lowerer) callBody(o *callbackBody, loops bool, call func(fn, frame *ir.Value)) {
	b := lw.B
	lw.beforeCall(o)
	slot := b.F.NewSlot(o.size, "frame")
	frame := b.SlotAddr(slot, 0)
	var zero *ir.Value
	if loops {
		zero = lw.opaqueZero()
	}
	for i, x := range o.vars {
		v := b.Read(x)
		if loops && o.writes[x] {
			v = b.Add(ir.OpHide, v, zero)
		}
		b.Store(frame, o.at[x], 8, v).Starts = i == 0
	}
	for _, s := range o.order {
		if b.F.Has(s) {
			// It may not have been written on some path to here, and old verifiers reject reading
			// that.
			b.ZeroFirst(s)
		}
		lw.copyStr(mem{frame, o.slots[s], s.Size}, lw.slotMem(s))
		if loops {
			lw.hideWords(mem{frame, o.slots[s], s.Size}, zero)
		}
	}
	call(b.FuncPtr(o.name), frame)
	for _, x := range o.vars {
		if o.writes[x] {
			v := b.Load(frame, o.at[x], 8, false)
			if loops {
				v = b.Add(ir.OpHide, v, zero)
			}
			b.Write(x, v)
		}
	}
	for _, s := range o.order {
		if loops {
			lw.hideWords(mem{frame, o.slots[s], s.Size}, zero)
		}
		lw.copyStr(lw.slotMem(s), mem{frame, o.slots[s], s.Size})
	}
	if loops {
		for _, x := range slices.Clone(b.Written()) {
			if v := b.Read(x); b.Hides(x) && !o.writes[x] && v.Op != ir.OpConst {
				b.Write(x, b.Add(ir.OpHide, v, zero))
			}
		}
	}
	follow := func(way int64, leave func()) {
		left, on := b.Block("left"), b.Block("")
		b.If(ir.EQ, b.Read(o.exitKind), b.Const(way), left, on)
		b.Continue(left)
		leave()
		b.Continue(on)
	}
	if o.ends {
		follow(exitError, func() { b.Jump(lw.end) })
	}
	for i, r := range o.exits {
		follow(exitReturn+int64(i), func() { lw.leave(r) })
	}
}

// hideWords hides the contents of memory in the frame from the verifier, which knows a word that
// was stored from a register.
func (lw *Lowerer) hideWords(m mem, zero *ir.Value) {
	for off := 0; off < m.cap; off += 8 {
		lw.B.Store(m.base, m.off+off, 8, lw.B.Add(ir.OpHide, lw.B.Load(m.base, m.off+off, 8, false), zero))
	}
}

// leave returns from an inlined function: out of all loops in it, and out of callbacks.
func (lw *Lowerer) leave(r *result) {
	inside := 0
	if lw.out == r.out {
		inside = r.loops
	}
	for i := len(lw.loops) - 1; i >= inside; i-- {
		lw.destroy(lw.loops[i].iter)
	}
	if lw.out == r.out {
		lw.B.Jump(r.exit)
		return
	}
	i := slices.Index(lw.out.exits, r)
	if i < 0 {
		i = len(lw.out.exits)
		lw.out.exits = append(lw.out.exits, r)
		lw.out.capture(r.home)
	}
	lw.exit(exitReturn + int64(i))
}

// capture allocates the words of a function's result in the frame; its slots are added when they
// are written.
func (o *callbackBody) capture(c *home) {
	if c.key != nil {
		o.place(c.key)
	}
	if c.has != nil {
		o.place(c.has)
		o.capture(c.inner)
	}
	for _, e := range c.elems {
		o.capture(e)
	}
}

// callback adds a subprogram that a helper calls with params words, and returns its name. body
// returns its result.
func (lw *Lowerer) callback(name string, params int, body func(args []*ir.Value) *ir.Value) string {
	lw.callbacks++
	name = fmt.Sprintf("%s_%d", name, lw.callbacks)
	outer, live, free, end, scratch := lw.B, lw.live, lw.free, lw.end, lw.scratch
	lw.B = ir.NewBuilder(name)
	lw.B.Pos, lw.B.Weigh = outer.Pos, lw.weigh
	lw.live, lw.free, lw.end = nil, nil, nil
	// Only a callback has the address of the scratch memory.
	lw.scratch.at, lw.scratch.live, lw.scratch.freeList = scratchNowhere, nil, nil
	lw.B.F.Params = params
	args := make([]*ir.Value, params)
	for i := range args {
		args[i] = lw.B.Add(ir.OpCtx)
		args[i].Imm = int64(i)
	}
	work := lw.budget.work
	lw.B.Ret(body(args))
	lw.budget.subs[name] = (lw.budget.work - work) / lw.times
	lw.subs = append(lw.subs, lw.B.Finish())
	lw.B, lw.live, lw.free, lw.end = outer, live, free, end
	// What was allocated in the callback is not reused.
	lw.scratch.at, lw.scratch.live, lw.scratch.freeList = scratch.at, scratch.live, scratch.freeList
	return name
}
