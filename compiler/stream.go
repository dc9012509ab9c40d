package compiler

import (
	"slices"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// streamHead lists the fields that precede those of the handler in each record of a stream. The
// record is like one of print, but in the stream's own ring buffer.
var streamHead = []string{"time", "cpu"}

func checkEmit(c *checker, e *eMethod) expr {
	size := 8
	for i, x := range e.args {
		switch name := e.names[i]; {
		case slices.Contains(streamHead, name):
			return c.bad(x.position(), "omit it, or give it another name", "each record of a stream already has a field %s", name)
		case slices.Index(e.names, name) < i:
			return c.bad(x.position(), "", "emit() got two values for %q", name)
		case !x.typ().Storable():
			return c.bad(x.position(), storeHint(x), "a %s cannot be sent in a record", x.typ())
		}
		size += x.typ().Size()
	}
	if size += 8 * len(streamHead); size > maxRecord {
		return c.bad(e.pos, "use shorter strings: str(ptr, 64)", "the record would have %d bytes; at most %d fit", size, maxRecord)
	}
	return e
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
