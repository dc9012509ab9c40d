package ir

// Branches takes away the branches that never go one of their two ways, and what only that way led to. What a jump decides on is
// known where both sides are constants, and where a test that dominates it has compared the same value: behind `if p == 0`
// each of the two ways knows what `p != 0` gives. As blocks go, phis lose arguments and become constant in their turn, so
// it folds again until nothing is decided any more.
//
// By dominating tests only == and != are decided. The verifier follows those by itself (it keeps what it knows of a
// pointer when that goes to the stack). What < and > prove of a number it forgets on the stack before 5.13 or so: a bounds check that
// looks idle here can be the one that it needs.
func Branches(f *Func) {
	for decide(f) {
		RemoveUnreachable(f)
		Fold(f)
	}
}

// decide turns the conditional jumps of known outcome into plain ones.
func decide(f *Func) bool {
	known := newFacts(f)
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
			if way, ok := known.decides(b, y); ok {
				taken = append(taken, func() { b.take(way) })
			}
		}
	}
	for _, fn := range taken { // at the end: the facts speak of the graph as it was
		fn()
	}
	return changed || len(taken) > 0
}

// take makes a conditional jump go one way.
func (b *Block) take(way int) {
	gone := b.Succs[1-way]
	for i := len(gone.Preds) - 1; i >= 0; i-- {
		// an If whose two edges go to one block: the later of the two entries is the else edge
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

// facts are the tests of values against constants.
type facts struct {
	dom   *DomTree
	tests map[*Value][]*Block
}

func newFacts(f *Func) *facts {
	k := &facts{Dominators(f), map[*Value][]*Block{}}
	for _, b := range f.Blocks {
		if b.Kind == TermIf && b.Y.Op == OpConst {
			k.tests[b.X] = append(k.tests[b.X], b)
		}
	}
	return k
}

// decides tells which way b, which compares with y, goes for certain.
func (k *facts) decides(b *Block, y int64) (way int, ok bool) {
	if b.Cond != EQ && b.Cond != NE {
		return 0, false
	}
	for _, t := range k.tests[b.X] {
		for i, s := range t.Succs {
			if t == b || len(s.Preds) != 1 || !k.dom.Dominates(s, b) {
				continue
			}
			c, n := t.Cond, t.Y.Imm
			if i == 1 {
				c = c.Not()
			}
			equal, sure := false, false // whether X is y
			switch {
			case c == EQ:
				equal, sure = n == y, true
			case !c.Holds(y, n):
				equal, sure = false, true
			}
			if sure && equal == (b.Cond == EQ) {
				return 0, true
			}
			if sure {
				return 1, true
			}
		}
	}
	return 0, false
}
