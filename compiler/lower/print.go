package lower

import (
	"slices"

	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// Print sends the arguments to the host, which formats them.
func Print(lw *Lowerer, e *tree.BuiltinExpr) Val {
	format, _ := e.Aux.(string)
	lw.needs.UsesRing = true
	lw.send(PrintSite{Pos: e.Pos, Kind: e.Name, Format: format}, e.Args, lw.Req.Ring, nil)
	return Val{T: types.TNone}
}

// send puts a record into the ring buffer of that name.
func (lw *Lowerer) send(site PrintSite, xs []tree.Expr, ring string, stream *tree.Stream) {
	b := lw.B
	size := abi.RecordHead
	// Everything that can end the handler comes before the record is reserved. Strings that are
	// read go straight into it.
	type arg struct {
		off int
		v   Val
		ptr *ir.Value
		x   tree.Expr
	}
	var args []arg
	for _, x := range xs {
		site.Args = append(site.Args, x.Type())
	}
	for _, x := range partsOf(xs) {
		a := arg{off: size, x: x}
		switch x := x.(type) {
		case *tree.StrExpr:
			a.ptr = lw.Value(x.Ptr).W
		case *tree.ArgExpr, *tree.FieldExpr, *tree.ConstExpr:
			if !x.Type().InMemory() {
				a.v = lw.Value(x)
			}
		default:
			a.v = lw.Value(x)
		}
		args = append(args, a)
		size += x.Type().Size()
	}
	b.Pos = site.Pos
	id := lw.Req.PrintBase + len(lw.needs.Prints)
	lw.needs.Prints = append(lw.needs.Prints, site)
	rec := lw.Call(asm.FnRingbufReserve, b.MapPtr(ring), b.Const(int64(size)), b.Const(0))
	full, ok, done := b.Block("full"), b.Block(""), b.Block("")
	b.If(ir.EQ, rec, b.Const(0), full, ok)
	full.Cold = true
	b.Continue(full)
	lw.Fail(Site{Pos: site.Pos, Helper: "ringbuf_reserve", Op: site.Kind, Stream: stream}, b.Const(-errNoSpc))
	b.Jump(done)
	b.Continue(ok)
	b.Store(rec, 0, 8, b.Const(int64(id)))
	for _, a := range args {
		m := mem{rec, a.off, a.x.Type().Size()}
		switch x := a.x.(type) {
		case *tree.StrExpr:
			lw.readStr(x, a.ptr, m, false)
		case *tree.ArgExpr, *tree.FieldExpr, *tree.ConstExpr:
			if x.Type().InMemory() {
				lw.str(x, m, false)
			} else {
				lw.store(m, a.v)
			}
		default:
			lw.store(m, a.v)
		}
	}
	lw.Call(asm.FnRingbufSubmit, rec, b.Const(0))
	b.Jump(done)
	b.Continue(done)
}

// partsOf returns expressions with the parts of texts and structs in place of these. The layout of
// a record is the same, and strings among the parts are read directly into it.
func partsOf(xs []tree.Expr) []tree.Expr {
	var out []tree.Expr
	for _, x := range xs {
		if t, ok := x.(*tree.TupleExpr); ok && t.T.IsComposed() {
			out = append(out, partsOf(t.Elems)...)
		} else {
			out = append(out, x)
		}
	}
	return out
}

// forceWakeup is BPF_RB_FORCE_WAKEUP.
const forceWakeup = 2

// Stop sets the stop flag, and wakes the host with a record. If the ring buffer is full the
// host is already awake.
func Stop(lw *Lowerer, e *tree.BuiltinExpr) Val {
	b := lw.B
	lw.needs.UsesRing, lw.needs.UsesControl = true, true
	b.Store(b.MapValue(lw.Req.Control, 0), 0, 8, b.Const(abi.Stopped))
	s := lw.scratchSlot(8, "stop")
	b.Store(b.SlotAddr(s, 0), 0, 8, b.Const(abi.RecordStop))
	lw.Call(asm.FnRingbufOutput, b.MapPtr(lw.Req.Ring), b.SlotAddr(s, 0), b.Const(abi.RecordHead), b.Const(forceWakeup))
	return Val{T: types.TNone}
}

// Emit sends a record of a stream.
func Emit(lw *Lowerer, e *tree.MethodExpr) Val {
	s := e.X.(*tree.StaticExpr).Entity.(*tree.Stream)
	if !slices.Contains(lw.needs.Streams, s) {
		lw.needs.Streams = append(lw.needs.Streams, s)
	}
	var xs []tree.Expr
	for _, name := range tree.StreamHead {
		xs = append(xs, &tree.FieldExpr{Node: tree.At(types.TNat, e.Pos), Name: name})
	}
	lw.send(PrintSite{Pos: e.Pos, Kind: "emit", Names: append(slices.Clone(tree.StreamHead), e.Names...)}, append(xs, e.Args...), s.Ref, s)
	return Val{T: types.TNone}
}
