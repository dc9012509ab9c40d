package lower

import (
	"slices"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// Flags of map_update_elem (kernel include/uapi/linux/bpf.h).
const (
	updateAny     = 0
	updateNoExist = 1
	updateExist   = 2
)

// mapPtr returns the map as helpers take it. A swappable map is looked up in the single slot of its
// outer map.
func (lw *Lowerer) mapPtr(m *tree.Map) *ir.Value {
	b := lw.B
	if !m.Swappable {
		return b.MapPtr(m.Ref)
	}
	idx := lw.scratchSlot(8, "slot 0")
	b.Store(b.SlotAddr(idx, 0), 0, 8, b.Const(0))
	inner := lw.Call(asm.FnMapLookupElem, b.MapPtr(m.Ref), b.SlotAddr(idx, 0))
	ok := b.Block("")
	b.If(ir.EQ, inner, b.Const(0), lw.end, ok) // never: the slot is not empty
	b.Continue(ok)
	return inner
}

// errno sign-extends the result of a map function. Up to 6.3 the kernel makes programs call
// functions that return an int, and the upper half of the register is then undefined.
func (lw *Lowerer) errno(r *ir.Value) *ir.Value { return lw.Extend(r, 0, 32, true) }

// key writes a key to memory, and returns its place.
func (lw *Lowerer) key(x tree.Expr) mem {
	m := lw.allocTemp(x.Type().Size(), "key")
	lw.storeExpr(m, x)
	return m
}

func (lw *Lowerer) lookup(m *ir.Value, key mem) *ir.Value {
	return lw.Call(asm.FnMapLookupElem, m, lw.addr(key))
}

// TableIndex lowers t[key]. A missing key ends the handler.
func TableIndex(lw *Lowerer, e *tree.MethodExpr) Val {
	b := lw.B
	t := lw.types[e.Map].Val
	key := lw.key(e.Args[0])
	b.Pos = e.Pos
	p := lw.lookup(lw.mapPtr(e.Map), key)
	missing, found := b.Block("missing"), b.Block("")
	b.If(ir.EQ, p, b.Const(0), missing, found)
	missing.Cold = true
	b.Continue(missing)
	lw.missingKey(e)
	b.Jump(lw.end)
	b.Continue(found)
	return lw.load(mem{p, 0, t.Size()}, t)
}

func (lw *Lowerer) missingKey(e *tree.MethodExpr) {
	lw.Fail(Site{Pos: e.Pos, Helper: "map_lookup_elem", Op: e.Map.Name + "[]", Map: e.Map, Ends: true}, lw.B.Const(-errNoEnt))
}

// TableIn lowers key in t.
func TableIn(lw *Lowerer, e *tree.MethodExpr) Val {
	return lw.SelectValue(types.TBool, func(yes, no *ir.Block) {
		key := lw.key(e.Args[0])
		lw.B.If(ir.NE, lw.lookup(lw.mapPtr(e.Map), key), lw.B.Const(0), yes, no)
	}, tree.BoolConst(true, e.Pos), tree.BoolConst(false, e.Pos))
}

// TableGet lowers t.get(key, default).
func TableGet(lw *Lowerer, e *tree.MethodExpr) Val {
	c := lw.newHome(e.T, e.Map.Name)
	lw.getOrPop(e, false, c)
	return lw.get(c)
}

// TablePop lowers t.pop(key, default).
func TablePop(lw *Lowerer, e *tree.MethodExpr) Val {
	c := lw.newHome(e.T, e.Map.Name)
	lw.getOrPop(e, true, c)
	return lw.get(c)
}

// getOrPop leaves the value in c, a home of the expression's type. A pop reads the value, then
// deletes the key, and returns the value only if it was the one that deleted the key: of two CPUs
// that pop one key, one gets the value. A delete that fails leaves the key in the map.
func (lw *Lowerer) getOrPop(e *tree.MethodExpr, pop bool, c *home) {
	b := lw.B
	t := lw.types[e.Map].Val
	key := lw.key(e.Args[0])
	def := e.Args[1]
	if acts(def) {
		def = lw.early(def)
	}
	b.Pos = e.Pos
	m := lw.mapPtr(e.Map)
	p := lw.lookup(m, key)
	found, absent, done := b.Block("found"), b.Block("absent"), b.Block("")
	b.If(ir.NE, p, b.Const(0), found, absent)
	b.Continue(found)
	lw.loadHome(c, mem{p, 0, t.Size()}, t)
	if pop {
		mine, other, failed := b.Block("mine"), b.Block("other"), b.Block("failed")
		other.Cold, failed.Cold = true, true
		deleted := lw.Call(asm.FnMapDeleteElem, m, lw.addr(key))
		b.If(ir.EQ, deleted, b.Const(0), mine, other)
		b.Continue(other)
		r := lw.errno(deleted)
		b.If(ir.EQ, r, b.Const(-errNoEnt), absent, failed)
		b.Continue(failed)
		lw.Fail(Site{Pos: e.Pos, Helper: "map_delete_elem", Op: e.Map.Name + ".pop", Map: e.Map}, r)
		b.Jump(absent)
		b.Continue(mine)
		lw.countKeys(e.Map, KeysDeleted)
	}
	b.Jump(done)
	b.Continue(absent)
	if lw.Req.CountLookupMisses {
		lw.Fail(Site{Pos: e.Pos, Helper: "map_lookup_elem", Op: e.Name, Map: e.Map, Quiet: true}, b.Const(-errNoEnt))
	}
	lw.set(c, def)
	b.Jump(done)
	b.Continue(done)
}

// loadHome reads a value of type t from memory into a home whose type can represent it.
func (lw *Lowerer) loadHome(c *home, m mem, t *types.Type) {
	switch {
	case c.t.Kind == types.Opt && t.Kind != types.Opt && t.Kind != types.None:
		lw.B.Write(c.has, lw.B.Const(1))
		lw.loadHome(c.inner, m, t)
	case c.t.InMemory():
		m.cap = t.Cap
		lw.copyStr(lw.mem(c.room), m)
	default:
		lw.setVal(c, lw.convert(lw.load(m, t), c.t))
	}
}

// tableSet lowers t[k] = v.
func (lw *Lowerer) tableSet(s *tree.SetStmt) {
	b := lw.B
	m := lw.allocTemp(s.Val.Type().Size(), "value")
	lw.storeExpr(m, s.Val) // the right side first, as Starlark does
	key := lw.key(s.Key)
	b.Pos = s.Pos
	failed, done := b.Block("failed"), b.Block("")
	failed.Cold = true
	code := new(int)
	update := func(flags *ir.Value) *ir.Value {
		r := lw.Call(asm.FnMapUpdateElem, lw.mapPtr(s.Map), lw.addr(key), lw.addr(m), flags)
		b.Write(code, r)
		return r
	}
	if s.Map.LRU {
		lw.setCounted(s.Map, key, update, failed, done)
	} else {
		b.If(ir.NE, update(b.Const(updateAny)), b.Const(0), failed, done)
	}
	b.Continue(failed)
	lw.Fail(Site{Pos: s.Pos, Helper: "map_update_elem", Op: s.Map.Name + "[] =", Map: s.Map}, b.Read(code))
	b.Jump(done)
	b.Continue(done)
}

// maxRivals bounds the attempts to store a key that other runs insert and delete concurrently.
const maxRivals = 8

// setCounted stores a value under a key, and counts the key if it is new. Only an update with the
// flag BPF_NOEXIST or BPF_EXIST reports whether the key was new. Control continues at failed or
// done. The loop has one entry, otherwise SSA form would have more phis than it needs.
func (lw *Lowerer) setCounted(m *tree.Map, key mem, update func(flags *ir.Value) *ir.Value, failed, done *ir.Block) {
	b := lw.B
	tried, flags := new(int), new(int)
	b.Write(tried, b.Const(0))
	b.Write(flags, b.Const(updateExist))
	head, absent := b.Block("head"), b.Block("absent")
	b.If(ir.NE, lw.lookup(lw.mapPtr(m), key), b.Const(0), head, absent)
	b.Continue(absent)
	b.Write(flags, b.Const(updateNoExist))
	b.Jump(head)

	b.Start(head)
	f := b.Read(flags)
	r := lw.errno(update(f))
	stored, other, made, create, replace, rival, again := b.Block("stored"), b.Block("other"), b.Block("made"), b.Block("create"), b.Block("replace"), b.Block("rival"), b.Block("again")
	b.If(ir.EQ, r, b.Const(0), stored, other)
	b.Continue(stored)
	b.If(ir.EQ, f, b.Const(updateNoExist), made, done)
	b.Continue(made)
	lw.countKeys(m, KeysInserted)
	b.Jump(done)

	b.Continue(other)
	b.If(ir.EQ, f, b.Const(updateNoExist), create, replace)
	b.Continue(create)
	b.If(ir.EQ, r, b.Const(-errExist), rival, failed)
	b.Continue(replace)
	b.If(ir.EQ, r, b.Const(-errNoEnt), rival, failed)
	b.Continue(rival)
	n := b.Add(ir.OpAdd, b.Read(tried), b.Const(1))
	b.If(ir.EQ, n, b.Const(maxRivals), failed, again)
	b.Continue(again)
	b.Write(tried, n)
	b.Write(flags, b.Add(ir.OpXor, f, b.Const(updateNoExist^updateExist)))
	b.Jump(head)
	b.Seal(head)
}

// tableAugment lowers t[k] += v of a key that exists: one atomic add in place. Starlark reads t[k]
// before it computes v. If that makes a difference, the key is looked up before v and again after
// it: the code in between may delete the key, and the kernel may have reused its element for
// another key.
func (lw *Lowerer) tableAugment(s *tree.AugmentStmt) {
	b := lw.B
	missing, found := b.Block("missing"), b.Block("")
	missing.Cold = true
	find := func(key mem, ok *ir.Block) *ir.Value {
		b.Pos = s.Pos
		p := lw.lookup(lw.mapPtr(s.Map), key)
		b.If(ir.EQ, p, b.Const(0), missing, ok)
		b.Continue(ok)
		return p
	}
	var v *ir.Value
	var key mem
	if plain(s.Val) {
		v, key = lw.Value(s.Val).W, lw.key(s.Key)
	} else {
		key = lw.key(s.Key)
		find(key, b.Block(""))
		v = lw.Value(s.Val).W
	}
	p := find(key, found)
	b.Add(ir.OpAtomicAdd, p, v)
	done := b.Block("")
	b.Jump(done)
	b.Continue(missing)
	lw.Fail(Site{Pos: s.Pos, Helper: "map_lookup_elem", Op: s.Map.Name + "[] +=", Map: s.Map, Ends: true}, b.Const(-errNoEnt))
	b.Jump(lw.end)
	b.Continue(done)
}

// plain reports whether an expression cannot fail and changes nothing, so that it does not matter
// when it is computed.
func plain(x tree.Expr) bool {
	switch x := x.(type) {
	case *tree.ConstExpr, *tree.VarExpr, *tree.FieldExpr:
		return true
	case *tree.ArgExpr:
		return x.Field.Kind != abi.FieldMemory
	case *tree.ConvertExpr:
		return plain(x.X)
	case *tree.NarrowExpr:
		return plain(x.X)
	case *tree.UnaryExpr:
		return plain(x.X)
	case *tree.ElemExpr:
		return plain(x.X)
	case *tree.BinaryExpr:
		return !canFail(x) && plain(x.X) && plain(x.Y)
	}
	return false
}

// TableAdd lowers t.add(value, by=key), which starts from 0 if the key is absent and returns
// the new value.
func TableAdd(lw *Lowerer, e *tree.MethodExpr) Val {
	b := lw.B
	v := lw.Value(e.Args[0]).W
	key := lw.key(e.Args[1])
	b.Pos = e.Pos
	res := new(int)
	done := b.Block("")
	b.Write(res, b.Const(0)) // if the add is dropped
	lw.upsert(e, key, 8, func(p *ir.Value) {
		if lw.Req.Features.FetchAtomics {
			old := b.Add(ir.OpFetchAdd, p, v)
			b.Write(res, b.Add(ir.OpAdd, old, v))
		} else {
			b.Add(ir.OpAtomicAdd, p, v)
			b.Write(res, b.Load(p, 0, 8, false))
		}
	}, done)
	return Scalar(e.T, b.Read(res))
}

// upsert finds the value of a key, or inserts zeros, and adds to it. Several runs may race to
// insert: the insert stores zeros, and only if the key is absent, so a run that loses the race
// (EEXIST) finds the winner's value, and what was added to that in the meantime is kept. Control
// continues at done.
func (lw *Lowerer) upsert(e *tree.MethodExpr, key mem, size int, add func(p *ir.Value), done *ir.Block) {
	b := lw.B
	m := lw.mapPtr(e.Map)
	tried := new(int)
	hit, look := b.Block("hit"), b.Block("lookup")
	var miss, insert, again, gone, failed *ir.Block
	b.InCold(func() {
		miss, insert, again, gone, failed = b.Block("miss"), b.Block("insert"), b.Block("again"), b.Block("gone"), b.Block("failed")
	})
	b.Write(tried, b.Const(0))
	b.Jump(look)
	b.Start(look)
	p := lw.lookup(m, key)
	b.If(ir.NE, p, b.Const(0), hit, miss)

	b.Continue(miss)
	code := new(int)
	b.If(ir.NE, b.Read(tried), b.Const(0), gone, insert)
	b.Continue(insert)
	r := lw.errno(lw.Call(asm.FnMapUpdateElem, m, lw.addr(key), lw.zeros(size), b.Const(updateNoExist)))
	b.Write(code, r)
	made := b.Block("")
	made.Cold = true
	if e.Map.LRU {
		told := b.Block("")
		told.Cold = true
		b.If(ir.EQ, r, b.Const(0), told, made)
		b.Continue(told)
		lw.countKeys(e.Map, KeysInserted)
		b.Jump(again)
	} else {
		b.If(ir.EQ, r, b.Const(0), again, made)
	}
	b.Continue(made)
	b.If(ir.EQ, r, b.Const(-errExist), again, failed)
	b.Continue(again)
	b.Write(tried, b.Const(1))
	b.Jump(look)
	b.Seal(look)
	b.Continue(gone) // inserted, then deleted before the second lookup
	b.Write(code, b.Const(-errNoEnt))
	b.Jump(failed)
	b.Continue(failed)
	lw.Fail(Site{Pos: e.Pos, Helper: "map_update_elem", Op: e.Map.Name + ".add", Map: e.Map}, b.Read(code))
	b.Jump(done)

	b.Continue(hit)
	add(p)
	b.Jump(done)
	b.Continue(done)
}

// TableClear deletes each key that bpf_for_each_map_elem visits. A key that another run
// deletes concurrently is gone just the same.
func TableClear(lw *Lowerer, e *tree.MethodExpr) Val {
	del := lw.callback("clear", 4, func(a []*ir.Value) *ir.Value {
		b := lw.B
		r := lw.errno(lw.Call(asm.FnMapDeleteElem, a[0], a[1]))
		failed, other, gone, done := b.Block("failed"), b.Block("other"), b.Block("gone"), b.Block("")
		b.If(ir.NE, r, b.Const(0), failed, gone)
		b.Continue(gone)
		lw.countKeys(e.Map, KeysDeleted)
		b.Jump(done)
		b.Continue(failed)
		b.If(ir.NE, r, b.Const(-errNoEnt), other, done)
		b.Continue(other)
		lw.Fail(Site{Pos: e.Pos, Helper: "map_delete_elem", Op: e.Map.Name + ".clear", Map: e.Map}, r)
		b.Jump(done)
		b.Continue(done)
		return b.Const(0)
	})
	lw.Call(asm.FnForEachMapElem, lw.mapPtr(e.Map), lw.B.FuncPtr(del), lw.B.Const(0), lw.B.Const(0))
	return Val{T: types.TNone}
}

// zeros returns the address of size zero bytes: on the stack, or, if there are many, in a map that
// nobody writes.
func (lw *Lowerer) zeros(size int) *ir.Value {
	if size > 64 {
		lw.needs.Zeros = max(lw.needs.Zeros, size)
		return lw.B.MapValue(lw.Req.Zeros, 0)
	}
	s := lw.scratchSlot(size, "zeros")
	m := mem{lw.B.SlotAddr(s, 0), 0, size}
	lw.fill(m, 0)
	return m.base
}

// The default of get() and pop() is lowered where the key is missing. As Starlark computes it
// always, one that can end the handler, or that changes something, is computed before the lookup.

// early computes x now, and returns an expression that reads it.
func (lw *Lowerer) early(x tree.Expr) tree.Expr {
	tmp := &tree.Local{Name: "early", T: x.Type()}
	lw.set(lw.homeOf(tmp), x)
	return &tree.VarExpr{Node: tree.At(tmp.T, x.Position()), Local: tmp}
}

// acts reports whether computing x can end the handler, or change something.
func acts(x tree.Expr) bool {
	switch x := x.(type) {
	case *tree.ConvertExpr:
		return acts(x.X)
	case *tree.NarrowExpr:
		return acts(x.X)
	case *tree.TruthExpr:
		return acts(x.X)
	case *tree.NotExpr:
		return acts(x.X)
	case *tree.UnaryExpr:
		return acts(x.X)
	case *tree.ElemExpr:
		return acts(x.X)
	case *tree.InExpr:
		return acts(x.X)
	case *tree.BinaryExpr:
		return acts(x.X) || acts(x.Y) || canFail(x)
	case *tree.CompareExpr:
		return acts(x.X) || acts(x.Y)
	case *tree.LogicExpr:
		return acts(x.X) || acts(x.Y)
	case *tree.ContainsExpr:
		return acts(x.X) || acts(x.Y)
	case *tree.CondExpr:
		return acts(x.Cond) || acts(x.True) || acts(x.False)
	case *tree.TupleExpr:
		return slices.ContainsFunc(x.Elems, acts)
	case *tree.BuiltinExpr:
		return slices.ContainsFunc(x.Args, func(a tree.Expr) bool { return a != nil && acts(a) })
	case *tree.SliceExpr:
		return acts(x.X) || x.XLo != nil && acts(x.XLo) || x.XHi != nil && acts(x.XHi)
	case *tree.DictExpr:
		return acts(x.X) || x.Def == nil || acts(x.Def)
	case *tree.IndexExpr, *tree.MethodExpr, *tree.CallExpr:
		return true
	}
	return false
}

// canFail reports whether a division or a shift may end the handler.
func canFail(x *tree.BinaryExpr) bool {
	switch x.Op {
	case syntax.SLASHSLASH, syntax.PERCENT, syntax.LTLT, syntax.GTGT:
		return !tree.IsConst(x.Y)
	}
	return false
}
