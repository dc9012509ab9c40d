package compiler

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// The lowerer turns the typed tree into IR. A value of one word is an SSA value; strings live in
// memory; optionals and tuples are split into their words.

// A val is a value of the handler.
type val struct {
	t     *types.Type
	w     *ir.Value // scalars
	has   *ir.Value // Opt: whether it is not None
	inner *val      // Opt
	elems []val     // Tuple
	mem   mem       // Str, Bytes
}

// A mem is a place in memory: in a stack slot, in scratch memory, in a map's value or in a record.
type mem struct {
	base *ir.Value
	off  int
	cap  int
}

func (m mem) at(off int) mem { return mem{m.base, m.off + off, m.cap - off} }

func scalar(t *types.Type, w *ir.Value) val { return val{t: t, w: w} }

type lowerer struct {
	rows           *tables
	req            *Request
	types          map[*Map]MapTypes
	b              *ir.Builder
	needs          Needs
	diags          diag.List
	end            *ir.Block // where the handler ends
	cells          map[*local]*cell
	rets           map[*eCall]*result
	loops          []loop
	live           []*ir.Slot // temporary slots in use
	free           []*ir.Slot
	inline         bool // the code that counts an error is inlined: it has only one call site
	counts         int  // the number of call sites
	subs           []*ir.Func
	callbacks      int                   // number of callbacks so far
	ctxVar         *int                  // the variable that holds the program's context
	out            *outline              // the loop body or function lowered as a subprogram
	stackStores    map[stackStore]string // the subprograms that store stacks
	paths          map[int]string        // the subprograms that build paths, by size
	shared         []*subprog
	sharedBy       map[string][]*subprog // by callKey
	subprogsChosen bool                  // shared says which functions become subprograms
	scratch        scratch
	budget         budget
	times          int  // how often the verifier walks through the code being lowered
	denied         *int // the variable with the error of deny()
	walked         int  // approximate instructions that it walks in loops over long strings
	jumps          int  // and jumps, whose other branch it keeps for later
}

type loop struct {
	brk, cont *ir.Block
	iter      *ir.Slot // the iterator, destroyed by every exit from the loop; or nil
}

// A result is where an inlined function leaves its value.
type result struct {
	cell  *cell
	exit  *ir.Block
	loops int      // the number of loops open at the call
	out   *outline // the callback that contains the call; nil: the program itself
}

// A cell is the storage of a variable: a word for each scalar part, memory for each part that is a
// string or bytes.
type cell struct {
	t     *types.Type
	key   *int // the SSA variable
	has   *int
	inner *cell
	elems []*cell
	room  storage
}

func newLowerer(rows *tables, req *Request, p *treeProgram) *lowerer {
	return &lowerer{rows: rows, req: req, types: p.types, sharedBy: map[string][]*subprog{}}
}

// program lowers the filter and the handler. The code that counts an error becomes a subprogram if
// it has several call sites, and a function of the script becomes one if that makes the program
// smaller. Scratch memory is acquired where it is first needed. All this is known only after the
// first lowering, so the program is lowered again where it matters.
func (lw *lowerer) program(p *treeProgram) []*ir.Func {
	main := lw.main(p)
	again := lw.chooseSubprogs()
	if lw.budget.loops == 1 && !lw.budget.often {
		lw.budget.alone, again = lw.budget.first, true
	}
	if lw.counts == 1 && !again && lw.scratch.wanted == lw.scratch.taken {
		lw.inline, again = true, true
	}
	for again || lw.scratch.wanted > lw.scratch.taken {
		again = false
		lw.scratch.taken = lw.scratch.wanted
		main = lw.main(p)
	}
	funcs := append([]*ir.Func{main}, lw.subs...)
	if lw.counts > 0 && !lw.inline {
		funcs = append(funcs, lw.countSub())
	}
	return funcs
}

func (lw *lowerer) main(p *treeProgram) *ir.Func {
	lw.b = ir.NewBuilder("handler")
	lw.b.Weigh = lw.weigh
	lw.needs = Needs{}
	lw.cells, lw.rets, lw.loops, lw.live, lw.free, lw.counts, lw.subs = map[*local]*cell{}, map[*eCall]*result{}, nil, nil, nil, 0, nil
	lw.callbacks, lw.ctxVar, lw.out = 0, new(int), nil
	lw.stackStores, lw.paths = map[stackStore]string{}, map[int]string{}
	for _, f := range lw.shared {
		f.body, f.result, f.params = nil, nil, nil
	}
	lw.scratch.reset(scratchFilter)
	lw.times, lw.walked, lw.jumps = 1, 0, 0
	lw.budget = budget{spent: new(int), alone: lw.budget.alone, subs: map[string]int{}}
	end := lw.b.Block("end")
	lw.end = end
	if p.Denies {
		lw.denied = new(int)
		lw.b.Write(lw.denied, lw.b.Const(0))
	}
	lw.b.Pos = p.handler.pos
	if off := lw.req.Event.NullGuard; off != 0 {
		there := lw.b.Block("event")
		lw.b.If(ir.EQ, lw.b.Load(lw.ctx(), off, 8, false), lw.b.Const(0), lw.end, there)
		lw.b.Continue(there)
	}
	if lw.req.Event.Gate != "" {
		lw.passGate()
	}
	if lw.req.Event.Syscalls != nil {
		lw.ownSyscalls()
	}
	if p.pid != nil {
		lw.lowerPIDFilter(p.pid)
	}
	if p.filter != nil {
		run := lw.b.Block("run")
		lw.acquireScratch()
		lw.cond(p.filter, run, lw.end)
		lw.b.Continue(run)
	}
	lw.scratch.at = scratchHandler
	lw.acquireScratch()
	lw.value(p.handler)
	lw.b.Jump(lw.end)
	lw.release(end)
	lw.b.Continue(end)
	if p.Denies {
		lw.b.Ret(lw.verdict())
	} else {
		lw.b.Ret(lw.b.Const(0))
	}
	return lw.b.Finish()
}

// verdict returns the program's result: the last error that the handler gave to deny(), negated, or
// 0. The mask shows the verifier that it is in the range that hooks may return.
func (lw *lowerer) verdict() *ir.Value {
	b := lw.b
	return b.Add(ir.OpSub, b.Const(0), b.Add(ir.OpAnd, b.Read(lw.denied), b.Const(maxErrno)))
}

// scratchSlot returns a stack slot that is free again at the end of the statement.
func (lw *lowerer) scratchSlot(size int, name string) *ir.Slot {
	size = (size + 7) &^ 7
	best := -1
	for i, s := range lw.free {
		if s.Size >= size && (best < 0 || s.Size < lw.free[best].Size) {
			best = i
		}
	}
	var s *ir.Slot
	if best >= 0 {
		s = lw.free[best]
		lw.free = append(lw.free[:best], lw.free[best+1:]...)
	} else {
		s = lw.b.F.NewSlot(size, name)
	}
	lw.live = append(lw.live, s)
	return s
}

// scoped frees the temporary slots and scratch memory that fn allocates.
func (lw *lowerer) scoped(fn func()) {
	mark, held := len(lw.live), len(lw.scratch.live)
	fn()
	lw.free = append(lw.free, lw.live[mark:]...)
	lw.live = lw.live[:mark]
	lw.scratch.free(held)
}

// slotMem returns the memory of a slot. In a callback, a slot of the outer function is represented
// by its copy in the callback's frame.
func (lw *lowerer) slotMem(s *ir.Slot) mem {
	if lw.out != nil && !lw.b.F.Has(s) {
		return lw.out.copyOf(lw, s)
	}
	return mem{lw.b.SlotAddr(s, 0), 0, s.Size}
}

// ctx returns the program's context. In a callback it is one of the words passed in the frame.
func (lw *lowerer) ctx() *ir.Value {
	if lw.out == nil {
		return lw.b.Add(ir.OpCtx)
	}
	return lw.b.Read(lw.ctxVar)
}

// addr returns a pointer to m, as a helper takes it.
func (lw *lowerer) addr(m mem) *ir.Value {
	if m.base.Op == ir.OpSlotAddr {
		return lw.b.SlotAddr(m.base.Slot, m.base.Off+m.off)
	}
	if m.off == 0 {
		return m.base
	}
	return lw.b.Add(ir.OpAdd, m.base, lw.b.Const(int64(m.off)))
}

func (lw *lowerer) newCell(t *types.Type, name string) *cell {
	c := &cell{t: t}
	switch t.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		c.room = lw.alloc(t.Cap, name)
	case types.Opt:
		c.has, c.inner = new(int), lw.newCell(t.Elem, name)
	case types.Tuple:
		for _, e := range t.Underlying().Elems {
			c.elems = append(c.elems, lw.newCell(e, name))
		}
	default:
		c.key = new(int)
	}
	return c
}

// set writes an expression of the cell's type into the cell.
func (lw *lowerer) set(c *cell, x expr) {
	if c.t.InMemory() {
		lw.str(x, lw.mem(c.room), true)
		return
	}
	if m, ok := x.(*eMethod); ok && (m.name == "get" || m.name == "pop") && m.m != nil {
		lw.getOrPop(m, m.name == "pop", c) // directly into the cell
		return
	}
	if x, ok := x.(*eConvert); ok && c.t.Kind == types.Opt && x.x.typ().Kind == types.None {
		lw.setNone(c)
		return
	}
	lw.setVal(c, lw.value(x))
}

// setNone makes an optional None. Its strings are emptied, because the value is copied as a whole
// and the verifier of older kernels rejects reads of stack bytes that were not written.
func (lw *lowerer) setNone(c *cell) {
	lw.b.Write(c.has, lw.b.Const(0))
	lw.clearCell(c.inner)
}

func (lw *lowerer) clearCell(c *cell) {
	switch c.t.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		lw.fill(lw.mem(c.room), 0)
	case types.Opt:
		lw.setNone(c)
	case types.Tuple:
		for _, e := range c.elems {
			lw.clearCell(e)
		}
	default:
		lw.b.Write(c.key, lw.b.Const(0))
	}
}

func (lw *lowerer) setVal(c *cell, v val) {
	switch c.t.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		lw.copyStr(lw.mem(c.room), v.mem)
	case types.Opt:
		lw.b.Write(c.has, v.has)
		lw.setVal(c.inner, *v.inner)
	case types.Tuple:
		for i, e := range c.elems {
			lw.setVal(e, v.elems[i])
		}
	default:
		lw.b.Write(c.key, v.w)
	}
}

func (lw *lowerer) get(c *cell) val {
	v := val{t: c.t}
	switch c.t.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		v.mem = lw.mem(c.room)
	case types.Opt:
		v.has = lw.b.Read(c.has)
		in := lw.get(c.inner)
		v.inner = &in
	case types.Tuple:
		for _, e := range c.elems {
			v.elems = append(v.elems, lw.get(e))
		}
	default:
		v.w = lw.b.Read(c.key)
	}
	return v
}

// zero returns a value of type t whose contents do not matter: the inside of a None.
func (lw *lowerer) zero(t *types.Type) val {
	v := val{t: t}
	switch t.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		v.mem = lw.allocTemp(t.Cap, "none")
		lw.fill(v.mem, 0)
	case types.Opt:
		v.has = lw.b.Const(0)
		in := lw.zero(t.Elem)
		v.inner = &in
	case types.Tuple:
		for _, e := range t.Underlying().Elems {
			v.elems = append(v.elems, lw.zero(e))
		}
	default:
		v.w = lw.b.Const(0)
	}
	return v
}

// store writes a value in the layout of a map's key or value, or of a record.
func (lw *lowerer) store(m mem, v val) {
	switch v.t.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		m.cap = v.t.Cap
		lw.copyStr(m, v.mem)
	case types.Opt:
		lw.b.Store(m.base, m.off, 8, v.has)
		lw.store(m.at(8), *v.inner)
	case types.Tuple:
		off := 0
		for _, e := range v.elems {
			lw.store(m.at(off), e)
			off += e.t.Size()
		}
	default:
		lw.b.Store(m.base, m.off, 8, v.w)
	}
}

// storeExpr is store for an expression; strings are built directly in place.
func (lw *lowerer) storeExpr(m mem, x expr) {
	t := x.typ()
	switch {
	case t.InMemory():
		m.cap = t.Cap
		lw.str(x, m, true)
	case t.Kind == types.Tuple:
		if tup, ok := x.(*eTuple); ok {
			off := 0
			for _, e := range tup.elems {
				lw.storeExpr(m.at(off), e)
				off += e.typ().Size()
			}
			return
		}
		if cv, ok := x.(*eConvert); ok {
			if tup, ok := cv.x.(*eTuple); ok {
				off := 0
				for i, e := range tup.elems {
					lw.storeExpr(m.at(off), convert(e, t.Elems[i]))
					off += t.Elems[i].Size()
				}
				return
			}
		}
		lw.store(m, lw.value(x))
	default:
		lw.store(m, lw.value(x))
	}
}

// load reads a value from memory. Strings are copied, because the memory may change.
func (lw *lowerer) load(m mem, t *types.Type) val {
	v := val{t: t}
	switch t.Underlying().Kind {
	case types.None, types.Invalid:
	case types.Str, types.Bytes:
		v.mem = lw.allocTemp(t.Cap, "string")
		m.cap = t.Cap
		lw.copyStr(v.mem, m)
	case types.Opt:
		v.has = lw.b.Load(m.base, m.off, 8, false)
		in := lw.load(m.at(8), t.Elem)
		v.inner = &in
	case types.Tuple:
		off := 0
		for _, e := range t.Underlying().Elems {
			v.elems = append(v.elems, lw.load(m.at(off), e))
			off += e.Size()
		}
	default:
		v.w = lw.b.Load(m.base, m.off, 8, false)
	}
	return v
}

// call adds a call of a helper.
func (lw *lowerer) call(fn asm.BuiltinFunc, args ...*ir.Value) *ir.Value {
	v := lw.b.Add(ir.OpCall, args...)
	v.Helper = fn
	lw.weighCall(v)
	return v
}

// pureCall adds a call of a helper whose result is constant during a run.
func (lw *lowerer) pureCall(fn asm.BuiltinFunc) *ir.Value {
	v := lw.call(fn)
	v.Pure = true
	return v
}

// callback adds a subprogram that a helper calls with params words, and returns its name. body
// returns its result.
func (lw *lowerer) callback(name string, params int, body func(args []*ir.Value) *ir.Value) string {
	lw.callbacks++
	name = fmt.Sprintf("%s_%d", name, lw.callbacks)
	outer, live, free, end, heap := lw.b, lw.live, lw.free, lw.end, lw.scratch
	lw.b = ir.NewBuilder(name)
	lw.b.Pos, lw.b.Weigh = outer.Pos, lw.weigh
	lw.live, lw.free, lw.end = nil, nil, nil
	// Only an outline has the address of the scratch memory.
	lw.scratch.at, lw.scratch.live, lw.scratch.freeList = scratchNowhere, nil, nil
	lw.b.F.Params = params
	args := make([]*ir.Value, params)
	for i := range args {
		args[i] = lw.b.Add(ir.OpCtx)
		args[i].Imm = int64(i)
	}
	work := lw.budget.work
	lw.b.Ret(body(args))
	lw.budget.subs[name] = (lw.budget.work - work) / lw.times
	lw.subs = append(lw.subs, lw.b.Finish())
	lw.b, lw.live, lw.free, lw.end = outer, live, free, end
	// What was allocated in the callback is not reused.
	lw.scratch.at, lw.scratch.live, lw.scratch.freeList = heap.at, heap.live, heap.freeList
	return name
}

// half32 returns the upper or lower 32 bits of a word.
func (lw *lowerer) half32(w *ir.Value, high bool) *ir.Value {
	if !high {
		w = lw.b.Add(ir.OpShl, w, lw.b.Const(32))
	}
	return lw.b.Add(ir.OpLShr, w, lw.b.Const(32))
}

// bug reports an error that the checker should have caught.
func (lw *lowerer) bug(pos syntax.Position, format string, args ...any) {
	lw.diags = append(lw.diags, &diag.Diagnostic{Pos: pos, Msg: "bug in the compiler: " + fmt.Sprintf(format, args...), Line: lw.req.Source(pos)})
}
