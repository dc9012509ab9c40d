package codegen

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// StackLimit is the maximum stack size in bytes (kernel include/linux/filter.h: MAX_BPF_STACK).
const StackLimit = 512

// A StackError reports that a function needs more than StackLimit bytes of stack.
type StackError struct {
	Func string
	Need int
	Live bool // too many values are live at the same time
}

func (e *StackError) Error() string {
	return fmt.Sprintf("%s needs %d bytes of stack; eBPF has %d", e.Func, e.Need, StackLimit)
}

// ErrTooLarge reports that a jump would not reach its target, because offsets have 16 bits, or that
// there are more values than registers can be allocated for in a second or two.
var ErrTooLarge = errors.New("the program is too large")

// Options configures Generate.
type Options struct {
	// Source returns the text of a source line, for the comments in the listing.
	Source func(pos syntax.Position) string
	// Canceled reports whether the result is no longer needed: Generate then returns ErrCanceled.
	Canceled func() bool
}

// ErrCanceled is returned by Generate when Options.Canceled returned true.
var ErrCanceled = errors.New("canceled")

// Generate compiles the functions; the program itself is the first. Labels are unique across all of
// them. Its errors include *StackError, ErrTooLarge and ErrCanceled.
func Generate(funcs []*ir.Func, opt Options) (asm.Instructions, error) {
	var out asm.Instructions
	callbacks, sizes := hasCallbacks(funcs), map[string]int{}
	for _, f := range funcs {
		m, err := selectFunc(f)
		if err != nil {
			return nil, err
		}
		if err := allocate(m, opt.Canceled); err != nil {
			return nil, err
		}
		frame, err := layFrame(m, f)
		if err != nil {
			return nil, err
		}
		sizes[f.Name] = frame.size
		e := &emitter{f: m, frame: frame, opt: opt}
		if err := e.emit(skipEmpty(layout(m))); err != nil {
			return nil, err
		}
		e.out[0] = e.out[0].WithSymbol(f.Name)
		if callbacks {
			e.out[0] = btf.WithFuncMetadata(e.out[0], funcInfo(f))
		}
		out = append(out, e.out...)
	}
	if need := deepest(funcs, sizes, funcs[0].Name); need > StackLimit {
		return nil, &StackError{Func: funcs[0].Name, Need: need}
	}
	return out, checkJumps(out)
}

// deepest returns the stack bytes that a function needs together with the functions that it calls.
// The frames of nested calls share the limit, and the verifier rounds each frame up
// (kernel/bpf/verifier.c: check_max_stack_depth). Functions are not recursive.
func deepest(funcs []*ir.Func, sizes map[string]int, name string) int {
	inner := 0
	for _, f := range funcs {
		if f.Name != name {
			continue
		}
		for _, b := range f.Blocks {
			for _, v := range b.Values {
				if v.Op == ir.OpCallSub || v.Op == ir.OpFuncPtr {
					inner = max(inner, deepest(funcs, sizes, v.Sym))
				}
			}
		}
	}
	const granule = 32
	return (max(sizes[name], 1)+granule-1)/granule*granule + inner
}

// hasCallbacks reports whether a helper in the program calls a function back.
func hasCallbacks(funcs []*ir.Func) bool {
	for _, f := range funcs {
		for _, b := range f.Blocks {
			for _, v := range b.Values {
				if v.Op == ir.OpFuncPtr {
					return true
				}
			}
		}
	}
	return false
}

// funcInfo returns the BTF of a function. The kernel requires it for programs with callbacks, which
// must be static.
func funcInfo(f *ir.Func) *btf.Func {
	word := &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed}
	proto := &btf.FuncProto{Return: word}
	for i := 0; i < max(f.Params, 1); i++ {
		proto.Params = append(proto.Params, btf.FuncParam{Name: fmt.Sprintf("a%d", i), Type: word})
	}
	return &btf.Func{Name: f.Name, Type: proto, Linkage: btf.StaticFunc}
}

// frame holds offsets from the frame pointer.
type frame struct {
	slots map[*ir.Slot]int
	spill int // offset of spill slot 0; the others below
	size  int
}

func layFrame(m *function, f *ir.Func) (*frame, error) {
	offsets, size := ir.PlaceSlots(f)
	need := 8*m.spills + size
	if need > StackLimit {
		return nil, &StackError{Func: f.Name, Need: need}
	}
	fr := &frame{slots: map[*ir.Slot]int{}, spill: -8, size: need}
	for s, off := range offsets {
		fr.slots[s] = off - need
	}
	return fr, nil
}

// layout orders the blocks: those that run often in their order, followed by the seldom executed
// ones.
func layout(m *function) []*block {
	var hot, cold []*block
	seen := make([]bool, len(m.blocks))
	var visit func(b *block)
	visit = func(b *block) {
		for b != nil && !seen[b.num] {
			seen[b.num] = true
			if b.cold {
				cold = append(cold, b)
			} else {
				hot = append(hot, b)
			}
			var next *block
			// the else branch first: it is the one that falls through
			for k := len(b.succs) - 1; k >= 0; k-- {
				if s := b.succs[k]; !seen[s.num] && next == nil && !(s.cold && !b.cold) {
					next = s
				}
			}
			for _, s := range b.succs {
				if s != next && !s.cold {
					defer visit(s)
				}
			}
			b = next
		}
	}
	visit(m.blocks[0])
	for _, b := range m.blocks { // blocks that only cold blocks reach
		visit(b)
	}
	return append(hot, cold...)
}

type emitter struct {
	f     *function
	frame *frame
	opt   Options
	out   asm.Instructions
	pos   syntax.Position
	label string
}

func (e *emitter) labelOf(b *block) string {
	if b.label == "" {
		b.label = e.f.name + "." + strconv.Itoa(b.id)
	}
	return b.label
}

// skipEmpty redirects jumps to blocks that only jump to the final target, and drops such blocks.
func skipEmpty(order []*block) []*block {
	final := func(b *block) *block {
		for b.on != nil {
			b = b.on
		}
		return b
	}
	for _, b := range order[1:] {
		// if blocks that only jump form a cycle, one of them stays
		if len(b.insts) == 1 && b.insts[0].op == mJump && final(b.insts[0].target) != b {
			b.on = b.insts[0].target
		}
	}
	var out []*block
	for _, b := range order {
		if b.on != nil {
			continue
		}
		out = append(out, b)
		for k := range b.insts {
			if t := b.insts[k].target; t != nil {
				b.insts[k].target = final(t)
			}
		}
	}
	return out
}

func (e *emitter) emit(order []*block) error {
	targets := make([]bool, len(e.f.blocks))
	n := 0
	for _, b := range order {
		n += len(b.insts)
		for k := range b.insts {
			if t := b.insts[k].target; t != nil {
				targets[t.num] = true
			}
		}
	}
	e.out = make(asm.Instructions, 0, n+n/4) // some take two slots
	for k, b := range order {
		var next *block
		if k+1 < len(order) {
			next = order[k+1]
		}
		if targets[b.num] && k > 0 {
			e.label = e.labelOf(b)
		}
		insts := b.insts
		if n := len(insts); n >= 2 && insts[n-2].op == mJcc && insts[n-2].target == next {
			// The target of the condition comes next: invert the condition.
			insts[n-2].cond, insts[n-2].target, insts[n-1].target = insts[n-2].cond.Not(), insts[n-1].target, next
		}
		for j := range insts {
			if insts[j].op == mJump && insts[j].target == next && j == len(insts)-1 {
				continue
			}
			if err := e.emitInst(&insts[j]); err != nil {
				return err
			}
		}
	}
	if e.label != "" {
		return fmt.Errorf("codegen: label %s at the end of %s", e.label, e.f.name)
	}
	return nil
}

func (e *emitter) put(ins asm.Instruction, pos syntax.Position) {
	if e.label != "" {
		ins = ins.WithSymbol(e.label)
		e.label = ""
	}
	if len(e.out) == 0 && (!pos.IsValid() || pos.Line == 0) {
		// The kernel requires line information for the first instruction of each function, or for
		// none.
		ins = ins.WithSource(asm.Comment(e.f.name))
	}
	if pos.IsValid() && pos.Line > 0 && (pos.Line != e.pos.Line || pos.Filename() != e.pos.Filename()) && e.opt.Source != nil {
		e.pos = pos
		ins = ins.WithSource(asm.Comment(fmt.Sprintf("%s: %s", pos, e.opt.Source(pos))))
	}
	e.out = append(e.out, ins)
}

func (e *emitter) offset(i *inst) (int, error) {
	off := i.off
	if i.a == rfp {
		if i.slot != nil {
			off += e.frame.slots[i.slot]
		} else {
			off = e.frame.spill - 8*i.spill
		}
	}
	if off < math.MinInt16 || off > math.MaxInt16 {
		return 0, fmt.Errorf("codegen: offset %d does not fit in 16 bits", off)
	}
	return off, nil
}

var sizes = map[int]asm.Size{1: asm.Byte, 2: asm.Half, 4: asm.Word, 8: asm.DWord}

var jumps = map[ir.Cond]asm.JumpOp{ir.EQ: asm.JEq, ir.NE: asm.JNE, ir.ULT: asm.JLT, ir.ULE: asm.JLE, ir.UGT: asm.JGT, ir.UGE: asm.JGE,
	ir.SLT: asm.JSLT, ir.SLE: asm.JSLE, ir.SGT: asm.JSGT, ir.SGE: asm.JSGE}

func (e *emitter) emitInst(i *inst) error {
	d, a, b := asm.Register(i.dst), asm.Register(i.a), asm.Register(i.b)
	switch i.op {
	case mMov:
		switch {
		case !i.useImm:
			e.put(asm.Mov.Reg(d, a), i.pos)
		case fits32(i.imm):
			e.put(asm.Mov.Imm(d, int32(i.imm)), i.pos)
		default:
			e.put(asm.LoadImm(d, i.imm, asm.DWord), i.pos)
		}
	case mALU:
		if i.useImm {
			e.put(i.alu.Imm(d, int32(i.imm)), i.pos)
		} else {
			e.put(i.alu.Reg(d, b), i.pos)
		}
	case mSwap:
		e.put(asm.HostTo(asm.BE, d, asm.DWord), i.pos)
	case mNeg:
		e.put(asm.Neg.Imm(d, 0), i.pos)
	case mLoad:
		off, err := e.offset(i)
		if err != nil {
			return err
		}
		e.put(asm.LoadMem(d, a, int16(off), sizes[i.size]), i.pos)
	case mStore:
		off, err := e.offset(i)
		if err != nil {
			return err
		}
		if i.useImm {
			// built here because the library's StoreImm rejects 8 bytes
			op := asm.StoreMemOp(sizes[i.size])
			op = asm.OpCode(uint8(op)&^uint8(0x07) | uint8(asm.StClass))
			e.put(asm.Instruction{OpCode: op, Dst: a, Offset: int16(off), Constant: i.imm}, i.pos)
		} else {
			e.put(asm.StoreMem(a, int16(off), b, sizes[i.size]), i.pos)
		}
	case mAtomic:
		return e.atomic(i)
	case mFrame:
		e.put(asm.Mov.Reg(d, asm.RFP), i.pos)
		e.put(asm.Add.Imm(d, int32(e.frame.slots[i.slot]+i.off)), i.pos)
	case mFuncPtr:
		e.put(asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: d, Src: asm.PseudoFunc, Constant: -1}.WithReference(i.sym), i.pos)
	case mMapPtr:
		e.put(asm.LoadMapPtr(d, 0).WithReference(i.sym), i.pos)
	case mMapVal:
		e.put(asm.LoadMapValue(d, 0, uint32(i.off)).WithReference(i.sym), i.pos)
	case mCall:
		e.put(i.helper.Call(), i.pos)
	case mKfunc:
		e.put(asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall, Constant: i.imm}, i.pos)
	case mCallSub:
		e.put(asm.Call.Label(i.sym), i.pos)
	case mJump:
		e.put(asm.Ja.Label(e.labelOf(i.target)), i.pos)
	case mJcc:
		if i.useImm {
			e.put(jumps[i.cond].Imm(a, int32(i.imm), e.labelOf(i.target)), i.pos)
		} else {
			e.put(jumps[i.cond].Reg(a, b, e.labelOf(i.target)), i.pos)
		}
	case mExit:
		e.put(asm.Return(), i.pos)
	}
	return nil
}

// The operation of an atomic instruction is encoded in its constant. cilium/ebpf v0.22 drops all
// but plain add when it writes the instruction, so the constant is set here too.
var atomics = map[atomicOp]struct {
	op  asm.AtomicOp
	imm int64
}{atomicAdd: {asm.AddAtomic, 0}, atomicFetchAdd: {asm.FetchAdd, 0x01}, atomicCmpXchg: {asm.CmpXchg, 0xf1}}

func (e *emitter) atomic(i *inst) error {
	off, err := e.offset(i)
	if err != nil {
		return err
	}
	op := atomics[i.atomic]
	ins := op.op.Mem(asm.Register(i.a), asm.Register(i.b), asm.DWord, int16(off))
	ins.Constant = op.imm
	e.put(ins, i.pos)
	return nil
}

// checkJumps rejects a program with a jump that does not reach its target: the library silently
// truncates offsets to 16 bits.
func checkJumps(insns asm.Instructions) error {
	at := map[string]asm.RawInstructionOffset{}
	it := insns.Iterate()
	for it.Next() {
		if s := it.Ins.Symbol(); s != "" {
			at[s] = it.Offset
		}
	}
	it = insns.Iterate()
	for it.Next() {
		if it.Ins.IsFunctionReference() || it.Ins.Reference() == "" || !it.Ins.OpCode.Class().IsJump() {
			continue
		}
		to, ok := at[it.Ins.Reference()]
		if !ok {
			return fmt.Errorf("codegen: jump to %s, which has no position", it.Ins.Reference())
		}
		if d := int64(to) - int64(it.Offset) - 1; d > math.MaxInt16 || d < math.MinInt16 {
			return fmt.Errorf("%w: a jump spans more than 32767 instructions", ErrTooLarge)
		}
	}
	return nil
}
