package codegen

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// sumOfCalls returns a function with n values that all live across a call, which it then adds up.
func sumOfCalls(n int) *ir.Func {
	b := ir.NewBuilder("f")
	var vs []*ir.Value
	for i := 0; i < n; i++ {
		v := b.Add(ir.OpCall)
		v.Helper = asm.FnKtimeGetNs
		vs = append(vs, v)
	}
	total := b.Const(0)
	for i := range vs {
		total = b.Add(ir.OpAdd, total, vs[len(vs)-1-i])
	}
	b.Ret(total)
	return b.Finish()
}

// Values that live across calls get R6 to R9; only what does not fit there is spilled.
func TestSpilling(t *testing.T) {
	for _, c := range []struct{ values, slots int }{{1, 0}, {4, 0}, {5, 0}, {6, 1}, {20, 15}} {
		insns, err := Generate([]*ir.Func{sumOfCalls(c.values)}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		slots := map[int16]bool{}
		saved := map[asm.Register]bool{}
		for _, ins := range insns {
			if ins.OpCode.Class().IsStore() && ins.Dst == asm.RFP {
				slots[ins.Offset] = true
			}
			if ins.Dst >= asm.R6 && ins.Dst <= asm.R9 {
				saved[ins.Dst] = true
			}
		}
		if len(slots) != c.slots {
			t.Errorf("%d values: %d go to the stack, want %d\n%v", c.values, len(slots), c.slots, insns)
		}
		if want := min(c.values-1, 4); len(saved) != want { // the last one may stay in R0
			t.Errorf("%d values: %d callee-saved registers are used, want %d\n%v", c.values, len(saved), want, insns)
		}
	}
}

// Exceeding the frame is an error that reports how many bytes are needed.
func TestStackLimit(t *testing.T) {
	build := func(size int) *ir.Func {
		b := ir.NewBuilder("f")
		s := b.F.NewSlot(size, "large")
		b.Store(b.SlotAddr(s, 0), 0, 8, b.Const(0))
		b.Ret(b.Const(0))
		return b.Finish()
	}
	if _, err := Generate([]*ir.Func{build(StackLimit)}, Options{}); err != nil {
		t.Errorf("%d bytes: %v", StackLimit, err)
	}
	_, err := Generate([]*ir.Func{build(StackLimit + 8)}, Options{})
	var se *StackError
	if !errors.As(err, &se) || se.Need != StackLimit+8 || se.Error() != "f needs 520 bytes of stack; eBPF has 512" {
		t.Errorf("got %v", err)
	}
}

// A jump that does not fit in 16 bits is rejected: the library would silently truncate it.
func TestJumpRange(t *testing.T) {
	build := func(n int) *ir.Func {
		b := ir.NewBuilder("f")
		far, near := b.Block("far"), b.Block("near")
		c := b.Add(ir.OpCtx)
		b.If(ir.EQ, b.Load(c, 0, 8, false), b.Const(0), far, near)
		b.Continue(near)
		for i := 0; i < n; i++ {
			b.Store(c, 0, 8, b.Const(0))
		}
		b.Jump(far)
		b.Continue(far)
		b.Ret(b.Const(0))
		return b.Finish()
	}
	if _, err := Generate([]*ir.Func{build(32767)}, Options{}); err != nil {
		t.Errorf("a jump over 32767 instructions: %v", err)
	}
	if _, err := Generate([]*ir.Func{build(32768)}, Options{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a jump over 32768 instructions: got %v, want ErrTooLarge", err)
	}
}

// A function with more values than the allocator accepts is rejected before allocation.
func TestTooManyValues(t *testing.T) {
	b := ir.NewBuilder("many")
	x := b.Add(ir.OpCtx)
	for range MaxValues {
		x = b.Add(ir.OpXor, x, b.Add(ir.OpShl, x, b.Const(1)))
	}
	b.Ret(x)
	_, err := Generate([]*ir.Func{b.Finish()}, Options{})
	if !errors.Is(err, ErrTooLarge) || err.Error() != "the program is too large: it computes 40012 values; the limit is 20000" {
		t.Errorf("got %v", err)
	}
}

// Atomic operations other than add need their operation in the constant: the library drops it
// otherwise.
func TestAtomicConstants(t *testing.T) {
	b := ir.NewBuilder("f")
	p := b.MapValue("m", 0)
	b.Add(ir.OpAtomicAdd, p, b.Const(1))
	old := b.Add(ir.OpFetchAdd, p, b.Const(1))
	b.Ret(b.Add(ir.OpCmpXchg, p, old, b.Const(5)))
	insns, err := Generate([]*ir.Func{b.Finish()}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, ins := range insns {
		if ins.OpCode.Class() == asm.StXClass && ins.OpCode.Mode() == asm.AtomicMode {
			got = append(got, ins.Constant)
		}
	}
	if len(got) != 3 || got[0] != 0 || got[1] != 1 || got[2] != 0xf1 {
		t.Errorf("the constants of the atomics are %#x, want 0, 0x1, 0xf1\n%v", got, insns)
	}
}

// Two phis that exchange their values must not overwrite each other.
func TestPhiSwap(t *testing.T) {
	b := ir.NewBuilder("f")
	x, y, i := new(int), new(int), new(int)
	c := b.Add(ir.OpCtx)
	b.Write(x, b.Load(c, 0, 8, false))
	b.Write(y, b.Load(c, 8, 8, false))
	b.Write(i, b.Const(0))
	head, body, done := b.Block("head"), b.Block("body"), b.Block("done")
	b.Jump(head)
	b.Start(head)
	b.If(ir.EQ, b.Read(i), b.Const(3), done, body)
	b.Continue(body)
	b.Write(i, b.Add(ir.OpAdd, b.Read(i), b.Const(1)))
	vx, vy := b.Read(x), b.Read(y)
	b.Write(x, vy)
	b.Write(y, vx)
	b.Jump(head)
	b.Seal(head)
	b.Continue(done)
	b.Ret(b.Add(ir.OpSub, b.Read(x), b.Read(y)))
	insns, err := Generate([]*ir.Func{b.Finish()}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := interpret(t, insns, []int64{10, 3}); got != -7 { // an odd number of swaps
		t.Errorf("got %d, want -7\n%v", got, insns)
	}
}

// interpret runs straight-line code, jumps, moves, adds, subtractions and loads from the context.
func interpret(t *testing.T, insns asm.Instructions, ctx []int64) int64 {
	t.Helper()
	labels := map[string]int{}
	for i, ins := range insns {
		if s := ins.Symbol(); s != "" {
			labels[s] = i
		}
	}
	var r [11]int64
	for pc, steps := 0, 0; steps < 1000; steps++ {
		ins := insns[pc]
		pc++
		src := r[ins.Src]
		if ins.OpCode.Source() == asm.ImmSource {
			src = ins.Constant
		}
		switch cls := ins.OpCode.Class(); {
		case cls == asm.LdXClass:
			r[ins.Dst] = ctx[ins.Offset/8]
		case cls.IsALU() && ins.OpCode.ALUOp() == asm.Mov:
			r[ins.Dst] = src
		case cls.IsALU() && ins.OpCode.ALUOp() == asm.Add:
			r[ins.Dst] += src
		case cls.IsALU() && ins.OpCode.ALUOp() == asm.Sub:
			r[ins.Dst] -= src
		case ins.OpCode.JumpOp() == asm.Exit:
			return r[0]
		case ins.OpCode.JumpOp() == asm.Ja:
			pc = labels[ins.Reference()]
		case ins.OpCode.JumpOp() == asm.JEq && r[ins.Dst] == src, ins.OpCode.JumpOp() == asm.JNE && r[ins.Dst] != src:
			pc = labels[ins.Reference()]
		case ins.OpCode.JumpOp() == asm.JEq, ins.OpCode.JumpOp() == asm.JNE:
		default:
			t.Fatalf("interpret: %v", ins)
		}
	}
	t.Fatal("the program does not end")
	return 0
}

// The frames of nested calls share the stack.
func TestCombinedStack(t *testing.T) {
	build := func(name, callee string, size int) *ir.Func {
		b := ir.NewBuilder(name)
		s := b.F.NewSlot(size, "buffer")
		b.Store(b.SlotAddr(s, 0), 0, 8, b.Const(1))
		if callee != "" {
			b.Add(ir.OpCallSub).Sym = callee
		}
		b.Ret(b.Load(b.SlotAddr(s, 0), 0, 8, false))
		return b.Finish()
	}
	if _, err := Generate([]*ir.Func{build("a", "b", 200), build("b", "c", 200), build("c", "", 50)}, Options{}); err != nil {
		t.Errorf("224 + 224 + 64 bytes: %v", err)
	}
	_, err := Generate([]*ir.Func{build("a", "b", 200), build("b", "c", 200), build("c", "", 66)}, Options{})
	var stack *StackError
	if !errors.As(err, &stack) || stack.Need != 544 {
		t.Errorf("224 + 224 + 96 bytes: got %v", err)
	}
}
