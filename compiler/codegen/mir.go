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

type mop uint8

const (
	mMov     mop = iota // dst = a | imm
	mALU                // dst = dst alu (b | imm)
	mNeg                // dst = -dst
	mSwap               // dst = dst with its bytes in big-endian order
	mLoad               // dst = *(size)(a + off)
	mStore              // *(size)(a + off) = b | imm
	mAtomic             // atomic on a + off: add b; fetch-add gives dst (= b); cmpxchg compares R0 with, stores b
	mFrame              // dst = address in the frame: slot + off
	mMapPtr             // dst = map sym
	mFuncPtr            // dst = subprogram sym
	mMapVal             // dst = first value of map sym + off
	mCall               // R0 = helper(R1..)
	mCallSub            // R0 = sym(R1..)
	mKfunc              // R0 = the kernel's function imm(R1..)
	mJump               // to target
	mJcc                // to target where a cond (b | imm)
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
	op     mop
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
	spills int          // number of 8-byte spill slots
	held   map[reg]bool // must not go to the stack: those of ir.OpHold, and those that spilling made, which live for an instruction or two
}

func (f *function) newReg() reg {
	f.nregs++
	return reg(f.nregs - 1)
}

// uses calls fn for each register that the instruction reads.
func (i *inst) uses(fn func(reg)) {
	switch i.op {
	case mALU, mNeg, mSwap:
		fn(i.dst)
	case mAtomic:
		if i.atomic == atomicCmpXchg {
			fn(r0)
		}
	case mCall, mCallSub, mKfunc:
		for n := 0; n < i.nargs; n++ {
			fn(r1 + reg(n))
		}
	case mExit:
		fn(r0)
	}
	if i.a != none && i.a != rfp {
		fn(i.a)
	}
	if i.b != none && !i.useImm {
		fn(i.b)
	}
}

// defs calls fn for each register that the instruction writes or destroys.
func (i *inst) defs(fn func(reg)) {
	switch i.op {
	case mMov, mALU, mNeg, mSwap, mLoad, mFrame, mMapPtr, mFuncPtr, mMapVal:
		fn(i.dst)
	case mAtomic:
		switch i.atomic {
		case atomicFetchAdd:
			fn(i.b)
		case atomicCmpXchg:
			fn(r0)
		}
	case mCall, mCallSub, mKfunc:
		for r := r0; r < firstSaved; r++ {
			fn(r)
		}
	}
}

// isMove tells of a copy from one register to another.
func (i *inst) isMove() bool { return i.op == mMov && !i.useImm }

func (r reg) String() string {
	if r < virtual {
		return fmt.Sprintf("r%d", int(r))
	}
	return fmt.Sprintf("t%d", int(r))
}

// A bitset holds registers.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) has(r reg) bool { return b[r>>6]>>(uint(r)&63)&1 != 0 }
func (b bitset) add(r reg)      { b[r>>6] |= 1 << (uint(r) & 63) }
func (b bitset) del(r reg)      { b[r>>6] &^= 1 << (uint(r) & 63) }

// or adds all of c, and tells whether that changed b.
func (b bitset) or(c bitset) bool {
	changed := false
	for i := range b {
		n := b[i] | c[i]
		changed = changed || n != b[i]
		b[i] = n
	}
	return changed
}

func (b bitset) each(fn func(reg)) {
	for i, w := range b {
		for w != 0 {
			n := trailingZeros(w)
			fn(reg(i*64 + n))
			w &= w - 1
		}
	}
}
