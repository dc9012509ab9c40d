package codegen

import (
	"fmt"
	"math"

	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

func fits32(n int64) bool { return n >= math.MinInt32 && n <= math.MaxInt32 }

// selector translates one ir.Func to a function on virtual registers.
type selector struct {
	f      *function
	regs   []reg    // by value ID; none: no register yet
	blocks []*block // by block ID
	b      *block
	used   []bool // by value ID
	pos    *ir.Value
}

var aluOf = map[ir.Op]asm.ALUOp{ir.OpAdd: asm.Add, ir.OpSub: asm.Sub, ir.OpMul: asm.Mul, ir.OpUDiv: asm.Div, ir.OpUMod: asm.Mod,
	ir.OpAnd: asm.And, ir.OpOr: asm.Or, ir.OpXor: asm.Xor, ir.OpShl: asm.LSh, ir.OpLShr: asm.RSh, ir.OpAShr: asm.ArSh}

func selectFunc(src *ir.Func) (*function, error) {
	splitCriticalEdges(src)
	s := &selector{f: &function{name: src.Name, nregs: int(virtual)}, regs: make([]reg, src.NumValues()),
		blocks: make([]*block, src.NumBlocks()), used: make([]bool, src.NumValues())}
	for i := range s.regs {
		s.regs[i] = none
	}
	for _, b := range src.Blocks {
		for _, list := range [][]*ir.Value{b.Phis, b.Values} {
			for _, v := range list {
				for _, a := range v.Args {
					s.used[a.ID] = true
				}
			}
		}
		if b.X != nil {
			s.used[b.X.ID] = true
		}
		if b.Y != nil {
			s.used[b.Y.ID] = true
		}
		nb := &block{id: b.ID, name: b.Name, cold: b.Cold, loop: b.Loop}
		s.blocks[b.ID] = nb
		s.f.blocks = append(s.f.blocks, nb)
	}
	for i, b := range src.Blocks {
		s.b = s.blocks[b.ID]
		if i == 0 {
			s.params(src)
		}
		for _, v := range b.Values {
			s.pos = v
			if err := s.value(v); err != nil {
				return nil, err
			}
		}
		s.end(b)
	}
	return s.f, nil
}

// splitCriticalEdges inserts a block on each edge from a block with two successors to one with phis
// and several predecessors, because the phis' copies have to be on the edge.
func splitCriticalEdges(f *ir.Func) {
	for _, b := range append([]*ir.Block{}, f.Blocks...) {
		if b.Kind != ir.TermIf {
			continue
		}
		for i, s := range b.Succs {
			if len(s.Phis) == 0 || len(s.Preds) < 2 {
				continue
			}
			e := f.NewBlock("edge")
			e.Cold, e.Loop, e.Pos = b.Cold || s.Cold, s.Loop, b.Pos
			e.Kind, e.Succs, e.Preds = ir.TermJump, []*ir.Block{s}, []*ir.Block{b}
			n := i // which entry of b among s's predecessors belongs to this edge
			if b.Succs[0] != s {
				n = 0
			}
			for j, p := range s.Preds {
				if p == b {
					if n == 0 || i == 1 {
						s.Preds[j] = e
						break
					}
					n--
				}
			}
			b.Succs[i] = e
		}
	}
}

// params copies the arguments that the calling convention passes in R1 to R5.
func (s *selector) params(f *ir.Func) {
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Op == ir.OpCtx && s.used[v.ID] {
				if s.regs[v.ID] == none {
					s.emit(inst{op: mMov, dst: s.def(v), a: r1 + reg(v.Imm), b: none})
				}
			}
		}
	}
}

func (s *selector) emit(i inst) {
	if s.pos != nil {
		i.pos = s.pos.Pos
	}
	s.b.insts = append(s.b.insts, i)
}

// def returns the register of v, and allocates it on the first call.
func (s *selector) def(v *ir.Value) reg {
	if s.regs[v.ID] == none {
		s.regs[v.ID] = s.f.newReg()
	}
	return s.regs[v.ID]
}

// into puts v into register d. Constants and addresses are computed where they are used: that costs
// one or two instructions, and a register reserved for them costs more.
func (s *selector) into(d reg, v *ir.Value) {
	switch v.Op {
	case ir.OpConst:
		s.emit(inst{op: mMov, dst: d, a: none, b: none, useImm: true, imm: v.Imm})
	case ir.OpSlotAddr:
		s.emit(inst{op: mFrame, dst: d, a: none, b: none, slot: v.Slot, off: v.Off})
	case ir.OpMapPtr:
		s.emit(inst{op: mMapPtr, dst: d, a: none, b: none, sym: v.Sym})
	case ir.OpFuncPtr:
		s.emit(inst{op: mFuncPtr, dst: d, a: none, b: none, sym: v.Sym})
	case ir.OpMapValue:
		s.emit(inst{op: mMapVal, dst: d, a: none, b: none, sym: v.Sym, off: v.Off})
	default:
		s.emit(inst{op: mMov, dst: d, a: s.def(v), b: none})
	}
}

// operand returns a register that contains v.
func (s *selector) operand(v *ir.Value) reg {
	switch v.Op {
	case ir.OpConst, ir.OpSlotAddr, ir.OpMapPtr, ir.OpFuncPtr, ir.OpMapValue:
		d := s.f.newReg()
		s.into(d, v)
		return d
	}
	return s.def(v)
}

// base returns the register, slot and offset that address memory at v + off.
func (s *selector) base(v *ir.Value, off int) (reg, *ir.Slot, int) {
	if v.Op == ir.OpSlotAddr {
		return rfp, v.Slot, v.Off + off
	}
	if off+8 > math.MaxInt16 { // an instruction has 16 bits for the offset
		d := s.f.newReg()
		s.into(d, v)
		s.emit(inst{op: mALU, alu: asm.Add, dst: d, a: none, b: none, useImm: true, imm: int64(off)})
		return d, nil, 0
	}
	return s.operand(v), nil, off
}

func (s *selector) value(v *ir.Value) error {
	switch v.Op {
	case ir.OpConst, ir.OpSlotAddr, ir.OpMapPtr, ir.OpFuncPtr, ir.OpMapValue, ir.OpCtx:
		// computed where they are used
	case ir.OpPin:
		d := s.def(v)
		s.f.held = append(s.f.held, d)
		s.emit(inst{op: mMov, dst: d, a: s.operand(v.Args[0]), b: none, apart: true})
	case ir.OpHide:
		// Not the zero first: kernels from 6.8 on know by which constant a copy differs from its
		// original.
		d := s.def(v)
		zero := s.operand(v.Args[1])
		s.into(d, v.Args[0])
		s.emit(inst{op: mALU, alu: asm.Add, dst: d, a: none, b: zero})
	case ir.OpNeg, ir.OpByteSwap:
		d := s.def(v)
		s.into(d, v.Args[0])
		op := mNeg
		if v.Op == ir.OpByteSwap {
			op = mSwap
		}
		s.emit(inst{op: op, dst: d, a: none, b: none})
	case ir.OpLoad:
		a, slot, off := s.base(v.Args[0], v.Off)
		d := s.def(v)
		s.emit(inst{op: mLoad, dst: d, a: a, b: none, slot: slot, off: off, size: v.Size})
		if v.Signed && v.Size < 8 {
			n := int64(64 - 8*v.Size)
			s.emit(inst{op: mALU, alu: asm.LSh, dst: d, a: none, b: none, useImm: true, imm: n})
			s.emit(inst{op: mALU, alu: asm.ArSh, dst: d, a: none, b: none, useImm: true, imm: n})
		}
	case ir.OpStore:
		a, slot, off := s.base(v.Args[0], v.Off)
		i := inst{op: mStore, a: a, b: none, dst: none, slot: slot, off: off, size: v.Size}
		if n, ok := v.Args[1].IsConst(); ok && (fits32(n) || v.Size <= 4) {
			i.useImm, i.imm = true, int64(int32(n))
		} else {
			i.b = s.operand(v.Args[1])
		}
		s.emit(i)
	case ir.OpAtomicAdd:
		a, slot, off := s.base(v.Args[0], v.Off)
		s.emit(inst{op: mAtomic, atomic: atomicAdd, a: a, b: s.operand(v.Args[1]), dst: none, slot: slot, off: off, size: 8})
	case ir.OpFetchAdd:
		a, slot, off := s.base(v.Args[0], v.Off)
		d := s.def(v)
		s.into(d, v.Args[1])
		s.emit(inst{op: mAtomic, atomic: atomicFetchAdd, a: a, b: d, dst: none, slot: slot, off: off, size: 8})
	case ir.OpCmpXchg:
		a, slot, off := s.base(v.Args[0], v.Off)
		n := s.operand(v.Args[2])
		s.into(r0, v.Args[1])
		s.emit(inst{op: mAtomic, atomic: atomicCmpXchg, a: a, b: n, dst: none, slot: slot, off: off, size: 8})
		s.emit(inst{op: mMov, dst: s.def(v), a: r0, b: none})
	case ir.OpCall, ir.OpCallSub, ir.OpKfunc:
		s.call(v)
	default:
		alu, ok := aluOf[v.Op]
		if !ok {
			return fmt.Errorf("codegen: no instruction for %s", v.Op)
		}
		x, y := v.Args[0], v.Args[1]
		d := s.def(v)
		i := inst{op: mALU, alu: alu, dst: d, a: none, b: none}
		if n, ok := y.IsConst(); ok && fits32(n) {
			i.useImm, i.imm = true, n
		} else {
			i.b = s.operand(y)
		}
		s.into(d, x)
		s.emit(i)
	}
	return nil
}

func (s *selector) call(v *ir.Value) {
	// Values first: computing a later argument must not overwrite the register of an earlier one.
	for n, a := range v.Args {
		s.into(r1+reg(n), a)
	}
	i := inst{op: mCall, dst: none, a: none, b: none, helper: v.Helper, nargs: len(v.Args)}
	switch v.Op {
	case ir.OpKfunc:
		i.op, i.imm = mKfunc, v.Imm
	case ir.OpCallSub:
		i.op, i.sym = mCallSub, v.Sym
	}
	s.emit(i)
	if s.used[v.ID] {
		s.emit(inst{op: mMov, dst: s.def(v), a: r0, b: none})
	}
}

// end emits the copies for the successor's phis, and the jump.
func (s *selector) end(b *ir.Block) {
	switch b.Kind {
	case ir.TermJump:
		s.phiCopies(b, b.Succs[0])
		s.emit(inst{op: mJump, dst: none, a: none, b: none, target: s.blocks[b.Succs[0].ID]})
		s.b.succs = []*block{s.blocks[b.Succs[0].ID]}
	case ir.TermIf:
		i := inst{op: mJcc, dst: none, b: none, cond: b.Cond, target: s.blocks[b.Succs[0].ID]}
		i.a = s.operand(b.X)
		if n, ok := b.Y.IsConst(); ok && fits32(n) {
			i.useImm, i.imm = true, n
		} else {
			i.b = s.operand(b.Y)
		}
		i.pos = b.Pos
		s.b.insts = append(s.b.insts, i)
		s.emit(inst{op: mJump, dst: none, a: none, b: none, target: s.blocks[b.Succs[1].ID]})
		s.b.succs = []*block{s.blocks[b.Succs[0].ID], s.blocks[b.Succs[1].ID]}
	case ir.TermRet:
		s.into(r0, b.X)
		s.emit(inst{op: mExit, dst: none, a: none, b: none})
	}
}

// phiCopies moves values to t's phis for the edge from b. The phis all change at once, so each
// value goes through a register of its own; where that is not needed, coalescing merges the two.
func (s *selector) phiCopies(b, t *ir.Block) {
	if len(t.Phis) == 0 {
		return
	}
	n := 0
	for t.Preds[n] != b {
		n++
	}
	tmp := make([]reg, len(t.Phis))
	for i, phi := range t.Phis {
		if len(t.Phis) == 1 {
			s.into(s.def(phi), phi.Args[n])
			return
		}
		tmp[i] = s.f.newReg()
		s.into(tmp[i], phi.Args[n])
	}
	for i, phi := range t.Phis {
		s.emit(inst{op: mMov, dst: s.def(phi), a: tmp[i], b: none})
	}
}
