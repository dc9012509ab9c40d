package lower

import (
	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Memory is read by helpers: bpf_probe_read_kernel for kernel memory, bpf_probe_read_user for that
// of the running process. Which of them is right is part of a pointer's type if that is known;
// otherwise the address decides, since on the supported architectures kernel addresses have their
// top bit set.
//
// A failed read of kernel memory is common and harmless: a chain of members ends in NULL. A failed
// read of user memory causes a warning: usually the page was not in memory, and the script can read
// it at another time.

// A memRead describes a read of size bytes, or of a string of at most size bytes, from addr to dst.
type memRead struct {
	space     types.Space
	addr, dst *ir.Value
	size      *ir.Value
	str       bool
	op        string
	pos       syntax.Position
}

// spaceOfAddr returns the memory space of an address of type t, a pointer or a number.
func spaceOfAddr(t *types.Type) types.Space {
	if t.Kind == types.Ptr {
		return t.Space
	}
	return types.AnySpace
}

// bySpace calls read for the memory space of an address, in two branches if the address decides.
func (lw *Lowerer) bySpace(space types.Space, addr *ir.Value, read func(user bool)) {
	if space != types.AnySpace {
		read(space == types.User)
		return
	}
	b := lw.B
	k, u, done := b.Block("kernel"), b.Block("user"), b.Block("")
	b.If(ir.SGT, addr, b.Const(tree.FirstPages-1), u, k)
	for _, side := range []*ir.Block{k, u} {
		b.Continue(side)
		if !b.Dead() {
			read(side == u)
			b.Jump(done)
		}
	}
	b.Continue(done)
}

// readTo reads, and continues at failed after a failure, which it counts. The helper zeroes dst on
// failure.
func (lw *Lowerer) readTo(m memRead, failed *ir.Block) {
	b := lw.B
	lw.bySpace(m.space, m.addr, func(user bool) {
		fn, helper := readHelper(user, m.str)
		b.Pos = m.pos
		r := lw.Call(fn, m.dst, m.size, m.addr)
		bad, ok := b.Block("unread"), b.Block("")
		b.If(ir.SLT, r, b.Const(0), bad, ok)
		bad.Cold = true
		b.Continue(bad)
		lw.unread(m, helper, user, r)
		b.Jump(failed)
		b.Continue(ok)
	})
}

func readHelper(user, str bool) (asm.BuiltinFunc, string) {
	switch {
	case user && str:
		return asm.FnProbeReadUserStr, "probe_read_user_str"
	case user:
		return asm.FnProbeReadUser, "probe_read_user"
	case str:
		return asm.FnProbeReadKernelStr, "probe_read_kernel_str"
	}
	return asm.FnProbeReadKernel, "probe_read_kernel"
}

// unread counts a failed read. NULL as a user pointer is expected, so it causes no warning.
func (lw *Lowerer) unread(m memRead, helper string, user bool, r *ir.Value) {
	b := lw.B
	site := Site{Pos: m.pos, Helper: helper, Op: m.op, Quiet: !user}
	if !user || m.space == types.AnySpace { // if the address decides, NULL is the kernel's
		lw.Fail(site, r)
		return
	}
	null, bad, done := b.Block("null"), b.Block("bad"), b.Block("")
	null.Cold, bad.Cold, done.Cold = true, true, true
	b.If(ir.ULT, m.addr, b.Const(tree.FirstPages), null, bad)
	b.Continue(null)
	if !b.Dead() {
		quiet := site
		quiet.Quiet = true
		lw.Fail(quiet, r)
		b.Jump(done)
	}
	b.Continue(bad)
	if !b.Dead() {
		lw.Fail(site, r)
		b.Jump(done)
	}
	b.Continue(done)
}

// readWord reads an integer of size bytes; it is 0, and the error is counted, if it cannot be read.
func (lw *Lowerer) readWord(m memRead, size int, signed bool) *ir.Value {
	b := lw.B
	tmp := lw.scratchSlot(8, "argument")
	b.Store(b.SlotAddr(tmp, 0), 0, 8, b.Const(0))
	done := b.Block("")
	m.dst, m.size = b.SlotAddr(tmp, 0), b.Const(int64(size))
	lw.readTo(m, done)
	b.Jump(done)
	b.Continue(done)
	return b.Load(b.SlotAddr(tmp, 0), 0, size, signed)
}

// readInto reads at most n bytes to dst. If pad is set it reads a string, and zeroes dst first,
// because the helper writes only up to the NUL.
func (lw *Lowerer) readInto(m memRead, dst mem, n int, pad bool) {
	b := lw.B
	if pad {
		lw.fill(dst, 0)
	}
	done := b.Block("")
	m.dst, m.size = lw.addr(dst), b.Const(int64(n))
	lw.readTo(m, done)
	b.Jump(done)
	b.Continue(done)
}
