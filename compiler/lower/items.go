package lower

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// forItems makes bpf_for_each_map_elem (5.13) run the body for each key of a map.
func (lw *Lowerer) forItems(s *tree.ItemsStmt) {
	m := lw.mapPtr(s.Map)
	lw.budget.loops += 2 // it cannot be bounded in advance
	lw.inCallback("items", 4, func(args []*ir.Value, next, leave *ir.Block) {
		lw.paidRound(s.Pos, 0, true, next, func(again *ir.Block) {
			lw.scoped(func() { lw.item(s, args, again) })
			lw.loops = append(lw.loops, loop{leave, again, nil})
			lw.block(s.Body)
			lw.loops = lw.loops[:len(lw.loops)-1]
		})
	}, func(fn, frame *ir.Value) { lw.Call(asm.FnForEachMapElem, m, fn, frame, lw.B.Const(0)) })
}

// item sets the loop variables from a callback's arguments: map, key, this CPU's value, frame. It
// continues at next if the key has no value yet.
func (lw *Lowerer) item(s *tree.ItemsStmt, args []*ir.Value, next *ir.Block) {
	t := lw.types[s.Map]
	key := func() Val { return lw.load(mem{args[1], 0, t.Key.Size()}, t.Key) }
	value := func() Val {
		if s.Map.Agg != nil {
			return Scalar(t.Val, lw.merged(s, args[0], args[1], t.Val, next))
		}
		return lw.load(mem{args[2], 0, t.Val.Size()}, t.Val)
	}
	switch c := lw.homeOf(s.Local); s.What {
	case "keys":
		lw.setVal(c, key())
	case "values":
		lw.setVal(c, value())
	default:
		v := value()
		lw.setVal(c, Val{T: s.Local.T, Elems: []Val{key(), v}})
	}
}

// perCPU is the loop over the CPUs of an element.
type perCPU struct{ tree.StmtNode }

func (perCPU) Statements() []tree.Stmt { return nil }
func (perCPU) Keeps() []*tree.Local    { return nil }

// merged computes the value of an aggregation's key over all CPUs, as the host merges it
// (agg.Spec.Merge).
func (lw *Lowerer) merged(s *tree.ItemsStmt, m, key *ir.Value, t *types.Type, unset *ir.Block) *ir.Value {
	o := s.Map.Agg.Offsets()
	type part struct {
		off int
		sum *int // the variable
	}
	var parts []part
	for _, off := range []int{o.N, o.Sum, o.Set, o.Min, o.Max} {
		if off >= 0 {
			p := part{off, new(int)}
			lw.B.Write(p.sum, lw.B.Const(0))
			parts = append(parts, p)
		}
	}
	mv, kv := new(int), new(int) // variables: the loop may become a callback of its own
	lw.B.Write(mv, m)
	lw.B.Write(kv, key)
	cpus, err := lw.Req.CPUs()
	if err != nil {
		lw.diags = append(lw.diags, &diag.Diagnostic{Pos: s.Pos, Msg: err.Error(), Line: lw.Req.Source(s.Pos)})
	}
	lw.iterate(perCPU{tree.StmtAt(s.Pos)}, lw.B.Const(int64(cpus)), func(cpu *ir.Value, body, _ *ir.Block) {
		b := lw.B
		found := b.Block("found")
		p := lw.Call(asm.FnMapLookupPercpuElem, b.Read(mv), b.Read(kv), cpu)
		b.If(ir.NE, p, b.Const(0), found, body)
		b.Continue(found)
		for _, part := range parts {
			w, old := b.Load(p, part.off, 8, false), b.Read(part.sum)
			switch part.off {
			case o.Min, o.Max:
				larger, done := b.Block("larger"), b.Block("")
				b.If(ir.UGT, w, old, larger, done)
				b.Continue(larger)
				b.Write(part.sum, w)
				b.Jump(done)
				b.Continue(done)
			case o.Set:
				b.Write(part.sum, b.Add(ir.OpOr, old, w))
			default:
				b.Write(part.sum, b.Add(ir.OpAdd, old, w))
			}
		}
		b.Jump(body)
	})
	b := lw.B
	w := func(i int) *ir.Value { return b.Read(parts[i].sum) }
	isSet := func() {
		ok := b.Block("set")
		b.If(ir.NE, w(0), b.Const(0), ok, unset)
		b.Continue(ok)
	}
	signed := t.Kind == types.Int
	switch s.Map.Agg.Kind {
	case agg.Avg:
		isSet()
		return lw.average(w(1), w(0), signed)
	case agg.Min, agg.Max:
		isSet()
		v := w(1)
		if s.Map.Agg.Kind == agg.Min {
			v = b.Add(ir.OpXor, v, b.Const(-1))
		}
		if signed {
			v = b.Add(ir.OpXor, v, b.Const(-1<<63))
		}
		return v
	}
	return w(0)
}

// average returns sum / n, truncated toward zero as the host does.
func (lw *Lowerer) average(sum, n *ir.Value, signed bool) *ir.Value {
	b := lw.B
	if !signed {
		return b.Add(ir.OpUDiv, sum, n)
	}
	sign := b.Add(ir.OpAShr, sum, b.Const(63))
	q := b.Add(ir.OpUDiv, b.Add(ir.OpSub, b.Add(ir.OpXor, sum, sign), sign), n)
	return b.Add(ir.OpSub, b.Add(ir.OpXor, q, sign), sign)
}
