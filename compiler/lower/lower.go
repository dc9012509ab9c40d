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
//	program.go     the filters and the handler, a program and its functions
//	lower.go       the Lowerer; values, memory and homes of locals
//	value.go       reading and writing homes
//	stmt.go        statements, inlined calls, loops of constant length and over lists
//	loop.go        other ranges and while, by the number iterator or by callbacks
//	callback.go    a body in a callback: its frame, and jumps out of it
//	items.go       loops over the elements of a map
//	subprog.go     functions that become subprograms
//	budget.go      the bound of the work of a run, and so of its loops
//	needs.go       what a program refers to, sites, limits
//	errorcells.go  counting of errors
//	syscall.go     finding the probe of a system call, the gate
//
// Expressions:
//
//	expr.go    all kinds of expression, conversion
//	cond.go    conditions and comparisons, as jumps
//	str.go     comparison of strings, startswith, slices
//	text.go    words of strings and bytes, copies
//	search.go  in: text in a string, a value in a list
//	table.go   methods of tables, defaults of lookups that are computed in any case
//	agg.go     add of aggregations, buckets of histograms
//	print.go   print, printf, emit, stop
//
// Memory:
//
//	event.go       arguments and cookie of the event, IDs of its task, network addresses
//	read.go        reads of memory by helpers
//	memory.go      chains of members
//	scratch.go     what does not fit on the stack
//	path.go        paths of files
//	args.go        the arguments of a program
//	stackstore.go  kernel and user stacks
package lower

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
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

// A Val is a value of the handler.
type Val struct {
	T     *types.Type
	W     *ir.Value // scalars
	has   *ir.Value // Opt: whether it is not None
	inner *Val      // Opt
	Elems []Val     // Tuple
	mem   mem       // Str, Bytes
}

// A mem is a place in memory: in a stack slot, in scratch memory, in a map's value or in a record.
type mem struct {
	base *ir.Value
	off  int
	cap  int
}

func (m mem) at(off int) mem { return mem{m.base, m.off + off, m.cap - off} }

// Scalar returns a value of one word.
func Scalar(t *types.Type, w *ir.Value) Val { return Val{T: t, W: w} }

// A home is the storage of a variable: a word for each scalar part, memory for each part that is a
// string or bytes.
type home struct {
	t     *types.Type
	key   *int // the SSA variable
	has   *int
	inner *home
	elems []*home
	room  storage
}

func (lw *Lowerer) kfunc(name string, args ...*ir.Value) *ir.Value {
	id, err := lw.Req.Kfunc(name)
	if err != nil {
		lw.bug(lw.B.Pos, "%v", err)
	}
	v := lw.B.Add(ir.OpKfunc, args...)
	v.Sym, v.Imm = name, id
	return v
}

// destroy destroys an iterator.
func (lw *Lowerer) destroy(it *ir.Slot) {
	if it != nil && !lw.B.Dead() {
		lw.kfunc(iterDestroy, lw.B.SlotAddr(it, 0))
	}
}

// opaqueZero returns a 0 that is unknown to the verifier.
func (lw *Lowerer) opaqueZero() *ir.Value {
	lw.needs.Zeros = max(lw.needs.Zeros, 8)
	return lw.B.Load(lw.B.MapValue(lw.Req.Zeros, 0), 0, 8, false)
}

const iterDestroy = "bpf_iter_num_destroy"
