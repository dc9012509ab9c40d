package ir

import (
	"math"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// Eval must compute what the BPF machine does. Go's own operators on 64 bits are the reference.
func TestEval(t *testing.T) {
	edges := []int64{0, 1, -1, 2, -2, 7, -7, 63, 64, math.MaxInt64, math.MinInt64, math.MinInt64 + 1, 1 << 32, -1 << 32, 0xffffffff}
	want := map[Op]func(x, y int64) (int64, bool){
		OpAdd:  func(x, y int64) (int64, bool) { return x + y, true },
		OpSub:  func(x, y int64) (int64, bool) { return x - y, true },
		OpMul:  func(x, y int64) (int64, bool) { return x * y, true },
		OpAnd:  func(x, y int64) (int64, bool) { return x & y, true },
		OpOr:   func(x, y int64) (int64, bool) { return x | y, true },
		OpXor:  func(x, y int64) (int64, bool) { return x ^ y, true },
		OpUDiv: func(x, y int64) (int64, bool) { return int64(uint64(x) / max(uint64(y), 1)), y != 0 },
		OpUMod: func(x, y int64) (int64, bool) { return int64(uint64(x) % max(uint64(y), 1)), y != 0 },
		OpShl:  func(x, y int64) (int64, bool) { return x << (uint64(y) & 63), uint64(y) < 64 },
		OpLShr: func(x, y int64) (int64, bool) { return int64(uint64(x) >> (uint64(y) & 63)), uint64(y) < 64 },
		OpAShr: func(x, y int64) (int64, bool) { return x >> (uint64(y) & 63), uint64(y) < 64 },
	}
	for op, fn := range want {
		for _, x := range edges {
			for _, y := range edges {
				w, wok := fn(x, y)
				got, ok := eval(op, x, y)
				if ok != wok || ok && got != w {
					t.Errorf("Eval(%s, %d, %d) = %d, %v; want %d, %v", op, x, y, got, ok, w, wok)
				}
			}
		}
	}
}

// A condition, its negation and its mirror image agree on all pairs.
func TestCond(t *testing.T) {
	edges := []int64{0, 1, -1, math.MaxInt64, math.MinInt64}
	for c := EQ; c <= SGE; c++ {
		for _, x := range edges {
			for _, y := range edges {
				if c.Holds(x, y) == c.Not().Holds(x, y) {
					t.Errorf("%d %s %d and its contrary %s agree", x, c, y, c.Not())
				}
				if c.Holds(x, y) != c.Swap().Holds(y, x) {
					t.Errorf("%d %s %d is not %d %s %d", x, c, y, y, c.Swap(), x)
				}
			}
		}
	}
}

// Verify reports each kind of invalid function.
func TestVerify(t *testing.T) {
	for _, c := range []struct {
		want  string
		build func(b *Builder)
	}{
		{"has no end", func(b *Builder) {}},
		{"", func(b *Builder) { b.Ret(b.Const(0)) }},
		{"does not dominate it", func(b *Builder) { // used where it was not computed
			yes, no := b.Block("yes"), b.Block("no")
			c := b.Add(OpCtx)
			b.If(NE, c, b.Const(0), yes, no)
			b.Continue(yes)
			v := b.Load(c, 0, 8, false)
			b.Jump(no)
			b.Continue(no)
			b.Ret(v)
		}},
		{"has size 3", func(b *Builder) { b.Load(b.Add(OpCtx), 0, 3, false); b.Ret(b.Const(0)) }},
		{"has no result", func(b *Builder) { b.Add(OpAtomicAdd, b.MapValue("m", 0), b.Const(1)); b.Ret(b.B.Values[1]) }},
		{"the limit is five", func(b *Builder) {
			c := b.Const(1)
			v := b.Add(OpCall, c, c, c, c, c, c)
			v.Helper = asm.FnTracePrintk
			b.Ret(b.Const(0))
		}},
	} {
		b := NewBuilder("f")
		c.build(b)
		err := Verify(b.Finish())
		if c.want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
	}
}

// A phi that has the same value on every path is removed, also through a loop.
func TestPhisOfOneValue(t *testing.T) {
	b := NewBuilder("f")
	x, i := new(int), new(int)
	b.Write(x, b.Add(OpCtx))
	b.Write(i, b.Const(0))
	head, body, done := b.Block("head"), b.Block("body"), b.Block("done")
	b.Jump(head)
	b.Start(head)
	b.If(EQ, b.Read(i), b.Const(5), done, body)
	b.Continue(body)
	b.Write(i, b.Add(OpAdd, b.Read(i), b.Const(1)))
	b.Write(x, b.Read(x))
	b.Jump(head)
	b.Seal(head)
	b.Continue(done)
	b.Ret(b.Read(x))
	f := b.Finish()
	if err := Verify(f); err != nil {
		t.Fatal(err)
	}
	if s := f.String(); strings.Count(s, "phi") != 1 {
		t.Errorf("want one phi, of the counter:\n%s", s)
	}
}

// Slots that are never needed at the same time share their bytes; those that are do not, also
// around a loop.
func TestPlaceSlots(t *testing.T) {
	b := NewBuilder("f")
	use := func(s *Slot) { b.Store(b.SlotAddr(s, 0), 0, 8, b.Const(1)) }
	one, two, three, long := b.F.NewSlot(16, "one"), b.F.NewSlot(16, "two"), b.F.NewSlot(8, "three"), b.F.NewSlot(8, "long")
	use(long)
	use(one)
	use(one)
	use(two)
	i := new(int)
	b.Write(i, b.Const(0))
	head, done := b.Block("head"), b.Block("done")
	b.Jump(head)
	b.Start(head)
	use(three)
	use(long)
	n := b.Add(OpAdd, b.Read(i), b.Const(1))
	b.Write(i, n)
	b.If(EQ, n, b.Const(4), done, head)
	b.Seal(head)
	b.Continue(done)
	b.Ret(b.Const(0))
	off, size := PlaceSlots(b.Finish())
	if size != 24 || off[one] != off[two] || off[three] == off[long] || off[long] < 16 {
		t.Errorf("%d bytes: one %d, two %d, three %d, long %d", size, off[one], off[two], off[three], off[long])
	}
}

// A variable that is not written on the path gets no phi, wherever it is read: after tests, after
// loops, and in complete loops.
func TestFarReads(t *testing.T) {
	b := NewBuilder("f")
	far, near := new(int), new(int)
	c := b.Add(OpCtx)
	want := b.Load(c, 0, 8, false)
	b.Write(far, want)
	b.Write(near, b.Const(0))
	for range 3 {
		head, body, done := b.Block("head"), b.Block("body"), b.Block("done")
		b.Jump(head)
		b.Start(head)
		b.If(ULT, b.Read(near), b.Const(10), body, done)
		b.Continue(body)
		then, join := b.Block("then"), b.Block("join")
		b.If(EQ, b.Read(near), b.Const(5), then, join)
		b.Continue(then)
		b.Write(near, b.Add(OpAdd, b.Read(near), b.Const(1)))
		b.Jump(join)
		b.Continue(join)
		b.Write(near, b.Add(OpAdd, b.Read(near), b.Const(1)))
		b.Jump(head)
		b.Seal(head)
		b.Continue(done)
	}
	if got := b.Read(far); got != want {
		t.Errorf("the variable is v%d, want v%d", got.ID, want.ID)
	}
	b.Ret(b.Add(OpAdd, b.Read(near), b.Read(far)))
	f := b.Finish()
	if err := Verify(f); err != nil {
		t.Errorf("%v\n%s", err, f)
	}
	phis := 0
	for _, blk := range f.Blocks {
		phis += len(blk.Phis)
	}
	if phis != 6 { // two of near in each loop
		t.Errorf("%d phis, want 6\n%s", phis, f)
	}
}
