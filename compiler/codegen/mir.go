// Package codegen turns the compiler's intermediate form into eBPF instructions: it selects instructions on
// virtual registers, gives these registers by colouring their interference graph (values that live across a call
// get R6 to R9, what does not fit goes to the stack), lays out the blocks, and checks that jumps reach.
package codegen

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// A reg is a machine register (0 to 10) or, above, a virtual one.
type reg int32

const (
	none    reg = -1
	r0      reg = 0
	r1      reg = 1
	rfp     reg = 10
	virtual reg = 11
	// colours are the registers that are given out
	colours = 10
	// firstSaved is the first register that a call preserves (R6); R0 to R5 are lost in it
	firstSaved = 6
)

type machOp uint8

const (
	mMov     machOp = iota // dst = a | imm
	mALU                   // dst = dst alu (b | imm)
	mNeg                   // dst = -dst
	mSwap                  // dst = dst with its bytes in big-endian order
	mLoad                  // dst = *(size)(a + off)
	mStore                 // *(size)(a + off) = b | imm
	mAtomic                // atomic on a + off: add b; fetch-add gives dst (= b); cmpxchg compares R0 with, stores b
	mFrame                 // dst = address in the frame: slot + off
	mMapPtr                // dst = map sym
	mFuncPtr               // dst = subprogram sym
	mMapVal                // dst = first value of map sym + off
	mCall                  // R0 = helper(R1..)
	mCallSub               // R0 = sym(R1..)
	mKfunc                 // R0 = the kernel's function imm(R1..)
	mJump                  // to target
	mJcc                   // to target where a cond (b | imm)
	mExit
)

type atomicOp uint8

const (
	atomicAdd atomicOp = iota
	atomicFetchAdd
	atomicCmpXchg
)

// An inst is one instruction on registers, machine or virtual.
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
	spill  int      // mLoad and mStore with a == rfp and no slot: number of the spill slot
	atomic atomicOp
	sym    string
	helper asm.BuiltinFunc
	nargs  int
	target *block
	apart  bool // mMov: the two registers are not to become one
	pos    syntax.Position
}

type block struct {
	id    int
	num   int    // its place in the function
	label string // as a target of jumps, once something asks
	on    *block // where it only jumps on to
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
	global []reg // that live in more than one block
	bit    []int // of each register its place in global, or -1
	held   []reg // must not go to the stack: those of ir.OpPin, and those that spilling made, which live for an instruction or two
}

func (f *function) newReg() reg {
	f.nregs++
	return reg(f.nregs - 1)
}

// operands has room for the registers that an instruction can use or define.
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

// defs appends to list the registers that the instruction writes or destroys.
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

// isMove tells of a copy from one register to another.
func (i *inst) isMove() bool { return i.op == mMov && !i.useImm }

func (r reg) String() string {
	if r < virtual {
		return fmt.Sprintf("r%d", int(r))
	}
	return fmt.Sprintf("t%d", int(r))
}
