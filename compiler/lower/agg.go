package lower

import (
	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// AggAdd lowers agg.add(value, by=key). Without a key the value is the one element of a
// per-CPU array, which always exists, so nothing can fail.
func AggAdd(lw *Lowerer, e *tree.MethodExpr) Val {
	b := lw.B
	v := lw.Value(e.Args[0]).W
	a := &adder{lw: lw, m: e.Map, spec: *e.Map.Agg, v: v, signed: lw.types[e.Map].Val.Kind == types.Int, site: Site{Pos: e.Pos, Op: e.Map.Name + ".add", Map: e.Map}}
	if e.Args[1] == nil {
		b.Pos = e.Pos
		idx := lw.scratchSlot(8, "element 0")
		b.Store(b.SlotAddr(idx, 0), 0, 4, b.Const(0))
		m := lw.mapPtr(e.Map)
		p := lw.Call(asm.FnMapLookupElem, m, b.SlotAddr(idx, 0))
		ok := b.Block("")
		b.If(ir.EQ, p, b.Const(0), lw.end, ok) // never; the verifier requires it
		b.Continue(ok)
		a.add(p)
		return Val{T: types.TNone}
	}
	key := lw.key(e.Args[1])
	b.Pos = e.Pos
	lw.upsert(e, key, 8*a.spec.Words(), a.add, b.Block(""))
	return Val{T: types.TNone}
}

// An adder adds one value to an aggregation's element.
type adder struct {
	lw     *Lowerer
	m      *tree.Map
	spec   agg.Spec
	v      *ir.Value
	signed bool
	site   Site
}

func (a *adder) add(p *ir.Value) {
	b := a.lw.B
	o := a.spec.Offsets()
	one := b.Const(1)
	if a.spec.Kind == agg.Count {
		a.plus(p, o.N, a.v)
		return
	}
	if o.N >= 0 {
		a.plus(p, o.N, one)
	}
	if o.Sum >= 0 {
		a.plus(p, o.Sum, a.v)
	}
	if o.Set >= 0 {
		b.Store(p, o.Set, 8, one)
	}
	if o.Min >= 0 {
		w := a.encode()
		a.extreme(p, o.Min, b.Add(ir.OpXor, w, b.Const(-1)))
	}
	if o.Max >= 0 {
		a.extreme(p, o.Max, a.encode())
	}
	if o.Buckets >= 0 {
		a.bucket(p, o.Buckets)
	}
}

func (a *adder) encode() *ir.Value {
	if !a.signed {
		return a.v
	}
	return a.lw.B.Add(ir.OpXor, a.v, a.lw.B.Const(-1<<63))
}

// plus adds to a word: atomically if several runs can interleave on one CPU.
func (a *adder) plus(p *ir.Value, off int, v *ir.Value) {
	b := a.lw.B
	if a.m.Atomic {
		x := b.Add(ir.OpAtomicAdd, p, v)
		x.Off = off
		return
	}
	b.Store(p, off, 8, b.Add(ir.OpAdd, b.Load(p, off, 8, false), v))
}

// maxContention bounds the attempts of a compare-exchange. Each one that fails lost against a run
// that interrupted this one on this CPU; interrupts nest a few levels deep.
const maxContention = 16

// extreme raises a word to w if w is larger.
func (a *adder) extreme(p *ir.Value, off int, w *ir.Value) {
	b := a.lw.B
	if !a.m.Atomic || !a.lw.Req.Features.FetchAtomics {
		raise, done := b.Block("raise"), b.Block("")
		b.If(ir.ULT, b.Load(p, off, 8, false), w, raise, done)
		b.Continue(raise)
		b.Store(p, off, 8, w)
		b.Jump(done)
		b.Continue(done)
		return
	}
	i := new(int)
	b.Write(i, b.Const(0))
	head, done := b.Block("extreme"), b.Block("")
	b.Jump(head)
	b.Start(head)
	old := b.Load(p, off, 8, false)
	raise := b.Block("raise")
	b.If(ir.ULT, old, w, raise, done)
	b.Continue(raise)
	x := b.Add(ir.OpCmpXchg, p, old, w)
	x.Off = off
	var lost, next, failed *ir.Block
	b.InCold(func() { lost, next, failed = b.Block("lost"), b.Block("next"), b.Block("failed") })
	b.If(ir.EQ, x, old, done, lost)
	b.Continue(lost)
	n := b.Add(ir.OpAdd, b.Read(i), b.Const(1))
	b.If(ir.EQ, n, b.Const(maxContention), failed, next)
	b.Continue(next)
	b.Write(i, n)
	b.Jump(head)
	b.Seal(head)
	b.Continue(failed)
	s := a.site
	s.Helper = "cmpxchg"
	a.lw.Fail(s, b.Const(-errAgain))
	b.Jump(done)
	b.Continue(done)
}

// bucket counts the value in its bucket.
func (a *adder) bucket(p *ir.Value, off int) {
	b := a.lw.B
	idx := new(int)
	done := b.Block("bucket")
	if a.spec.Kind == agg.Hist {
		a.log2(idx)
		b.Jump(done)
	} else {
		a.linear(idx, done)
	}
	b.Continue(done)
	i := b.Pin(b.Read(idx))
	ok := b.Block("")
	b.If(ir.UGE, i, b.Const(int64(a.spec.Buckets())), a.lw.end, ok) // never; for the verifier
	b.Continue(ok)
	a.plus(b.Add(ir.OpAdd, p, b.Add(ir.OpShl, i, b.Const(3))), off, b.Const(1))
}

// log2 writes the index of a power-of-two bucket to idx: see abi.Buckets.ExpIndex.
func (a *adder) log2(idx *int) {
	b := a.lw.B
	n := int64(a.spec.Bits)
	m, base := a.v, b.Const(0)
	if a.signed {
		sign := b.Add(ir.OpAShr, a.v, b.Const(63))
		m = b.Add(ir.OpSub, b.Add(ir.OpXor, a.v, sign), sign)
		base = b.Add(ir.OpAnd, sign, b.Const(int64(a.spec.Shape().Half())))
	}
	small, large, done := b.Block("small"), b.Block("large"), b.Block("")
	b.Write(idx, b.Add(ir.OpAdd, m, base))
	b.If(ir.ULT, m, b.Const(1<<n), small, large)
	b.Continue(small)
	b.Jump(done)
	b.Continue(large)
	// k = floor(log2 m), by halving
	x, k := new(int), new(int)
	b.Write(x, m)
	b.Write(k, b.Const(0))
	for s := int64(32); s >= 1; s /= 2 {
		high, next := b.Block(""), b.Block("")
		t := b.Add(ir.OpLShr, b.Read(x), b.Const(s))
		b.If(ir.NE, t, b.Const(0), high, next)
		b.Continue(high)
		b.Write(x, t)
		b.Write(k, b.Add(ir.OpAdd, b.Read(k), b.Const(s)))
		b.Jump(next)
		b.Continue(next)
	}
	// ((k-n+1) << n) + ((m >> (k-n)) & (1<<n - 1))
	e := b.Add(ir.OpSub, b.Read(k), b.Const(n))
	i := b.Add(ir.OpShl, b.Add(ir.OpAdd, e, b.Const(1)), b.Const(n))
	if n > 0 {
		i = b.Add(ir.OpAdd, i, b.Add(ir.OpAnd, b.Add(ir.OpLShr, m, e), b.Const(1<<n-1)))
	}
	b.Write(idx, b.Add(ir.OpAdd, i, base))
	b.Jump(done)
	b.Continue(done)
}

// linear writes the index of a linear bucket to idx, see abi.Buckets.LinearIndex: 0 below Lo, then
// one per step, then one above.
func (a *adder) linear(idx *int, done *ir.Block) {
	b, s := a.lw.B, a.spec
	t := types.TInt
	if !a.signed {
		t = types.TUint
	}
	bound := func(op syntax.Token, n int64, yes, no *ir.Block) {
		bt := types.TInt
		if n >= 0 {
			bt = t
		}
		a.lw.CompareInts(op, a.v, t, b.Const(n), bt, yes, no)
	}
	above, notBelow, inside := b.Block("above"), b.Block(""), b.Block("")
	b.Write(idx, b.Const(0))
	bound(syntax.LT, s.Lo, done, notBelow)
	b.Continue(notBelow)
	bound(syntax.GE, s.Hi, above, inside)
	b.Continue(above)
	b.Write(idx, b.Const(int64(s.Buckets()-1)))
	b.Jump(done)
	b.Continue(inside)
	d := b.Add(ir.OpUDiv, b.Add(ir.OpSub, a.v, b.Const(s.Lo)), b.Const(s.Step))
	b.Write(idx, b.Add(ir.OpAdd, d, b.Const(1)))
	b.Jump(done)
}
