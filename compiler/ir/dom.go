package ir

// A DomTree answers which block dominates which (Cooper, Harvey and Kennedy's iterative algorithm).
type DomTree struct {
	num  map[*Block]int // reverse postorder; absent: not reachable
	idom []int
	rpo  []*Block
}

// Postorder lists the blocks that can be reached, each after its successors where there is no loop.
func Postorder(f *Func) []*Block {
	var out []*Block
	seen := map[*Block]bool{}
	// an explicit stack: a long chain of blocks must not exhaust the goroutine's
	type frame struct {
		b *Block
		i int
	}
	stack := []frame{{f.Blocks[0], 0}}
	seen[f.Blocks[0]] = true
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.i < len(top.b.Succs) {
			s := top.b.Succs[top.i]
			top.i++
			if !seen[s] {
				seen[s] = true
				stack = append(stack, frame{s, 0})
			}
			continue
		}
		out = append(out, top.b)
		stack = stack[:len(stack)-1]
	}
	return out
}

// Dominators computes the dominator tree of f.
func Dominators(f *Func) *DomTree {
	po := Postorder(f)
	n := len(po)
	t := &DomTree{num: make(map[*Block]int, n), idom: make([]int, n), rpo: make([]*Block, n)}
	rpo := t.rpo
	for i, b := range po {
		rpo[n-1-i] = b
		t.num[b] = n - 1 - i
	}
	for i := range t.idom {
		t.idom[i] = -1
	}
	t.idom[0] = 0
	for changed := true; changed; {
		changed = false
		for i := 1; i < n; i++ {
			d := -1
			for _, p := range rpo[i].Preds {
				j, ok := t.num[p]
				if !ok || t.idom[j] < 0 {
					continue
				}
				if d < 0 {
					d = j
					continue
				}
				for d != j {
					for d > j {
						d = t.idom[d]
					}
					for j > d {
						j = t.idom[j]
					}
				}
			}
			if d != t.idom[i] {
				t.idom[i] = d
				changed = true
			}
		}
	}
	return t
}

// Reachable tells whether control can get to b.
func (t *DomTree) Reachable(b *Block) bool { _, ok := t.num[b]; return ok }

// Dominates tells whether every way to b goes through a.
func (t *DomTree) Dominates(a, b *Block) bool {
	i, ok := t.num[a]
	j, ok2 := t.num[b]
	if !ok || !ok2 {
		return false
	}
	for j > i {
		j = t.idom[j]
	}
	return i == j
}

// Idom is the last block that every way to b goes through before b; nil for the entry.
func (t *DomTree) Idom(b *Block) *Block {
	if i, ok := t.num[b]; ok && i > 0 {
		return t.rpo[t.idom[i]]
	}
	return nil
}
