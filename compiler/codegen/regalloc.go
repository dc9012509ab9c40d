package codegen

import (
	"cmp"
	"container/heap"
	"fmt"
	"math"
	"slices"
)

// Registers are allocated as by Chaitin and Briggs: build the graph of registers that hold values
// at the same time, merge the two ends of a copy if that cannot make the graph harder to colour,
// and colour the graph with ten colours. If that is not possible, spill the cheapest value to the
// stack and start again. Machine registers are nodes that already have their colour. A call writes
// R0 to R5, so values that live across it end up in R6 to R9.

// maxRounds bounds the rounds of spilling; each round removes at least one register from the graph.
const maxRounds = 64

// MaxValues bounds the virtual registers of a function, because the time grows faster than their
// number.
const MaxValues = 20000

// allocate replaces virtual registers by machine registers.
func allocate(f *function, canceled func() bool) error {
	if f.nregs > MaxValues {
		return fmt.Errorf("%w: it computes %d values; the limit is %d", ErrTooLarge, f.nregs, MaxValues)
	}
	for round := 0; round < maxRounds; round++ {
		if canceled != nil && canceled() {
			return ErrCanceled
		}
		liveness(f)
		// Fail as soon as that is certain: each round takes long when so many values are live.
		if need := 8 * (mostLive(f) - colours); need > StackLimit {
			return &StackError{Func: f.name, Need: need, Live: true}
		}
		g := buildGraph(f)
		g.coalesce()
		spilled := g.colour()
		if len(spilled) == 0 {
			g.rewrite()
			return nil
		}
		spill(f, g, spilled)
	}
	return fmt.Errorf("codegen: %s does not fit in the registers after %d rounds of spilling", f.name, maxRounds)
}

// mostLive returns the largest number of registers that hold values at the same time.
func mostLive(f *function) int {
	most := 0
	live := newRegSet(f.nregs)
	for _, b := range f.blocks {
		f.backward(b, live, func(*inst) { most = max(most, len(live.list)) })
		n := 0
		b.liveIn.each(func(int) { n++ })
		most = max(most, n)
	}
	return most
}

type graph struct {
	f       *function
	edges   pairSet   // of virtual registers
	machine []uint16  // by virtual register, the machine registers that it must not get
	adj     [][]reg   // may include nodes that have been merged since
	deg     []int     // how many of the neighbours still exist
	cost    []float64 // of spilling the register
	moves   []move
	alias   []reg // the node that this one was merged into
	col     []reg
}

type move struct {
	dst, src reg
	weight   float64
	apart    bool // must not be merged
}

func buildGraph(f *function) *graph {
	n := f.nregs
	g := &graph{f: f, edges: newPairSet(4 * n), machine: make([]uint16, n), adj: make([][]reg, n), deg: make([]int, n), cost: make([]float64, n), alias: make([]reg, n), col: make([]reg, n)}
	for r := range g.alias {
		g.alias[r] = reg(r)
		g.col[r] = none
		if reg(r) < colours {
			g.col[r] = reg(r)
		}
	}
	for a := r0; a < colours; a++ {
		for b := r0; b < a; b++ {
			g.link(a, b)
		}
	}
	live := newRegSet(n)
	var buf, buf2 operands
	for _, b := range f.blocks {
		w := math.Pow(10, float64(min(b.loop, 6)))
		if b.cold {
			w /= 100
		}
		f.backward(b, live, func(i *inst) {
			src := none
			if i.isMove() {
				src = i.a
			}
			for _, d := range i.defs(buf[:0]) {
				for _, r := range live.list {
					if r != rfp && r != src {
						g.connect(d, r)
					}
				}
				g.cost[d] += w
			}
			for _, r := range i.uses(buf2[:0]) {
				g.cost[r] += w
			}
			if i.isMove() && i.a != rfp {
				g.moves = append(g.moves, move{i.dst, i.a, w, i.apart})
			}
		})
	}
	for _, r := range f.held {
		g.cost[r] = math.Inf(1)
	}
	return g
}

// connect records that two registers hold values at the same time. Machine registers are connected
// to each other from the start.
func (g *graph) connect(a, b reg) {
	if a > b {
		a, b = b, a
	}
	switch {
	case a == b, b < virtual:
		return
	case a < virtual:
		if g.machine[b]>>a&1 != 0 {
			return
		}
		g.machine[b] |= 1 << a
	case !g.edges.add(a, b):
		return
	}
	g.link(a, b)
}

func (g *graph) link(a, b reg) {
	g.adj[a] = append(g.adj[a], b)
	g.adj[b] = append(g.adj[b], a)
	g.deg[a]++
	g.deg[b]++
}

func (g *graph) interfere(a, b reg) bool {
	if a > b {
		a, b = b, a
	}
	switch {
	case b < virtual:
		return a != b
	case a < virtual:
		return g.machine[b]>>a&1 != 0
	}
	return g.edges.has(a, b)
}

func (g *graph) find(r reg) reg {
	for g.alias[r] != r {
		r = g.alias[r]
	}
	return r
}

// maxAdjacent bounds the neighbours that are examined before two registers are merged. Where a
// value lives throughout a long function, a redundant copy is cheaper than the work to avoid it.
const maxAdjacent = 1000

// coalesce merges the ends of copies, the most frequent first, if the merged node stays easy to
// colour.
func (g *graph) coalesce() {
	slices.SortStableFunc(g.moves, func(x, y move) int { return cmp.Compare(y.weight, x.weight) })
	open := slices.DeleteFunc(slices.Clone(g.moves), func(m move) bool { return m.apart })
	for again := true; again; {
		again = false
		rest := open[:0]
		for _, m := range open {
			a, b := g.find(m.dst), g.find(m.src)
			if b < virtual {
				a, b = b, a
			}
			if a == b || b < virtual || g.interfere(a, b) {
				continue // never possible
			}
			if a >= virtual && len(g.adj[a])+len(g.adj[b]) > maxAdjacent || a < virtual && !g.george(a, b) || a >= virtual && !g.briggs(a, b) {
				rest = append(rest, m)
				continue
			}
			g.merge(a, b)
			again = true
		}
		open = rest
	}
}

// hard reports whether a node may fail to get a colour: it is a machine register, or has at least
// as many neighbours as there are colours.
func (g *graph) hard(r reg) bool { return r < virtual || g.deg[r] >= colours }

// george reports whether merging b into machine register a is safe: each neighbour of b is easy to
// colour or also a neighbour of a.
func (g *graph) george(a, b reg) bool {
	for _, n := range g.adj[b] {
		if n >= virtual && g.alias[n] == n && g.hard(n) && !g.interfere(n, a) {
			return false
		}
	}
	return true
}

// briggs reports whether merging is safe: the result has fewer than ten neighbours that are hard to
// colour.
func (g *graph) briggs(a, b reg) bool {
	hard := 0
	for _, n := range g.adj[a] {
		if g.alias[n] == n && g.hard(n) {
			if hard++; hard >= colours {
				return false
			}
		}
	}
	for _, n := range g.adj[b] {
		if g.alias[n] == n && g.hard(n) && !g.interfere(n, a) {
			if hard++; hard >= colours {
				return false
			}
		}
	}
	return true
}

func (g *graph) merge(a, b reg) {
	g.alias[b] = a
	g.cost[a] += g.cost[b]
	for _, n := range g.adj[b] {
		if g.alias[n] == n {
			g.connect(a, n)
			g.deg[n]-- // b is gone
		}
	}
}

// colour assigns a register to each node, and returns the registers to spill.
func (g *graph) colour() []reg {
	stack := g.simplify()
	hints := g.hints()
	var saved [colours]bool
	var spilled []reg
	free := func(r reg) reg {
		var taken [colours]bool
		for _, n := range g.adj[r] {
			if c := g.col[n]; g.alias[n] == n && c != none {
				taken[c] = true
			}
		}
		return pick(taken, hints[r], g)
	}
	var late []reg // wait to see which callee-saved registers are in use anyway
	for k := len(stack) - 1; k >= 0; k-- {
		r := stack[k]
		switch c := free(r); {
		case c == none:
			spilled = append(spilled, r)
		case c >= firstSaved && !saved[c] && g.cost[r] < seldom:
			late = append(late, r)
		default:
			g.col[r] = c
			saved[c] = true
		}
	}
	for _, r := range late {
		if c := free(r); c != none && (c < firstSaved || saved[c]) {
			g.col[r] = c
		} else {
			spilled = append(spilled, r)
		}
	}
	return spilled
}

// seldom is the spill cost below which a register is not worth an otherwise unused callee-saved
// one: the program saves and restores that register each time it runs, even if it does not reach
// the blocks that need it.
const seldom = 0.5

// simplify removes the nodes from the graph one by one: easy ones first, in the order of their
// numbers; if none is easy, the one that is cheapest to spill. They get their colours in reverse
// order.
func (g *graph) simplify() []reg {
	deg := make([]int, len(g.adj))
	there := make([]bool, len(g.adj))
	var easy regHeap
	var hard []reg
	left := 0
	for r := virtual; int(r) < len(g.adj); r++ {
		if g.alias[r] != r || len(g.adj[r]) == 0 && g.cost[r] == 0 {
			continue
		}
		there[r], deg[r] = true, g.deg[r]
		left++
		if deg[r] < colours {
			easy = append(easy, r) // in order, which makes it a heap
		} else {
			hard = append(hard, r)
		}
	}
	var stack []reg
	for ; left > 0; left-- {
		best := none
		for best == none && len(easy) > 0 {
			if r := heap.Pop(&easy).(reg); there[r] {
				best = r
			}
		}
		if best == none {
			hard = slices.DeleteFunc(hard, func(r reg) bool { return !there[r] })
			for _, r := range hard {
				if best == none || g.cost[r]/float64(deg[r]) < g.cost[best]/float64(deg[best]) {
					best = r
				}
			}
		}
		there[best] = false
		stack = append(stack, best)
		for _, n := range g.adj[best] {
			deg[n]--
			if there[n] && deg[n] == colours-1 {
				heap.Push(&easy, n)
			}
		}
	}
	return stack
}

// A regHeap is a min-heap of registers.
type regHeap []reg

func (h regHeap) Len() int           { return len(h) }
func (h regHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h regHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *regHeap) Push(x any)        { *h = append(*h, x.(reg)) }
func (h *regHeap) Pop() any {
	r := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return r
}

// hints returns for each node the other ends of copies that could not be merged.
func (g *graph) hints() [][]reg {
	h := make([][]reg, len(g.adj))
	for _, m := range g.moves {
		a, b := g.find(m.dst), g.find(m.src)
		if a != b {
			h[a] = append(h[a], b)
			h[b] = append(h[b], a)
		}
	}
	return h
}

// order is the order in which free registers are assigned: caller-saved ones first.
var order = [colours]reg{1, 2, 3, 4, 5, 0, 6, 7, 8, 9}

func pick(taken [colours]bool, hints []reg, g *graph) reg {
	for _, h := range hints {
		if c := g.col[h]; c != none && !taken[c] {
			return c
		}
	}
	for _, c := range order {
		if !taken[c] {
			return c
		}
	}
	return none
}

// rewrite replaces virtual registers by machine registers, and drops copies of a register to
// itself.
func (g *graph) rewrite() {
	get := func(r reg) reg {
		if r == none || r < virtual {
			return r
		}
		return g.col[g.find(r)]
	}
	for _, b := range g.f.blocks {
		out := b.insts[:0]
		for _, i := range b.insts {
			i.dst, i.a, i.b = get(i.dst), get(i.a), get(i.b)
			if i.isMove() && i.dst == i.a {
				continue
			}
			out = append(out, i)
		}
		b.insts = out
	}
}

// spill moves registers to the stack; registers that never live at the same time share eight bytes.
// Each instruction that uses a spilled register gets a short-lived register that is loaded before
// it and stored after it.
func spill(f *function, g *graph, regs []reg) {
	slots := make([]int, f.nregs)
	for r := range slots {
		slots[r] = -1
	}
	most := f.spills
	for _, r := range regs {
		taken := map[int]bool{}
		for _, n := range g.adj[r] {
			if s := slots[n]; s >= 0 {
				taken[s] = true
			}
		}
		slot := f.spills
		for taken[slot] {
			slot++
		}
		slots[r] = slot
		most = max(most, slot+1)
	}
	f.spills = most
	for _, b := range f.blocks {
		out := make([]inst, 0, len(b.insts))
		for k := range b.insts {
			out = spillIn(f, slots, &b.insts[k], out)
		}
		b.insts = out
	}
}

// spillIn appends an instruction to out, with the loads and stores of its operands that are in
// slots.
func spillIn(f *function, slots []int, i *inst, out []inst) []inst {
	var buf1, buf2, buf3 operands
	kept := func(r reg) bool { return slots[r] < 0 }
	used := slices.DeleteFunc(i.uses(buf1[:0]), kept)
	defined := slices.DeleteFunc(i.defs(buf2[:0]), kept)
	if len(used) == 0 && len(defined) == 0 {
		return append(out, *i)
	}
	ins := *i
	regs := append(append(buf3[:0], used...), defined...)
	var short operands // the replacement for each register
	for k, r := range regs {
		if first := slices.Index(regs, r); first < k {
			short[k] = short[first]
			continue
		}
		t := f.newReg()
		f.held = append(f.held, t)
		short[k] = t
		for _, p := range []*reg{&ins.dst, &ins.a, &ins.b} {
			if *p == r {
				*p = t
			}
		}
	}
	for k, r := range used {
		if slices.Index(used, r) == k {
			out = append(out, inst{op: mLoad, dst: short[k], a: rfp, b: none, spill: slots[r], size: 8, pos: i.pos})
		}
	}
	out = append(out, ins)
	for k, r := range defined {
		out = append(out, inst{op: mStore, dst: none, a: rfp, b: short[len(used)+k], spill: slots[r], size: 8, pos: i.pos})
	}
	return out
}
