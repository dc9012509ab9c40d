package ir

// A domTree reports which blocks dominate which (Cooper, Harvey and Kennedy's iterative algorithm).
type domTree struct {
	num  []int // by block ID, the block's index in reverse postorder; -1: unreachable
	idom []int
	rpo  []*Block
	// pre and post are the times at which a walk down the tree enters and leaves each block.
	pre, post []int
	children  [][]int
}

// postorder returns the reachable blocks, each after its successors except along the back edges of
// loops.
func postorder(f *Func) []*Block {
	var out []*Block
	seen := make([]bool, f.nextBlk)
	// An explicit stack: a long chain of blocks must not exhaust the goroutine's.
	type frame struct {
		b *Block
		i int
	}
	stack := []frame{{f.Blocks[0], 0}}
	seen[f.Blocks[0].ID] = true
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.i < len(top.b.Succs) {
			s := top.b.Succs[top.i]
			top.i++
			if !seen[s.ID] {
				seen[s.ID] = true
				stack = append(stack, frame{s, 0})
			}
			continue
		}
		out = append(out, top.b)
		stack = stack[:len(stack)-1]
	}
	return out
}

// dominators computes the dominator tree of f.
func dominators(f *Func) *domTree {
	po := postorder(f)
	n := len(po)
	t := &domTree{num: make([]int, f.nextBlk), idom: make([]int, n), rpo: make([]*Block, n)}
	for i := range t.num {
		t.num[i] = -1
	}
	rpo := t.rpo
	for i, b := range po {
		rpo[n-1-i] = b
		t.num[b.ID] = n - 1 - i
	}
	for i := range t.idom {
		t.idom[i] = -1
	}
	t.idom[0] = 0
	up := ancestors{make([]int, n), make([]int, n)}
	for changed := true; changed; {
		changed = false
		for i := 1; i < n; i++ {
			d := -1
			for _, p := range rpo[i].Preds {
				j := t.num[p.ID]
				if j < 0 || t.idom[j] < 0 {
					continue
				}
				if d < 0 {
					d = j
					continue
				}
				d = up.meet(t.idom, d, j)
			}
			up.add(i, d)
			if d != t.idom[i] {
				t.idom[i] = d
				changed = true
			}
		}
	}
	t.number()
	return t
}

// ancestors makes it possible to climb the tree in growing steps (Myers, "An applicative
// random-access stack", 1983): the target of a long chain of comparisons has a predecessor at each
// depth.
type ancestors struct{ depth, jump []int }

// add makes p the parent of i.
func (a *ancestors) add(i, p int) {
	a.depth[i] = a.depth[p] + 1
	a.jump[i] = p
	if j := a.jump[p]; a.depth[p]-a.depth[j] == a.depth[j]-a.depth[a.jump[j]] {
		a.jump[i] = a.jump[j]
	}
}

// meet returns the last common ancestor of x and y.
func (a *ancestors) meet(parent []int, x, y int) int {
	if a.depth[x] < a.depth[y] {
		x, y = y, x
	}
	for a.depth[x] > a.depth[y] {
		if j := a.jump[x]; a.depth[j] >= a.depth[y] {
			x = j
		} else {
			x = parent[x]
		}
	}
	for x != y {
		if a.jump[x] != a.jump[y] {
			x, y = a.jump[x], a.jump[y]
		} else {
			x, y = parent[x], parent[y]
		}
	}
	return x
}

// number numbers the tree, so that Dominates takes constant time even in a deep tree.
func (t *domTree) number() {
	n := len(t.rpo)
	t.pre, t.post, t.children = make([]int, n), make([]int, n), make([][]int, n)
	for i := 1; i < n; i++ {
		t.children[t.idom[i]] = append(t.children[t.idom[i]], i)
	}
	clock := 0
	t.walk(func(b *Block) { t.pre[t.at(b)] = clock; clock++ }, func(b *Block) { t.post[t.at(b)] = clock; clock++ })
}

// walk walks the tree from the entry. It calls enter with each block before those that the block
// dominates, and leave after them.
func (t *domTree) walk(enter, leave func(*Block)) {
	type frame struct{ at, next int }
	enter(t.rpo[0])
	stack := []frame{{0, 0}}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.next < len(t.children[top.at]) {
			c := t.children[top.at][top.next]
			top.next++
			enter(t.rpo[c])
			stack = append(stack, frame{c, 0})
			continue
		}
		leave(t.rpo[top.at])
		stack = stack[:len(stack)-1]
	}
}

// reachable reports whether b can be reached from the entry.
func (t *domTree) reachable(b *Block) bool { return t.at(b) >= 0 }

// at returns the index of a block in reverse postorder, or -1 if it is unreachable. A block that
// was added after the tree was computed counts as unreachable.
func (t *domTree) at(b *Block) int {
	if b.ID >= len(t.num) {
		return -1
	}
	return t.num[b.ID]
}

// dominates reports whether every path to b goes through a.
func (t *domTree) dominates(a, b *Block) bool {
	i, j := t.at(a), t.at(b)
	if i < 0 || j < 0 {
		return false
	}
	return t.pre[i] <= t.pre[j] && t.post[j] <= t.post[i]
}

// parent returns the immediate dominator of b: the last block before b that every path to b goes
// through. It is nil for the entry.
func (t *domTree) parent(b *Block) *Block {
	if i := t.at(b); i > 0 {
		return t.rpo[t.idom[i]]
	}
	return nil
}

// removeUnreachable removes the blocks that cannot be reached, and their edges.
func removeUnreachable(f *Func) {
	live := make([]bool, f.nextBlk)
	for _, b := range postorder(f) {
		live[b.ID] = true
	}
	out := f.Blocks[:0]
	for _, b := range f.Blocks {
		if !live[b.ID] {
			continue
		}
		out = append(out, b)
		for i := 0; i < len(b.Preds); {
			if live[b.Preds[i].ID] {
				i++
				continue
			}
			b.removePred(i)
		}
	}
	f.Blocks = out
}
