// Package codegen turns the compiler's intermediate representation into eBPF instructions. It
// selects instructions on virtual registers, assigns machine registers by colouring the
// interference graph (values that live across a call get R6 to R9; what does not fit is spilled to
// the stack), lays out the blocks, and checks that jumps reach their targets.
//
//	mir.go       instructions on virtual registers
//	select.go    selection of instructions
//	bitset.go    sets of registers
//	liveness.go  which registers are live where
//	regalloc.go  colouring, coalescing, spilling
//	pairs.go     sets of pairs of registers, for the interference graph
//	emit.go      frames, layout of blocks, machine code
package codegen

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// A reg is a machine register (0 to 10) or, from virtual up, a virtual one.
type reg int32

const (
	none    reg = -1
	r0      reg = 0
	r1      reg = 1
	rfp     reg = 10
	virtual reg = 11
	// colours is the number of registers available for allocation.
	colours = 10
	// firstSaved is the first register that a call preserves (R6); a call clobbers R0 to R5.
	firstSaved = 6
)

type machOp uint8

const (
	mMov     machOp = iota // dst = a | imm
	mALU                   // dst = dst alu (b | imm)
	mNeg                   // dst = -dst
	mSwap                  // dst = dst converted to big-endian
	mLoad                  // dst = *(size)(a + off)
	mStore                 // *(size)(a + off) = b | imm
	mAtomic                // at a + off: add b; fetch-add: dst (= b) is old; cmpxchg: R0, store b
	mFrame                 // dst = address in the frame: slot + off
	mMapPtr                // dst = map sym
	mFuncPtr               // dst = subprogram sym
	mMapVal                // dst = first value of map sym + off
	mCall                  // R0 = helper(R1..)
	mCallSub               // R0 = sym(R1..)
	mKfunc                 // R0 = kernel function imm(R1..)
	mJump                  // to target
	mJcc                   // to target if a cond (b | imm)
	mExit
)

type atomicOp uint8

const (
	atomicAdd atomicOp = iota
	atomicFetchAdd
	atomicCmpXchg
)

// An inst is one instruction on machine or virtual registers.
type inst struct {
	op     machOp
	dst    reg
	a, b   reg
	useImm bool
	imm    int64
	alu    asm.ALUOp
	cond   ir.Cond
	off    int
	size   int
	slot   *ir.Slot // mFrame; mLoad and mStore with a == rfp
	spill  int      // mLoad, mStore with a == rfp and no slot: spill slot number
	atomic atomicOp
	sym    string
	helper asm.BuiltinFunc
	nargs  int
	target *block
	apart  bool // mMov: do not coalesce the two registers
	pos    syntax.Position
}

type block struct {
	id    int
	num   int    // index in the function
	label string // as a jump target, once requested
	on    *block // the target, if the block only jumps
	name  string
	insts []inst
	succs []*block
	cold  bool
	loop  int
	liveIn,
	liveOut bitset
}

type function struct {
	name   string
	blocks []*block
	nregs  int
	spills int   // number of 8-byte spill slots
	global []reg // those that live in more than one block
	bit    []int // by register, its index in global, or -1
	held   []reg // never spilled: those of ir.OpPin, and the short-lived ones that spill adds
}

func (f *function) newReg() reg {
	f.nregs++
	return reg(f.nregs - 1)
}

// operands is storage for the registers that an instruction can use or define.
type operands [8]reg

// uses appends to list the registers that the instruction reads.
func (i *inst) uses(list []reg) []reg {
	switch i.op {
	case mALU, mNeg, mSwap:
		list = append(list, i.dst)
	case mAtomic:
		if i.atomic == atomicCmpXchg {
			list = append(list, r0)
		}
	case mCall, mCallSub, mKfunc:
		for n := 0; n < i.nargs; n++ {
			list = append(list, r1+reg(n))
		}
	case mExit:
		list = append(list, r0)
	}
	if i.a != none && i.a != rfp {
		list = append(list, i.a)
	}
	if i.b != none && !i.useImm {
		list = append(list, i.b)
	}
	return list
}

// defs appends to list the registers that the instruction writes or clobbers.
func (i *inst) defs(list []reg) []reg {
	switch i.op {
	case mMov, mALU, mNeg, mSwap, mLoad, mFrame, mMapPtr, mFuncPtr, mMapVal:
		return append(list, i.dst)
	case mAtomic:
		switch i.atomic {
		case atomicFetchAdd:
			return append(list, i.b)
		case atomicCmpXchg:
			return append(list, r0)
		}
	case mCall, mCallSub, mKfunc:
		return append(list, 0, 1, 2, 3, 4, 5)
	}
	return list
}

// isMove reports whether i copies one register to another.
func (i *inst) isMove() bool { return i.op == mMov && !i.useImm }

func (r reg) String() string {
	if r < virtual {
		return fmt.Sprintf("r%d", int(r))
	}
	return fmt.Sprintf("t%d", int(r))
}
