package lower

import (
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// JoinArgs reads the strings of an array in memory up to NULL. The arguments of e are the pointers
// in the array, one more than are read: the last shows whether the array goes on.
func JoinArgs(lw *Lowerer, e *tree.BuiltinExpr) Val {
	b := lw.B
	room := lw.allocTemp(tree.MaxArgs*tree.MaxArg, "arguments")
	lw.fill(room, 0)
	n, done := new(int), b.Block("arguments")
	read := func(i int) mem { return mem{room.base, room.off + i*tree.MaxArg, tree.MaxArg} }
	b.Write(n, b.Const(0))
	for i, x := range e.Args {
		p := lw.Value(x).W
		some := b.Block("")
		b.If(ir.EQ, p, b.Const(0), done, some)
		b.Continue(some)
		if i < tree.MaxArgs {
			failed := b.Block("")
			lw.readTo(memRead{space: x.Type().Space, addr: p, dst: lw.addr(read(i)), size: b.Const(tree.MaxArg), str: true, op: e.Name, pos: e.Pos}, failed)
			b.Jump(failed)
			b.Continue(failed)
		}
		b.Write(n, b.Const(int64(i+1)))
	}
	b.Jump(done)
	b.Continue(done)
	count := b.Read(n)
	above := func(i int) *ir.Value { // 1 if count is above i
		return b.Add(ir.OpLShr, b.Add(ir.OpSub, b.Const(int64(i)), count), b.Const(63))
	}
	v := Val{T: e.T}
	for i, t := range e.T.Elem.Elems {
		if t.Kind == types.Bool {
			v.Elems = append(v.Elems, Scalar(t, above(i)))
			continue
		}
		v.Elems = append(v.Elems, Val{T: t, has: above(i), inner: &Val{T: t.Elem, mem: read(i)}})
	}
	return v
}
