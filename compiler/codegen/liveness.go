package codegen

// liveness computes which registers hold a live value at the start and the end of each block. Most
// registers live in one block only; the sets have bits for the others alone (f.global), so that the
// size of a set does not grow with the function.
func liveness(f *function) {
	f.findGlobal()
	n := len(f.global)
	sets := newBitsets(4*len(f.blocks), n)
	var buf operands
	for k, b := range f.blocks {
		b.num = k
		use, def := sets[4*k], sets[4*k+1]
		b.liveIn, b.liveOut = sets[4*k+2], sets[4*k+3]
		for i := range b.insts {
			for _, r := range b.insts[i].uses(buf[:0]) {
				if g := f.bit[r]; g >= 0 && !def.has(g) {
					use.add(g)
				}
			}
			for _, r := range b.insts[i].defs(buf[:0]) {
				if g := f.bit[r]; g >= 0 {
					def.add(g)
				}
			}
		}
	}
	order := postorder(f)
	for changed := true; changed; {
		changed = false
		for _, b := range order {
			use, def := sets[4*b.num], sets[4*b.num+1]
			for _, s := range b.succs {
				changed = b.liveOut.or(s.liveIn) || changed
			}
			for w := range b.liveIn {
				in := use[w] | b.liveOut[w]&^def[w]
				if in != b.liveIn[w] {
					b.liveIn[w] = in
					changed = true
				}
			}
		}
	}
}

// findGlobal finds the registers that a block uses before it defines them.
func (f *function) findGlobal() {
	f.global, f.bit = nil, make([]int, f.nregs)
	defined := make([]int, f.nregs) // the last block that defines the register, counted from 1
	for r := range f.bit {
		f.bit[r] = -1
	}
	var buf operands
	for k, b := range f.blocks {
		for i := range b.insts {
			for _, r := range b.insts[i].uses(buf[:0]) {
				if defined[r] != k+1 && f.bit[r] < 0 {
					f.bit[r] = len(f.global)
					f.global = append(f.global, r)
				}
			}
			for _, r := range b.insts[i].defs(buf[:0]) {
				defined[r] = k + 1
			}
		}
	}
}

// postorder returns the blocks, each after its successors except along back edges, so that liveness
// converges in a few rounds.
func postorder(f *function) []*block {
	out := make([]*block, 0, len(f.blocks))
	seen := make([]bool, len(f.blocks))
	type frame struct {
		b *block
		i int
	}
	for _, root := range f.blocks {
		if seen[root.num] {
			continue
		}
		seen[root.num] = true
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
			if !seen[s.num] {
				seen[s.num] = true
				stack = append(stack, frame{s, 0})
			}
		}
	}
	return out
}

// backward calls fn with a block's instructions from its end; live contains the registers that are
// live after the instruction. live is empty before and after.
func (f *function) backward(b *block, live *regSet, fn func(i *inst)) {
	b.liveOut.each(func(g int) { live.add(f.global[g]) })
	var buf operands
	for k := len(b.insts) - 1; k >= 0; k-- {
		i := &b.insts[k]
		fn(i)
		for _, r := range i.defs(buf[:0]) {
			live.del(r)
		}
		for _, r := range i.uses(buf[:0]) {
			live.add(r)
		}
	}
	live.clear()
}

// A regSet is a set of registers that can be listed in time proportional to its size (Briggs and
// Torczon, "An efficient representation for sparse sets", 1993).
type regSet struct {
	list []reg
	at   []int32 // by register, its index in list if it is in the set
}

func newRegSet(n int) *regSet { return &regSet{at: make([]int32, n)} }

func (s *regSet) has(r reg) bool {
	i := int(s.at[r])
	return i < len(s.list) && s.list[i] == r
}

func (s *regSet) add(r reg) {
	if !s.has(r) {
		s.at[r] = int32(len(s.list))
		s.list = append(s.list, r)
	}
}

func (s *regSet) del(r reg) {
	if s.has(r) {
		last := s.list[len(s.list)-1]
		s.list[s.at[r]], s.at[last] = last, s.at[r]
		s.list = s.list[:len(s.list)-1]
	}
}

func (s *regSet) clear() { s.list = s.list[:0] }
