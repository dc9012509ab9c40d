package ir

// branches removes branches whose outcome is known, and the code that only the other outcome
// reached. The outcome of a jump is known if both operands are constants, or if a test that
// dominates it has compared the same value: after `if p == 0`, each of the two paths knows the
// result of `p != 0`. As blocks disappear, phis lose arguments and become constant in turn, so
// branches folds again until no more outcomes are known.
//
// Dominating tests decide only == and !=. The verifier follows those by itself: it keeps what it
// knows about a pointer when the pointer is spilled to the stack. What < and > prove about a number
// it forgets on the stack before 5.13 or so, so a bounds check that looks redundant here can be the
// one that the verifier needs.
func branches(f *Func) {
	for decide(f) {
		removeUnreachable(f)
		fold(f)
	}
}

// decide turns the conditional jumps of known outcome into unconditional ones.
func decide(f *Func) bool {
	known := outcomes(f)
	changed := false
	var taken []func()
	for _, b := range f.Blocks {
		if b.Kind != TermIf {
			continue
		}
		x, xc := b.X.IsConst()
		y, yc := b.Y.IsConst()
		switch {
		case xc && yc:
			way := 1
			if b.Cond.Holds(x, y) {
				way = 0
			}
			taken = append(taken, func() { b.take(way) })
		case b.Succs[0] == b.Succs[1] && len(b.Succs[0].Phis) == 0:
			taken = append(taken, func() { b.take(0) })
		case xc: // constants to the right, where instructions take them
			b.X, b.Y, b.Cond = b.Y, b.X, b.Cond.Swap()
			changed = true
		case yc:
			if way := known[b.ID]; way >= 0 {
				taken = append(taken, func() { b.take(way) })
			}
		}
	}
	for _, fn := range taken { // at the end: the facts describe the unmodified graph
		fn()
	}
	return changed || len(taken) > 0
}

// take replaces a conditional jump by a jump to Succs[way].
func (b *Block) take(way int) {
	gone := b.Succs[1-way]
	for i := len(gone.Preds) - 1; i >= 0; i-- {
		// If both edges of an If go to one block, the later of the two entries is the else edge.
		if gone.Preds[i] == b {
			if way == 1 && gone == b.Succs[1] {
				i = firstPred(gone, b)
			}
			gone.removePred(i)
			break
		}
	}
	b.Kind, b.X, b.Y, b.Succs = TermJump, nil, nil, []*Block{b.Succs[way]}
}

func firstPred(b, p *Block) int {
	for i, x := range b.Preds {
		if x == p {
			return i
		}
	}
	return -1
}

// facts holds what the paths to a block prove about the values that are tested there. It is
// computed on one walk down the dominator tree.
type facts struct {
	known []*fact // by the ID of the value
	undo  []learned
}

// A fact is what is known about a value on the path to a block.
type fact struct {
	equal   int64
	isEqual bool
	not     map[int64]int // values that it differs from, and how many tests say so
	bounds  []bound       // other tests
}

// A learned is a comparison that was learned about a value, with what was known before.
type learned struct {
	x *fact
	bound
	equal   int64
	isEqual bool
}

// A bound is a comparison with a number that is true.
type bound struct {
	cond Cond
	n    int64
}

// maxBounds is how many comparisons other than == and != are kept for a value.
const maxBounds = 8

// outcomes returns, by block ID, the index in Succs that a block's test is certain to take because
// a test that dominates it has compared the same value, or -1 if it is not known.
func outcomes(f *Func) []int {
	out := make([]int, f.nextBlk)
	for i := range out {
		out[i] = -1
	}
	k := &facts{known: make([]*fact, f.nextVal)}
	marks := []int{}
	dom := dominators(f)
	dom.walk(func(b *Block) {
		marks = append(marks, len(k.undo))
		if d := dom.parent(b); d != nil && len(b.Preds) == 1 && d == b.Preds[0] && d.Kind == TermIf && d.Y.Op == OpConst && d.Succs[0] != d.Succs[1] {
			c := d.Cond
			if b == d.Succs[1] {
				c = c.Not()
			}
			k.learn(d.X, bound{c, d.Y.Imm})
		}
		if b.Kind == TermIf && b.Y.Op == OpConst && b.X.Op != OpConst {
			if way, ok := k.decides(b); ok {
				out[b.ID] = way
			}
		}
	}, func(*Block) {
		mark := marks[len(marks)-1]
		marks = marks[:len(marks)-1]
		k.forget(mark)
	})
	return out
}

// learn records that a comparison is true, until it is forgotten.
func (k *facts) learn(v *Value, c bound) {
	x := k.known[v.ID]
	if x == nil {
		x = &fact{}
		k.known[v.ID] = x
	}
	was := learned{x, c, x.equal, x.isEqual}
	switch {
	case c.cond == EQ:
		x.equal, x.isEqual = c.n, true
	case c.cond == NE:
		if x.not == nil {
			x.not = map[int64]int{}
		}
		x.not[c.n]++
	case len(x.bounds) < maxBounds:
		x.bounds = append(x.bounds, c)
	default:
		return
	}
	k.undo = append(k.undo, was)
}

// forget restores what was known when mark comparisons had been learned.
func (k *facts) forget(mark int) {
	for len(k.undo) > mark {
		was := k.undo[len(k.undo)-1]
		k.undo = k.undo[:len(k.undo)-1]
		switch x := was.x; was.cond {
		case EQ:
			x.equal, x.isEqual = was.equal, was.isEqual
		case NE:
			x.not[was.n]--
		default:
			x.bounds = x.bounds[:len(x.bounds)-1]
		}
	}
}

// decides returns the index in Succs that b is certain to take, if that is known.
func (k *facts) decides(b *Block) (way int, ok bool) {
	x := k.known[b.X.ID]
	if x == nil || b.Cond != EQ && b.Cond != NE {
		return 0, false
	}
	y := b.Y.Imm
	equal, sure := false, x.not[y] > 0
	if x.isEqual {
		equal, sure = x.equal == y, true
	}
	for _, t := range x.bounds {
		sure = sure || !t.cond.Holds(y, t.n)
	}
	if !sure {
		return 0, false
	}
	if equal == (b.Cond == EQ) {
		return 0, true
	}
	return 1, true
}
