package ir

import (
	"slices"
	"sort"

	"go.starlark.net/syntax"
)

// A Builder builds a function block by block and keeps variables in static single assignment form
// as it goes (Braun et al., "Simple and Efficient Construction of SSA Form", 2013): a read looks
// for the last write on every path to the block, and places a phi where paths join. A block whose
// predecessors are not all known yet (the head of a loop) gets incomplete phis until Seal.
type Builder struct {
	F   *Func
	B   *Block // where values are added; nil after a terminator: what follows is unreachable
	Pos syntax.Position
	// Weigh, if not nil, is called with each value that Add makes.
	Weigh func(*Value)

	blocks      []building          // by the ID of the block
	writes      map[Variable][]int  // the times at which a variable was written
	clock       int                 // the time: the number of writes so far
	users       map[*Value][]*Value // phis that use a phi
	replaced    map[*Value]*Value
	neverHidden map[Variable]bool       // the variables passed to NeverHide
	bare        map[*Value]bool         // their phis
	opaque      map[*Block][2]*Value    // loop heads, and the zeros that hide their variables
	written     []Variable              // in the order of their first Write
	outer       func(x Variable) *Value // variables that the function does not write; nil: 0
	zeroed      map[*Slot]bool
	cold        bool
	loop        int
}

// building is what the Builder knows about a block.
type building struct {
	defs    map[Variable]*Value // the values of variables at its end
	sealed  bool
	pending []pending // its incomplete phis, in order of creation
	// idom is the last block before this one that every path goes through, if that was known before
	// this one was filled. Those paths are complete when the block is sealed, so the writes on them
	// are earlier. The head of a loop, which is filled before it is sealed, has no idom and is the
	// root of its own tree; over is the block above that tree, once it is known.
	idom, over *Block
	root       *Block // of the tree; nil: this block
	// jump is a block above idom, chosen so that any height is reached in few steps; depth is the
	// number of blocks above this one in the tree.
	jump  *Block
	depth int
	// Times: when the block was first filled, when it was sealed, and when it was ended.
	started, began, ended int
}

// pending is a phi in a block that is not sealed yet.
type pending struct {
	x   Variable
	phi *Value
}

// A Variable is anything that identifies a word that is written more than once.
type Variable any

// NewBuilder starts a function with an entry block.
func NewBuilder(name string) *Builder {
	b := &Builder{F: &Func{Name: name}, writes: map[Variable][]int{},
		users: map[*Value][]*Value{}, replaced: map[*Value]*Value{}, opaque: map[*Block][2]*Value{}, neverHidden: map[Variable]bool{}, bare: map[*Value]bool{}, zeroed: map[*Slot]bool{}}
	b.Start(b.Block("entry"))
	b.Seal(b.B)
	return b
}

// Block adds an unsealed block without predecessors.
func (b *Builder) Block(name string) *Block {
	blk := b.F.NewBlock(name)
	blk.Loop, blk.Cold, blk.Pos = b.loop, b.cold, b.Pos
	b.blocks = append(b.blocks, building{})
	return blk
}

func (b *Builder) of(blk *Block) *building { return &b.blocks[blk.ID] }

// Start makes blk the block to which values are added.
func (b *Builder) Start(blk *Block) {
	b.B = blk
	b.of(blk).started = b.clock
}

// Continue seals blk and makes it the block to which values are added. If nothing jumps to blk,
// what follows is unreachable.
func (b *Builder) Continue(blk *Block) {
	b.Seal(blk)
	if len(blk.Preds) == 0 && blk != b.F.Blocks[0] {
		b.drop(blk)
		b.B = nil
		return
	}
	b.B = blk
}

func (b *Builder) drop(blk *Block) {
	for i := len(b.F.Blocks) - 1; i >= 0; i-- { // it is one of the last
		if b.F.Blocks[i] == blk {
			b.F.Blocks = slices.Delete(b.F.Blocks, i, i+1)
			return
		}
	}
}

// InLoop runs fn with new blocks marked as part of one more loop.
func (b *Builder) InLoop(fn func()) { b.loop++; fn(); b.loop-- }

// InCold runs fn with new blocks marked as rarely executed.
func (b *Builder) InCold(fn func()) {
	old := b.cold
	b.cold = true
	fn()
	b.cold = old
}

// Dead reports whether the current position is unreachable.
func (b *Builder) Dead() bool { return b.B == nil }

// Jump ends the current block with a jump to t.
func (b *Builder) Jump(t *Block) {
	if b.B != nil {
		b.of(b.B).ended = b.clock
		b.B.Jump(t)
		b.B = nil
	}
}

// If ends the current block with a conditional jump.
func (b *Builder) If(c Cond, x, y *Value, t, e *Block) {
	if b.B == nil {
		return
	}
	b.B.Pos = b.Pos
	b.of(b.B).ended = b.clock
	b.B.If(c, x, y, t, e)
	b.B = nil
}

// Ret ends the current block with a return of x.
func (b *Builder) Ret(x *Value) {
	if b.B != nil {
		b.B.Ret(x)
		b.B = nil
	}
}

// Add appends a value to the current block.
func (b *Builder) Add(op Op, args ...*Value) *Value {
	v := b.F.NewValue(op, args...)
	v.Pos = b.Pos
	if b.B != nil {
		v.Block = b.B
		b.B.Values = append(b.B.Values, v)
		if b.Weigh != nil {
			b.Weigh(v)
		}
	}
	return v
}

// Const returns a constant. Constants belong to no block: they cost nothing until used.
func (b *Builder) Const(n int64) *Value {
	v := b.F.NewValue(OpConst)
	v.Imm = n
	return v
}

// Load adds a read of size bytes at p+off.
func (b *Builder) Load(p *Value, off, size int, signed bool) *Value {
	v := b.Add(OpLoad, p)
	v.Off, v.Size, v.Signed = off, size, signed
	return v
}

// Store adds a write of the low size bytes of x to p+off.
func (b *Builder) Store(p *Value, off, size int, x *Value) *Value {
	v := b.Add(OpStore, p, x)
	v.Off, v.Size = off, size
	return v
}

// SlotAddr adds the address of the byte at off of a slot.
func (b *Builder) SlotAddr(s *Slot, off int) *Value {
	v := b.Add(OpSlotAddr)
	v.Slot, v.Off = s, off
	return v
}

// MapPtr adds the map named sym.
func (b *Builder) MapPtr(sym string) *Value {
	v := b.Add(OpMapPtr)
	v.Sym = sym
	return v
}

// FuncPtr adds a reference to the subprogram named sym, as helpers take it.
func (b *Builder) FuncPtr(sym string) *Value {
	v := b.Add(OpFuncPtr)
	v.Sym = sym
	return v
}

// MapValue adds the address of the byte at off in the first element of the array map named sym.
func (b *Builder) MapValue(sym string, off int) *Value {
	v := b.Add(OpMapValue)
	v.Sym, v.Off = sym, off
	return v
}

// Write assigns v to a variable.
func (b *Builder) Write(x Variable, v *Value) {
	if b.B == nil {
		return
	}
	b.writeIn(b.B, x, v)
	if b.writes[x] == nil {
		b.written = append(b.written, x)
	}
	b.writes[x] = append(b.writes[x], b.clock)
	b.clock++
}

// Written returns the variables that the function writes, in the order of their first Write.
func (b *Builder) Written() []Variable { return b.written }

// Writes reports whether the function writes the variable.
func (b *Builder) Writes(x Variable) bool { return b.writes[x] != nil }

// Outer makes fn supply the variables that are read before the function has written them. It is
// called once for each, and the values that it adds go to the start of the entry block, after the
// parameters.
func (b *Builder) Outer(fn func(x Variable) *Value) { b.outer = fn }

// ZeroFirst fills a slot with zeros at the start of the function.
func (b *Builder) ZeroFirst(s *Slot) {
	if b.zeroed[s] {
		return
	}
	b.zeroed[s] = true
	b.first(func() {
		for off := 0; off < s.Size; off += 8 {
			b.Store(b.SlotAddr(s, 0), off, 8, b.Const(0))
		}
	})
}

// first inserts what fn adds at the start of the entry block, after the parameters.
func (b *Builder) first(fn func()) {
	entry := b.F.Blocks[0]
	params := 0
	for params < len(entry.Values) && entry.Values[params].Op == OpCtx {
		params++
	}
	at, body := b.B, append([]*Value{}, entry.Values[params:]...)
	b.B, entry.Values = entry, entry.Values[:params]
	fn()
	entry.Values = append(entry.Values, body...)
	b.B = at
}

func (b *Builder) writeIn(blk *Block, x Variable, v *Value) {
	of := b.of(blk)
	if of.defs == nil {
		of.defs = map[Variable]*Value{}
	}
	of.defs[x] = v
}

// Read returns the value of a variable. On a path where the variable was never written it reads as
// 0; the checker rejects handlers in which that could be observed.
func (b *Builder) Read(x Variable) *Value {
	if b.B == nil {
		return b.Const(0)
	}
	return b.readIn(b.B, x)
}

func (b *Builder) readIn(blk *Block, x Variable) *Value {
	of := b.of(blk)
	if v, ok := of.defs[x]; ok {
		return b.current(v)
	}
	var v *Value
	above := b.unwritten(blk, x)
	switch {
	case above != blk:
		v = b.readIn(above, x)
	case !of.sealed:
		v = b.newPhi(blk, x)
		of.pending = append(of.pending, pending{x, v})
	case len(blk.Preds) == 0 && b.outer != nil && blk == b.F.Blocks[0]:
		b.first(func() { v = b.outer(x) })
	case len(blk.Preds) == 0:
		v = b.Const(0)
	case of.idom != nil && len(blk.Preds) == 1:
		v = b.readIn(blk.Preds[0], x)
	default: // also the head of a loop that only the loop itself leads to
		v = b.newPhi(blk, x)
		b.writeIn(blk, x, v)
		v = b.fillPhi(v, x)
	}
	b.writeIn(blk, x, v)
	return v
}

// unwritten returns the highest block above blk in the dominator tree such that no path from its
// end to blk writes x: the variable has the same value there. Without it, a variable that is read
// long after it was written would get a phi in each block on the path where paths join.
func (b *Builder) unwritten(blk *Block, x Variable) *Block {
	began := b.of(blk).began
	last := b.lastWrite(x, began)
	for {
		of := b.of(blk)
		switch {
		case of.idom != nil && b.of(of.jump).ended > last:
			blk = of.jump
		case of.idom != nil && b.of(of.idom).ended > last:
			blk = of.idom
		case of.over != nil:
			// a loop: what it writes after blk comes around
			if began < of.began {
				began = of.began
				last = b.lastWrite(x, began)
			}
			if b.of(of.over).ended <= last {
				return blk
			}
			blk = of.over
		default:
			return blk
		}
	}
}

// lastWrite returns the time of the last write of x before a time, or -1.
func (b *Builder) lastWrite(x Variable, before int) int {
	ws := b.writes[x]
	if i := sort.SearchInts(ws, before); i > 0 {
		return ws[i-1]
	}
	return -1
}

// dominate computes the block that every path to blk goes through.
func (b *Builder) dominate(blk *Block) {
	of := b.of(blk)
	of.began = b.clock
	filled := of.defs != nil || blk.Kind != TermNone
	var d *Block
	for _, p := range blk.Preds {
		if filled && b.within(p, blk) {
			continue // a back edge
		}
		if d == nil {
			d = p
		} else if d = b.meet(d, p); d == nil {
			return
		}
	}
	switch {
	case d == nil:
	case filled:
		if of.started >= b.of(d).ended {
			of.over = d
		}
	default:
		of.idom, of.jump, of.depth, of.root = d, d, b.of(d).depth+1, b.root(d)
		if j := b.jump(d); b.of(d).depth-b.of(j).depth == b.of(j).depth-b.of(b.jump(j)).depth {
			of.jump = b.jump(j)
		}
	}
}

func (b *Builder) root(blk *Block) *Block {
	if r := b.of(blk).root; r != nil {
		return r
	}
	return blk
}

// within reports whether every path to p goes through head. A tree that was started before head
// contains no block of head's loop.
func (b *Builder) within(p, head *Block) bool {
	for p != nil {
		r := b.root(p)
		if r == head {
			return true
		}
		if b.of(r).started < b.of(head).started {
			return false
		}
		p = b.of(r).over
	}
	return false
}

func (b *Builder) jump(blk *Block) *Block {
	if j := b.of(blk).jump; j != nil {
		return j
	}
	return blk
}

// meet returns the last block that is on every path to x and on every path to y, or nil if it is
// not known. It climbs as ancestors does.
func (b *Builder) meet(x, y *Block) *Block {
	for b.root(x) != b.root(y) { // out of the loop that was started later
		if b.of(b.root(x)).started < b.of(b.root(y)).started {
			x, y = y, x
		}
		if x = b.of(b.root(x)).over; x == nil {
			return nil
		}
	}
	if b.of(x).depth < b.of(y).depth {
		x, y = y, x
	}
	for b.of(x).depth > b.of(y).depth {
		if j := b.jump(x); b.of(j).depth >= b.of(y).depth {
			x = j
		} else {
			x = b.of(x).idom
		}
	}
	for x != y {
		if b.jump(x) != b.jump(y) {
			x, y = b.jump(x), b.jump(y)
		} else {
			x, y = b.of(x).idom, b.of(y).idom
		}
	}
	return x
}

func (b *Builder) newPhi(blk *Block, x Variable) *Value {
	v := b.F.NewValue(OpPhi)
	b.bare[v] = b.neverHidden[x]
	v.Block, v.Pos = blk, b.Pos
	blk.Phis = append(blk.Phis, v)
	return v
}

func (b *Builder) fillPhi(phi *Value, x Variable) *Value {
	for _, p := range phi.Block.Preds {
		a := b.readIn(p, x)
		phi.Args = append(phi.Args, a)
		if a.Op == OpPhi {
			b.users[a] = append(b.users[a], phi)
		}
	}
	return b.simplify(phi)
}

// simplify removes a phi that has the same value on every path.
func (b *Builder) simplify(phi *Value) *Value {
	var same *Value
	for _, a := range phi.Args {
		a = b.current(a)
		if a == phi || same != nil && (a == same || a.Op == OpConst && same.Op == OpConst && a.Imm == same.Imm) {
			continue
		}
		if same != nil {
			return phi
		}
		same = a
	}
	if same == nil {
		same = b.Const(0)
	}
	b.replaced[phi] = same
	phis := phi.Block.Phis
	for i, p := range phis {
		if p == phi {
			phi.Block.Phis = append(phis[:i:i], phis[i+1:]...)
			break
		}
	}
	if same.Op == OpPhi {
		b.users[same] = append(b.users[same], b.users[phi]...)
	}
	for _, u := range b.users[phi] {
		if _, gone := b.replaced[u]; !gone && u != phi && len(u.Args) == len(u.Block.Preds) {
			b.simplify(u)
		}
	}
	return b.current(same)
}

func (b *Builder) current(v *Value) *Value {
	for {
		w, ok := b.replaced[v]
		if !ok {
			return v
		}
		v = w
	}
}

// Seal declares that all predecessors of blk are known.
func (b *Builder) Seal(blk *Block) {
	if b.of(blk).sealed {
		return
	}
	b.dominate(blk)
	b.of(blk).sealed = true
	pending := b.of(blk).pending
	b.of(blk).pending = nil
	for _, p := range pending {
		b.fillPhi(p.phi, p.x)
	}
}

// Opaque hides the variables of the loop with this head from the kernel's verifier by adding a
// value that is 0 but not known to be: enter is added before the loop, and again in the block that
// starts every iteration after the first. A verifier that knows that a variable is 0, then 1, then
// 2, follows the loop number by number; one that knows which tests an iteration has passed follows
// it once per path.
//
// The sum is an operation of its own, since the passes would reduce a sum with the constant 0 to
// the zero itself. Variables that are copies of one register are one number to the verifier: what a
// test says about one of them applies to all of them, and to the zero.
func (b *Builder) Opaque(head *Block, enter, again *Value) { b.opaque[head] = [2]*Value{enter, again} }

// NeverHide declares that no loop may hide a variable: one that holds an address, to which the
// verifier does not allow an unknown number to be added, or one from which the verifier must see
// that the loop ends.
func (b *Builder) NeverHide(x Variable) { b.neverHidden[x] = true }

// Hides reports whether the variable may be hidden.
func (b *Builder) Hides(x Variable) bool { return !b.neverHidden[x] }

// hide adds the zeros to the values that enter a loop from its two predecessors.
func (b *Builder) hide(head *Block, zeros [2]*Value) {
	for _, phi := range head.Phis {
		if b.bare[phi] {
			continue
		}
		for i, a := range phi.Args {
			if a == phi {
				continue
			}
			v := b.F.NewValue(OpHide, a, zeros[i])
			v.Pos, v.Block = phi.Pos, head.Preds[i]
			v.Block.Values = append(v.Block.Values, v)
			phi.Args[i] = v
		}
	}
}

// Pin returns a copy of x that is to be tested against a bound and then used, as an offset or a
// size, with no call in between. The verifier learns the bound from the test, for the register that
// is tested. A value on the stack that is loaded, tested and loaded again stays unknown to kernels
// before 6.9, and to 5.10 always. So the pinned value gets a register that is never spilled.
func (b *Builder) Pin(x *Value) *Value {
	if x.Op == OpConst {
		return x
	}
	return b.Add(OpPin, x)
}

// Finish replaces what simplify removed, and returns the function. Unreachable blocks are removed
// before the loops hide their variables: a variable that has the same value on all other paths has
// no phi.
func (b *Builder) Finish() *Func {
	b.resolve()
	removeUnreachable(b.F)
	for _, blk := range b.F.Blocks {
		for _, phi := range append([]*Value{}, blk.Phis...) {
			if _, gone := b.replaced[phi]; !gone {
				b.simplify(phi)
			}
		}
	}
	for _, blk := range b.F.Blocks {
		if zeros, ok := b.opaque[blk]; ok && len(blk.Preds) == 2 {
			b.hide(blk, zeros)
		}
	}
	b.resolve()
	return b.F
}

// resolve replaces each removed phi by the value that replaced it.
func (b *Builder) resolve() {
	for _, blk := range b.F.Blocks {
		for _, v := range blk.Phis {
			for i, a := range v.Args {
				v.Args[i] = b.current(a)
			}
		}
		for _, v := range blk.Values {
			for i, a := range v.Args {
				v.Args[i] = b.current(a)
			}
		}
		if blk.X != nil {
			blk.X = b.current(blk.X)
		}
		if blk.Y != nil {
			blk.Y = b.current(blk.Y)
		}
	}
}
