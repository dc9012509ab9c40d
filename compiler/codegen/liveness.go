package codegen

// liveness computes which registers hold a value that is still wanted at the start and the end of each block.
func liveness(f *function) {
	n := f.nregs
	use := make([]bitset, len(f.blocks))
	def := make([]bitset, len(f.blocks))
	for k, b := range f.blocks {
		use[k], def[k] = newBitset(n), newBitset(n)
		b.liveIn, b.liveOut = newBitset(n), newBitset(n)
		for i := range b.insts {
			b.insts[i].uses(func(r reg) {
				if !def[k].has(r) {
					use[k].add(r)
				}
			})
			b.insts[i].defs(func(r reg) { def[k].add(r) })
		}
	}
	number := make(map[*block]int, len(f.blocks))
	for k, b := range f.blocks {
		number[b] = k
	}
	order := postorder(f)
	for changed := true; changed; {
		changed = false
		for _, b := range order {
			k := number[b]
			for _, s := range b.succs {
				changed = b.liveOut.or(s.liveIn) || changed
			}
			for w := range b.liveIn {
				in := use[k][w] | b.liveOut[w]&^def[k][w]
				if in != b.liveIn[w] {
					b.liveIn[w] = in
					changed = true
				}
			}
		}
	}
}

// postorder lists the blocks, each after its successors where there is no loop, so that what is wanted is known in a few rounds.
func postorder(f *function) []*block {
	var out []*block
	seen := map[*block]bool{}
	type frame struct {
		b *block
		i int
	}
	for _, root := range f.blocks {
		if seen[root] {
			continue
		}
		seen[root] = true
		stack := []frame{{root, 0}}
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if top.i == len(top.b.succs) {
				out = append(out, top.b)
				stack = stack[:len(stack)-1]
				continue
			}
			s := top.b.succs[top.i]
			top.i++
			if !seen[s] {
				seen[s] = true
				stack = append(stack, frame{s, 0})
			}
		}
	}
	return out
}

// backward walks a block's instructions from its end with the set of registers that live behind each.
func backward(b *block, fn func(i *inst, liveAfter bitset)) {
	live := append(bitset{}, b.liveOut...)
	for k := len(b.insts) - 1; k >= 0; k-- {
		i := &b.insts[k]
		fn(i, live)
		i.defs(live.del)
		i.uses(live.add)
	}
}
