// Package lower translates the typed tree of a handler to functions of package ir.
//
// A value of one word is an SSA value; strings and bytes live in memory; optionals and tuples are
// split into their words (Val). A local has a home: a variable of the builder for each word, memory
// for each string. What does not fit on the stack of 512 bytes is in scratch memory (scratch.go).
//
// A function of the script is inlined at its call, or becomes a subprogram if that makes the
// program smaller (subprog.go).
//
// The checker decides which loops over range() the verifier walks iteration by iteration (a
// tree.ForStmt, lowered by forRange in stmt.go). Longer ones, those of a length known only at run
// time, and while loops (a tree.CountStmt or a tree.WhileStmt) are lowered by iterate in loop.go.
// They use the kernel's number iterator, or a callback (callback.go) if the kernel has none or the
// verifier gave up on the iterator. The budget of a run bounds their iterations (maxSteps in
// budget.go). A loop over a list is unrolled (forEach in stmt.go), and a loop over a map has a
// helper call the body for each element (items.go).
//
// Everything that can fail at run time has a site, at which a failure is counted and the handler
// goes on or ends (errorcells.go).
//
// Some decisions need facts about the whole program, for example how often a function is called. So
// a handler is lowered once to collect them, and again if they change what is emitted
// (Lowerer.program).
//
// The lowerer reports no errors of the handler: the checker has found them. What it can still find
// are limits (limit errors are types of this package). Needs lists what the program refers to at
// run time. How builtins, methods and fields are lowered is in Tables, whose rows package builtin
// has; this package has what they are written with, the methods of Lowerer, and the operations that
// share code with statements (tables, aggregations, prints).
//
// The handler:
//
//	lower.go       the Lowerer, a program and its functions
//	value.go       values, homes of locals
//	stmt.go        statements, inlined calls, loops of constant length and over lists
//	loop.go        other ranges and while, by the number iterator or by callbacks
//	callback.go    a body in a callback: its frame, and jumps out of it
//	items.go       loops over the elements of a map
//	subprog.go     functions that become subprograms
//	budget.go      the bound of the work of a run, and so of its loops
//	needs.go       what a program refers to, sites, limits
//	errorcells.go  counting of errors
//	pidfilter.go   the filter by process: the half of package bpf's pidfilter.go that programs run
//	syscall.go     finding the probe of a system call, the gate
//
// Expressions:
//
//	expr.go    all kinds of expression, conversion
//	cond.go    conditions and comparisons, as jumps
//	str.go     comparison of strings, startswith, slices
//	text.go    words of strings and bytes, copies
//	search.go  in: text in a string, a value in a list
//	table.go   methods of tables
//	agg.go     add of aggregations, buckets of histograms
//	print.go   print, printf, emit, stop
//
// Memory:
//
//	event.go       arguments and cookie of the event
//	read.go        reads of memory by helpers
//	memory.go      chains of members
//	scratch.go     what does not fit on the stack
//	path.go        paths of files
//	netaddr.go     network addresses
//	stackstore.go  kernel and user stacks
package lower

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
)

// A Lowerer lowers one handler. Functions that lower a row call its methods.
type Lowerer struct {
	Req    *tree.Request
	B      *ir.Builder // of the function being lowered
	Denied *int        // the variable with the error of deny()

	rows           *Tables
	types          map[*tree.Map]tree.MapTypes
	needs          Needs
	diags          diag.List
	end            *ir.Block // where the handler ends
	homes          map[*tree.Local]*home
	rets           map[*tree.CallExpr]*result
	loops          []loop
	live           []*ir.Slot // temporary slots in use
	free           []*ir.Slot
	inline         bool // the code that counts an error is inlined: it has only one call site
	counts         int  // the number of call sites
	subs           []*ir.Func
	callbacks      int                   // number of callbacks so far
	ctxVar         *int                  // the variable that holds the program's context
	out            *callbackBody         // the loop body or function lowered as a subprogram
	stackStores    map[stackStore]string // the subprograms that store stacks
	paths          map[int]string        // the subprograms that build paths, by size
	shared         []*subprog
	sharedBy       map[string][]*subprog // by callKey
	subprogsChosen bool                  // shared says which functions become subprograms
	scratch        scratch
	budget         budget
	times          int // how often the verifier walks through the code being lowered
	walked         int // approximate instructions that it walks in loops over long strings
	jumps          int // and jumps, whose other branch it keeps for later
}

type loop struct {
	brk, cont *ir.Block
	iter      *ir.Slot // the iterator, destroyed by every exit from the loop; or nil
}

// A result is where an inlined function leaves its value.
type result struct {
	home  *home
	exit  *ir.Block
	loops int           // the number of loops open at the call
	out   *callbackBody // the callback that contains the call; nil: the program itself
}

// Program lowers a checked handler. Values of more than limit bytes are not on the stack. The
// error is a diag.List, a *ScratchError, a *TextError or ErrCanceled.
func Program(rows *Tables, req *tree.Request, p *tree.Program, limit int) ([]*ir.Func, *Needs, error) {
	lw := &Lowerer{rows: rows, Req: req, types: p.Types, sharedBy: map[string][]*subprog{}}
	lw.scratch.limit = limit
	funcs := lw.program(p)
	switch {
	case req.IsCanceled():
		return nil, nil, tree.ErrCanceled
	case len(lw.diags) > 0:
		return nil, nil, lw.diags.Sort()
	case lw.walked > maxWalkedText || lw.jumps > maxTextJumps:
		return nil, nil, &TextError{}
	case lw.needs.ScratchSize > MaxScratch:
		return nil, nil, &ScratchError{lw.needs.ScratchSize}
	}
	return funcs, &lw.needs, nil
}

// program lowers the filter and the handler. The code that counts an error becomes a subprogram if
// it has several call sites, and a function of the script becomes one if that makes the program
// smaller. Scratch memory is acquired where it is first needed. All this is known only after the
// first lowering, so the program is lowered again where it matters.
func (lw *Lowerer) program(p *tree.Program) []*ir.Func {
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

func (lw *Lowerer) main(p *tree.Program) *ir.Func {
	lw.B = ir.NewBuilder("handler")
	lw.B.Weigh = lw.weigh
	lw.needs = Needs{}
	lw.homes, lw.rets, lw.loops, lw.live, lw.free, lw.counts, lw.subs = map[*tree.Local]*home{}, map[*tree.CallExpr]*result{}, nil, nil, nil, 0, nil
	lw.callbacks, lw.ctxVar, lw.out = 0, new(int), nil
	lw.stackStores, lw.paths = map[stackStore]string{}, map[int]string{}
	for _, f := range lw.shared {
		f.body, f.result, f.params = nil, nil, nil
	}
	lw.scratch.reset(scratchFilter)
	lw.times, lw.walked, lw.jumps = 1, 0, 0
	lw.budget = budget{spent: new(int), alone: lw.budget.alone, subs: map[string]int{}}
	end := lw.B.Block("end")
	lw.end = end
	if p.Denies {
		lw.Denied = new(int)
		lw.B.Write(lw.Denied, lw.B.Const(0))
	}
	lw.B.Pos = p.Handler.Pos
	if off := lw.Req.Event.NullGuard; off != 0 {
		there := lw.B.Block("event")
		lw.B.If(ir.EQ, lw.B.Load(lw.ctx(), off, 8, false), lw.B.Const(0), lw.end, there)
		lw.B.Continue(there)
	}
	if lw.Req.Event.Gate != "" {
		lw.passGate()
	}
	if lw.Req.Event.Syscalls != nil {
		lw.ownSyscalls()
	}
	if p.PID != nil {
		lw.lowerPIDFilter(p.PID)
	}
	if p.Filter != nil {
		run := lw.B.Block("run")
		lw.acquireScratch()
		lw.cond(p.Filter, run, lw.end)
		lw.B.Continue(run)
	}
	lw.scratch.at = scratchHandler
	lw.acquireScratch()
	lw.Value(p.Handler)
	lw.B.Jump(lw.end)
	lw.release(end)
	lw.B.Continue(end)
	if p.Denies {
		lw.B.Ret(lw.verdict())
	} else {
		lw.B.Ret(lw.B.Const(0))
	}
	return lw.B.Finish()
}

// verdict returns the program's result: the last error that the handler gave to deny(), negated, or
// 0. The mask shows the verifier that it is in the range that hooks may return.
func (lw *Lowerer) verdict() *ir.Value {
	b := lw.B
	return b.Add(ir.OpSub, b.Const(0), b.Add(ir.OpAnd, b.Read(lw.Denied), b.Const(MaxErrno)))
}

// scratchSlot returns a stack slot that is free again at the end of the statement.
func (lw *Lowerer) scratchSlot(size int, name string) *ir.Slot {
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
		s = lw.B.F.NewSlot(size, name)
	}
	lw.live = append(lw.live, s)
	return s
}

// scoped frees the temporary slots and scratch memory that fn allocates.
func (lw *Lowerer) scoped(fn func()) {
	mark, held := len(lw.live), len(lw.scratch.live)
	fn()
	lw.free = append(lw.free, lw.live[mark:]...)
	lw.live = lw.live[:mark]
	lw.scratch.free(held)
}

// slotMem returns the memory of a slot. In a callback, a slot of the outer function is represented
// by its copy in the callback's frame.
func (lw *Lowerer) slotMem(s *ir.Slot) mem {
	if lw.out != nil && !lw.B.F.Has(s) {
		return lw.out.copyOf(lw, s)
	}
	return mem{lw.B.SlotAddr(s, 0), 0, s.Size}
}

// ctx returns the program's context. In a callback it is one of the words passed in the frame.
func (lw *Lowerer) ctx() *ir.Value {
	if lw.out == nil {
		return lw.B.Add(ir.OpCtx)
	}
	return lw.B.Read(lw.ctxVar)
}

// addr returns a pointer to m, as a helper takes it.
func (lw *Lowerer) addr(m mem) *ir.Value {
	if m.base.Op == ir.OpSlotAddr {
		return lw.B.SlotAddr(m.base.Slot, m.base.Off+m.off)
	}
	if m.off == 0 {
		return m.base
	}
	return lw.B.Add(ir.OpAdd, m.base, lw.B.Const(int64(m.off)))
}

// Call adds a call of a helper.
func (lw *Lowerer) Call(fn asm.BuiltinFunc, args ...*ir.Value) *ir.Value {
	v := lw.B.Add(ir.OpCall, args...)
	v.Helper = fn
	lw.weighCall(v)
	return v
}

// PureCall adds a call of a helper whose result is constant during a run.
func (lw *Lowerer) PureCall(fn asm.BuiltinFunc) *ir.Value {
	v := lw.Call(fn)
	v.Pure = true
	return v
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

// Half32 returns the upper or lower 32 bits of a word.
func (lw *Lowerer) Half32(w *ir.Value, high bool) *ir.Value {
	if !high {
		w = lw.B.Add(ir.OpShl, w, lw.B.Const(32))
	}
	return lw.B.Add(ir.OpLShr, w, lw.B.Const(32))
}

// bug reports an error that the checker should have caught.
func (lw *Lowerer) bug(pos syntax.Position, format string, args ...any) {
	lw.diags = append(lw.diags, &diag.Diagnostic{Pos: pos, Msg: "bug in the compiler: " + fmt.Sprintf(format, args...), Line: lw.Req.Source(pos)})
}

// Tables says how what a handler calls and reads is lowered. Package builtin has the rows.
type Tables struct {
	Builtins map[string]func(lw *Lowerer, e *tree.BuiltinExpr) Val
	Methods  map[string]Method // by receiver and name: "table.get"
	Fields   map[string]func(lw *Lowerer) Val
}

// Method is the lowering of a method: to a value or, if Jump is not nil, to a condition that
// continues at t or f.
type Method struct {
	Lower func(lw *Lowerer, e *tree.MethodExpr) Val
	Jump  func(lw *Lowerer, e *tree.MethodExpr, t, f *ir.Block)
}

func (r *Tables) method(e *tree.MethodExpr) Method { return r.Methods[e.Recv+"."+e.Name] }
