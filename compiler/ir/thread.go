package ir

// Thread sends control past a test that each way to it has decided already: `x = t.get(k)` followed by `if x != None` comes to a
// block that does nothing but test a phi of ones and zeros.
//
//	b1: ... jump b3          b1: ... jump yes
//	b2: ... jump b3          b2: ... jump no
//	b3: p = phi 1, 0   =>
//	    q = phi x, y
//	    if p != 0 then yes else no
//
// The phis of the block go with it: where a successor has no other way in, it gets phis of its own (q = x in yes, q = y in no)
// for the uses that it dominates. A value that is used where the two ways meet again would need another phi there; then
// the block stays as it is.
func Thread(f *Func) {
	for again := true; again; {
		again = false
		dom, uses := Dominators(f), map[*Value][]*Block{}
		eachUse(f, func(v *Value, at *Block, _ func(*Value)) {
			if v.Op == OpPhi {
				uses[v] = append(uses[v], at)
			}
		})
		// to take a block out changes nothing in how the others dominate each other; what its phis and neighbours are used for is known no more
		changed := map[*Block]bool{}
		for _, b := range f.Blocks {
			if changed[b] || !threadable(b, dom, uses) {
				continue
			}
			for _, x := range append(append([]*Block{b}, b.Preds...), b.Succs...) {
				changed[x] = true
				for _, phi := range x.Phis {
					for _, a := range phi.Args {
						if a.Op == OpPhi {
							changed[a.Block] = true
						}
					}
				}
			}
			thread(f, b, dom)
			again = true
		}
		if again {
			RemoveUnreachable(f)
			Fold(f)
		}
	}
}

// threadable tells whether all ways into b decide its test, and its phis can do without it.
func threadable(b *Block, dom *DomTree, uses map[*Value][]*Block) bool {
	if b.Kind != TermIf || len(b.Values) > 0 || len(b.Phis) == 0 || b.X.Op != OpPhi || b.X.Block != b || b.Y.Op != OpConst || b.Succs[0] == b.Succs[1] {
		return false
	}
	for i, p := range b.Preds {
		if b.X.Args[i].Op != OpConst || p == b || count(b.Preds, p) != 1 {
			return false
		}
		for _, s := range b.Succs {
			if count(s.Preds, p) > 0 {
				return false // an edge that is there already, with other arguments for the phis
			}
		}
	}
	mine := map[*Value]bool{}
	for _, phi := range b.Phis {
		mine[phi] = true
	}
	within := func(at *Block) bool {
		for _, s := range b.Succs {
			if len(s.Preds) == 1 && dom.Dominates(s, at) {
				return true
			}
		}
		return false
	}
	ok := true
	for _, phi := range b.Phis {
		for _, at := range uses[phi] {
			ok = ok && (at == b || within(at))
		}
		for _, a := range phi.Args {
			ok = ok && !mine[a] // a loop
		}
	}
	return ok
}

// eachUse calls fn for each use: the value, the block where it is wanted (for a phi, the end of the predecessor), and a way
// to put another value there.
func eachUse(f *Func, fn func(v *Value, at *Block, set func(*Value))) {
	for _, b := range f.Blocks {
		for _, phi := range b.Phis {
			for i := range phi.Args {
				fn(phi.Args[i], b.Preds[i], func(x *Value) { phi.Args[i] = x })
			}
		}
		for _, v := range b.Values {
			for i := range v.Args {
				fn(v.Args[i], b, func(x *Value) { v.Args[i] = x })
			}
		}
		if b.X != nil {
			fn(b.X, b, func(x *Value) { b.X = x })
		}
		if b.Y != nil {
			fn(b.Y, b, func(x *Value) { b.Y = x })
		}
	}
}

func thread(f *Func, b *Block, dom *DomTree) {
	ways := [2][]int{} // predecessors by which way they go
	for i := range b.Preds {
		way := 1
		if b.Cond.Holds(b.X.Args[i].Imm, b.Y.Imm) {
			way = 0
		}
		ways[way] = append(ways[way], i)
	}
	preds, phis := b.Preds, b.Phis
	at := func(v *Value, i int) *Value { // v as predecessor i has it
		if v.Op == OpPhi && v.Block == b {
			return v.Args[i]
		}
		return v
	}
	for w, s := range [2]*Block{b.Succs[0], b.Succs[1]} {
		if len(s.Preds) == 1 && len(ways[w]) > 0 {
			s.replicate(f, dom, phis)
		}
		k := firstPred(s, b)
		for _, i := range ways[w] {
			s.Preds = append(s.Preds, preds[i])
			for _, phi := range s.Phis {
				if len(phi.Args) < len(s.Preds) {
					phi.Args = append(phi.Args, at(phi.Args[k], i))
				}
			}
			for j, t := range preds[i].Succs {
				if t == b {
					preds[i].Succs[j] = s
				}
			}
		}
		s.removePred(k)
	}
	b.Preds, b.Phis, b.Succs = nil, nil, nil
	b.Kind, b.X, b.Y = TermRet, f.NewValue(OpConst), nil
}

// replicate gives s, which b alone leads to, phis for those of b, and puts them in the uses that s dominates.
func (s *Block) replicate(f *Func, dom *DomTree, phis []*Value) {
	mine := map[*Value]*Value{}
	for _, phi := range phis {
		n := f.NewValue(OpPhi, phi)
		n.Block, n.Pos = s, phi.Pos
		mine[phi] = n
	}
	eachUse(f, func(v *Value, at *Block, set func(*Value)) {
		if n := mine[v]; n != nil && dom.Dominates(s, at) {
			set(n)
		}
	})
	for _, phi := range phis {
		s.Phis = append(s.Phis, mine[phi])
	}
}
