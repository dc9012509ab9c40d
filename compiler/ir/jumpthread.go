package ir

// threadJumps redirects control past a test whose outcome each path to it has already decided: `x =
// t.get(k)` followed by `if x != None` leads to a block that only tests a phi of ones and zeros.
//
//	b1: ... jump b3          b1: ... jump yes
//	b2: ... jump b3          b2: ... jump no
//	b3: p = phi 1, 0   =>
//	    q = phi x, y
//	    if p != 0 then yes else no
//
// The phis of the block are removed with it. A successor that has no other predecessor gets phis of
// its own (q = x in yes, q = y in no) for the uses that it dominates. A value that is used where
// the two paths join again would need another phi there; in that case the block stays as it is.
func threadJumps(f *Func) {
	for again := true; again; {
		again = false
		dom, uses := dominators(f), make([][]use, f.nextVal)
		eachUse(f, func(v *Value, u use) {
			if v.Op == OpPhi {
				uses[v.ID] = append(uses[v.ID], u)
			}
		})
		// Removing a block does not change how the others dominate each other, but invalidates what
		// is known about the uses of its phis and those of its neighbours.
		changed := make([]bool, f.nextBlk)
		for _, b := range f.Blocks {
			if changed[b.ID] || !threadable(b, dom, uses) {
				continue
			}
			for _, x := range append(append([]*Block{b}, b.Preds...), b.Succs...) {
				changed[x.ID] = true
				for _, phi := range x.Phis {
					for _, a := range phi.Args {
						if a.Op == OpPhi {
							changed[a.Block.ID] = true
						}
					}
				}
			}
			thread(f, b, dom, uses)
			again = true
		}
		if again {
			removeUnreachable(f)
			fold(f)
		}
	}
}

// threadable reports whether every path into b decides its test, and b can be removed together with
// its phis.
func threadable(b *Block, dom *domTree, uses [][]use) bool {
	if b.Kind != TermIf || len(b.Values) > 0 || len(b.Phis) == 0 || b.X.Op != OpPhi || b.X.Block != b || b.Y.Op != OpConst || b.Succs[0] == b.Succs[1] {
		return false
	}
	for i, p := range b.Preds {
		if b.X.Args[i].Op != OpConst || p == b || count(b.Preds, p) != 1 {
			return false
		}
		for _, s := range b.Succs {
			if count(s.Preds, p) > 0 {
				return false // the edge exists already, with other phi arguments
			}
		}
	}
	within := func(at *Block) bool {
		for _, s := range b.Succs {
			if len(s.Preds) == 1 && dom.dominates(s, at) {
				return true
			}
		}
		return false
	}
	ok := true
	for _, phi := range b.Phis {
		for _, u := range uses[phi.ID] {
			ok = ok && (u.at == b || within(u.at))
		}
		for _, a := range phi.Args {
			ok = ok && (a.Op != OpPhi || a.Block != b) // a loop
		}
	}
	return ok
}

// A use is a place where a value is used.
type use struct {
	at   *Block // for a phi, the end of the predecessor
	user *Value // whose argument it is; nil: the end of at
	arg  int    // which argument, or which side of the comparison
}

// eachUse calls fn for each use.
func eachUse(f *Func, fn func(v *Value, u use)) {
	for _, b := range f.Blocks {
		for _, phi := range b.Phis {
			for i, a := range phi.Args {
				fn(a, use{b.Preds[i], phi, i})
			}
		}
		for _, v := range b.Values {
			for i, a := range v.Args {
				fn(a, use{b, v, i})
			}
		}
		if b.X != nil {
			fn(b.X, use{b, nil, 0})
		}
		if b.Y != nil {
			fn(b.Y, use{b, nil, 1})
		}
	}
}

// set replaces the value at this place by v.
func (u use) set(v *Value) {
	switch {
	case u.user != nil:
		u.user.Args[u.arg] = v
	case u.arg == 0:
		u.at.X = v
	default:
		u.at.Y = v
	}
}

func thread(f *Func, b *Block, dom *domTree, uses [][]use) {
	ways := [2][]int{} // indices of the predecessors, by the successor they go to
	for i := range b.Preds {
		way := 1
		if b.Cond.Holds(b.X.Args[i].Imm, b.Y.Imm) {
			way = 0
		}
		ways[way] = append(ways[way], i)
	}
	preds, phis := b.Preds, b.Phis
	at := func(v *Value, i int) *Value { // v as seen from predecessor i
		if v.Op == OpPhi && v.Block == b {
			return v.Args[i]
		}
		return v
	}
	succs := [2]*Block{b.Succs[0], b.Succs[1]}
	// Before any edge changes: uses has the indices of the arguments of phis.
	for w, s := range succs {
		if len(s.Preds) == 1 && len(ways[w]) > 0 {
			s.replicate(f, dom, phis, uses)
		}
	}
	for w, s := range succs {
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

// replicate gives s, whose only predecessor is b, phis that correspond to those of b, and uses them
// wherever s dominates.
func (s *Block) replicate(f *Func, dom *domTree, phis []*Value, uses [][]use) {
	for _, phi := range phis {
		n := f.NewValue(OpPhi, phi)
		n.Block, n.Pos = s, phi.Pos
		for _, u := range uses[phi.ID] {
			if dom.dominates(s, u.at) {
				u.set(n)
			}
		}
		s.Phis = append(s.Phis, n)
	}
}
