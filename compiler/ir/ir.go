// Package ir is the compiler's intermediate representation: a handler as basic blocks of values in
// static single assignment form, with the stack slots, helper calls and maps that it uses. Lowering
// builds it, the passes rewrite it, Verify checks it after each pass in tests, and package codegen
// turns it into instructions.
//
// A value is one 64-bit word: a number, or a pointer to the context, to a stack slot or into a map.
// Anything larger (strings, keys) lives in memory, in a slot or a ring-buffer record, and is
// accessed by loads and stores.
//
// The representation:
//
//	ir.go      functions, blocks, values, operations
//	build.go   the Builder, which puts variables in SSA form
//	print.go   functions as text, in golden files
//	verify.go  the invariants
//
// What passes are built on:
//
//	passes.go  the list of passes, in their order
//	dom.go     which blocks dominate which
//	replace.go values that stand for others
//	memory.go  what values read and write, byte by byte
//
// The passes, and the placement of slots after them:
//
//	fold.go         constant folding, cheaper operations
//	dce.go          values that nothing uses
//	cse.go          common subexpressions
//	comm.go         repeated reads of the name of the task
//	lookupcse.go    repeated lookups in a map
//	loadelim.go     loads of bytes that are known
//	deadstore.go    stores of bytes that nothing reads
//	sink.go         work moved to the branch that needs it
//	branches.go     branches that earlier tests decide
//	jumpthread.go   jumps to a block that the predecessor decides
//	mergeblocks.go  blocks with one predecessor, empty blocks
//	slots.go        offsets of slots in the stack frame
package ir

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"
)

// An Op is the operation of a value.
type Op uint8

// The operations. Arithmetic is on 64 bits and wraps; UDiv and UMod are unsigned, and their divisor
// is not zero.
const (
	OpInvalid Op = iota
	OpConst      // Imm
	OpCtx        // the program's context
	OpPhi        // Args in the order of the block's Preds
	OpAdd        // Args[0] + Args[1]
	OpSub
	OpMul
	OpUDiv
	OpUMod
	OpAnd
	OpOr
	OpXor
	OpShl
	OpLShr
	OpAShr
	OpNeg
	OpByteSwap  // Args[0] read as a big-endian number, which sorts as the string does
	OpHide      // Args[0] + Args[1], a zero unknown to the verifier: see Builder.Opaque
	OpPin       // Args[0] in its own register until the last use: see Builder.Pin
	OpSlotAddr  // address of Slot + Off
	OpMapPtr    // the map named Sym, as helpers take it
	OpMapValue  // address of the value of Sym's first element + Off
	OpLoad      // Size bytes at Args[0] + Off, extended by Signed
	OpStore     // Size bytes of Args[1] to Args[0] + Off
	OpAtomicAdd // add Args[1] to the 8 bytes at Args[0] + Off
	OpFetchAdd  // the same, with the previous word as result
	OpCmpXchg   // compare with Args[1], store Args[2]; result: the previous word
	OpCall      // Helper(Args...)
	OpCallSub   // the subprogram Sym(Args...)
	OpKfunc     // the kernel function with BTF ID Imm, named Sym (Args...)
	OpFuncPtr   // the subprogram Sym, for a helper that takes a callback
)

var opNames = [...]string{"invalid", "const", "ctx", "phi", "add", "sub", "mul", "udiv", "umod", "and", "or", "xor", "shl",
	"lshr", "ashr", "neg", "swap", "hide", "hold", "slotaddr", "mapptr", "mapvalue", "load", "store", "atomicadd", "fetchadd", "cmpxchg", "call", "callsub", "kfunc", "funcptr"}

func (o Op) String() string { return opNames[o] }

// Cond is the comparison of a conditional jump. The S forms are signed.
type Cond uint8

// The comparisons.
const (
	EQ Cond = iota
	NE
	ULT
	ULE
	UGT
	UGE
	SLT
	SLE
	SGT
	SGE
)

var condNames = [...]string{"==", "!=", "u<", "u<=", "u>", "u>=", "s<", "s<=", "s>", "s>="}

func (c Cond) String() string { return condNames[c] }

// Not returns the comparison that is true exactly where c is false.
func (c Cond) Not() Cond {
	return [...]Cond{NE, EQ, UGE, UGT, ULE, ULT, SGE, SGT, SLE, SLT}[c]
}

// Swap returns the comparison that is true for (y, x) exactly where c is true for (x, y).
func (c Cond) Swap() Cond {
	return [...]Cond{EQ, NE, UGT, UGE, ULT, ULE, SGT, SGE, SLT, SLE}[c]
}

// Holds reports whether the comparison is true for x and y.
func (c Cond) Holds(x, y int64) bool {
	ux, uy := uint64(x), uint64(y)
	switch c {
	case EQ:
		return x == y
	case NE:
		return x != y
	case ULT:
		return ux < uy
	case ULE:
		return ux <= uy
	case UGT:
		return ux > uy
	case UGE:
		return ux >= uy
	case SLT:
		return x < y
	case SLE:
		return x <= y
	case SGT:
		return x > y
	}
	return x >= y
}

// A Slot is a piece of the stack, 8-byte aligned.
type Slot struct {
	ID   int
	Size int
	Name string // what it contains, for humans
}

// A Value is one instruction and its result.
type Value struct {
	ID     int
	Op     Op
	Args   []*Value
	Imm    int64 // OpConst
	Off    int   // memory operations, OpSlotAddr, OpMapValue
	Size   int   // memory operations: 1, 2, 4 or 8
	Signed bool  // OpLoad: sign-extend
	Slot   *Slot
	Starts bool   // OpStore: the slot's previous contents are not needed
	Sym    string // maps and subprograms
	Helper asm.BuiltinFunc
	Pure   bool // OpCall: constant during a run, no effects: may be shared or dropped
	Block  *Block
	Pos    syntax.Position
}

// HasEffect reports whether the value must be kept even if its result is unused.
func (v *Value) HasEffect() bool {
	switch v.Op {
	case OpStore, OpAtomicAdd, OpFetchAdd, OpCmpXchg, OpCallSub, OpKfunc:
		return true
	case OpCall:
		return !v.Pure
	}
	return false
}

// HasResult reports whether the value has a result.
func (v *Value) HasResult() bool { return v.Op != OpStore && v.Op != OpAtomicAdd }

// IsConst returns the number of a constant, and reports whether v is one.
func (v *Value) IsConst() (int64, bool) { return v.Imm, v.Op == OpConst }

// TermKind is how a block ends.
type TermKind uint8

// The ends of a block.
const (
	TermNone TermKind = iota
	TermJump          // to Succs[0]
	TermIf            // to Succs[0] if Cond holds for (X, Y), else to Succs[1]
	TermRet           // return X
)

// A Block is a sequence of values that runs from its start to its end.
type Block struct {
	ID     int
	Name   string
	Phis   []*Value
	Values []*Value
	Kind   TermKind
	Cond   Cond
	X, Y   *Value
	Preds  []*Block
	Succs  []*Block
	Cold   bool // seldom run: placed after the others
	Loop   int  // nesting depth of loops, for spill costs
	Pos    syntax.Position
}

// A Func is one program or subprogram.
type Func struct {
	Name    string
	Blocks  []*Block // Blocks[0] is the entry
	Slots   []*Slot
	Params  int // of a subprogram: words in R1 to R5; 0: a program, with its context in R1
	nextVal int
	nextBlk int
}

// NewBlock adds an empty block.
func (f *Func) NewBlock(name string) *Block {
	b := &Block{ID: f.nextBlk, Name: name}
	f.nextBlk++
	f.Blocks = append(f.Blocks, b)
	return b
}

// NewSlot adds a stack slot of size bytes.
func (f *Func) NewSlot(size int, name string) *Slot {
	s := &Slot{ID: len(f.Slots), Size: (size + 7) &^ 7, Name: name}
	f.Slots = append(f.Slots, s)
	return s
}

// Has reports whether the slot belongs to the function.
func (f *Func) Has(s *Slot) bool { return s.ID < len(f.Slots) && f.Slots[s.ID] == s }

// NewValue returns a value that is not in a block yet.
func (f *Func) NewValue(op Op, args ...*Value) *Value {
	v := &Value{ID: f.nextVal, Op: op, Args: args}
	f.nextVal++
	return v
}

// NumValues returns a bound: the IDs of the function's values are below it.
func (f *Func) NumValues() int { return f.nextVal }

// NumBlocks returns a bound: the IDs of the function's blocks are below it.
func (f *Func) NumBlocks() int { return f.nextBlk }

// Jump ends b with a jump to t.
func (b *Block) Jump(t *Block) {
	b.Kind, b.Succs = TermJump, []*Block{t}
	t.Preds = append(t.Preds, b)
}

// If ends b with a jump to t if c holds for (x, y), and to e otherwise.
func (b *Block) If(c Cond, x, y *Value, t, e *Block) {
	b.Kind, b.Cond, b.X, b.Y, b.Succs = TermIf, c, x, y, []*Block{t, e}
	t.Preds = append(t.Preds, b)
	e.Preds = append(e.Preds, b)
}

// Ret ends b with a return of x.
func (b *Block) Ret(x *Value) { b.Kind, b.X = TermRet, x }

func (b *Block) String() string {
	if b.Name == "" {
		return fmt.Sprintf("b%d", b.ID)
	}
	return fmt.Sprintf("b%d.%s", b.ID, b.Name)
}

func (b *Block) removePred(i int) {
	b.Preds = slices.Delete(b.Preds, i, i+1)
	for _, phi := range b.Phis {
		phi.Args = slices.Delete(phi.Args, i, i+1)
	}
}
