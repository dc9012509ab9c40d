package compiler

import (
	"slices"

	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// lowerPrint sends the arguments to the host, which formats them.
func lowerPrint(lw *lowerer, e *eBuiltin) val {
	format, _ := e.aux.(string)
	lw.needs.UsesRing = true
	lw.send(PrintSite{Pos: e.pos, Kind: e.name, Format: format}, e.args, lw.req.Ring, nil)
	return val{t: types.TNone}
}

// send puts a record into the ring buffer of that name.
func (lw *lowerer) send(site PrintSite, xs []expr, ring string, stream *Stream) {
	b := lw.b
	size := abi.RecordHead
	// Everything that can end the handler comes before the record is reserved. Strings that are
	// read go straight into it.
	type arg struct {
		off int
		v   val
		ptr *ir.Value
		x   expr
	}
	var args []arg
	for _, x := range xs {
		a := arg{off: size, x: x}
		switch x := x.(type) {
		case *eStr:
			a.ptr = lw.value(x.ptr).w
		case *eArg, *eField, *eConst:
			if !x.typ().InMemory() {
				a.v = lw.value(x)
			}
		default:
			a.v = lw.value(x)
		}
		args = append(args, a)
		site.Args = append(site.Args, x.typ())
		size += x.typ().Size()
	}
	b.Pos = site.Pos
	id := lw.req.PrintBase + len(lw.needs.Prints)
	lw.needs.Prints = append(lw.needs.Prints, site)
	rec := lw.call(asm.FnRingbufReserve, b.MapPtr(ring), b.Const(int64(size)), b.Const(0))
	full, ok, done := b.Block("full"), b.Block(""), b.Block("")
	b.If(ir.EQ, rec, b.Const(0), full, ok)
	full.Cold = true
	b.Continue(full)
	lw.fail(Site{Pos: site.Pos, Helper: "ringbuf_reserve", Op: site.Kind, Stream: stream}, b.Const(-errNoSpc))
	b.Jump(done)
	b.Continue(ok)
	b.Store(rec, 0, 8, b.Const(int64(id)))
	for _, a := range args {
		m := mem{rec, a.off, a.x.typ().Size()}
		switch x := a.x.(type) {
		case *eStr:
			lw.readStr(x, a.ptr, m, false)
		case *eArg, *eField, *eConst:
			if x.typ().InMemory() {
				lw.str(x, m, false)
			} else {
				lw.store(m, a.v)
			}
		default:
			lw.store(m, a.v)
		}
	}
	lw.call(asm.FnRingbufSubmit, rec, b.Const(0))
	b.Jump(done)
	b.Continue(done)
}

// forceWakeup is BPF_RB_FORCE_WAKEUP.
const forceWakeup = 2

// lowerStop sets the stop flag, and wakes the host with a record. If the ring buffer is full the
// host is already awake.
func lowerStop(lw *lowerer, e *eBuiltin) val {
	b := lw.b
	lw.needs.UsesRing, lw.needs.UsesControl = true, true
	b.Store(b.MapValue(lw.req.Control, 0), 0, 8, b.Const(abi.Stopped))
	s := lw.scratchSlot(8, "stop")
	b.Store(b.SlotAddr(s, 0), 0, 8, b.Const(abi.RecordStop))
	lw.call(asm.FnRingbufOutput, b.MapPtr(lw.req.Ring), b.SlotAddr(s, 0), b.Const(abi.RecordHead), b.Const(forceWakeup))
	return val{t: types.TNone}
}

func lowerEmit(lw *lowerer, e *eMethod) val {
	s := e.recv.(*eStatic).ent.(*Stream)
	if !slices.Contains(lw.needs.Streams, s) {
		lw.needs.Streams = append(lw.needs.Streams, s)
	}
	var xs []expr
	for _, name := range streamHead {
		xs = append(xs, &eField{node{types.TNat, e.pos}, name})
	}
	lw.send(PrintSite{Pos: e.pos, Kind: "emit", Names: append(slices.Clone(streamHead), e.names...)}, append(xs, e.args...), s.Ref, s)
	return val{t: types.TNone}
}
