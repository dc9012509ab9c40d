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
	for changed := true; changed; {
		changed = false
		for k := len(f.blocks) - 1; k >= 0; k-- {
			b := f.blocks[k]
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
