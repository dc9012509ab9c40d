package compiler

import "slices"

// Known conditions narrow types and cut dead code. The checker follows control flow through a function, and keeps for each
// place which locals are assigned on every path to it and which optionals cannot be None there. A condition adds facts on each
// of its two branches; where it is constant, the other branch is never checked, so that code for a captured None, or for a
// default argument, need not make sense of what it never sees.

// facts are the locals that a condition, when it comes out one way, shows not to be None.
type facts struct {
	locals []*local
	never  bool // it never comes out this way
}

func shows(v *local) facts { return facts{locals: []*local{v}} }

func (f facts) equal(g facts) bool { return f.never == g.never && slices.Equal(f.locals, g.locals) }

// flow is what is known at one place of a function.
type flow struct {
	assigned, notNone map[*local]bool
	when              map[*local]implied // of locals that hold the outcome of a condition
	dead              bool               // nothing leads here
}

// implied is what the truth of a local says of others.
type implied struct{ yes, no facts }

// loopFlow is what is known where a loop is left by break, and where continue goes on.
type loopFlow struct{ brk, cont *flow }

func newFlow() *flow {
	return &flow{assigned: map[*local]bool{}, notNone: map[*local]bool{}, when: map[*local]implied{}}
}

// noWay is the flow of a place that nothing leads to.
func noWay() *flow {
	f := newFlow()
	f.dead = true
	return f
}

func (f *flow) clone() *flow {
	g := newFlow()
	g.dead = f.dead
	for v := range f.assigned {
		g.assigned[v] = true
	}
	for v := range f.notNone {
		g.notNone[v] = true
	}
	for v, w := range f.when {
		g.when[v] = w
	}
	return g
}

// with is f where the facts hold too.
func (f *flow) with(fs facts) *flow {
	g := f.clone()
	g.dead = g.dead || fs.never
	for _, v := range fs.locals {
		g.notNone[v] = true
	}
	return g
}

// forget drops what is known of a local that gets another value.
func (f *flow) forget(v *local) {
	delete(f.notNone, v)
	for b, w := range f.when {
		if b == v || slices.Contains(w.yes.locals, v) || slices.Contains(w.no.locals, v) {
			delete(f.when, b)
		}
	}
}

// meet is what is known where two paths come together.
func meet(a, b *flow) *flow {
	if a.dead {
		return b
	}
	if b.dead {
		return a
	}
	c := newFlow()
	for v := range a.assigned {
		if b.assigned[v] {
			c.assigned[v] = true
		}
	}
	for v := range a.notNone {
		if b.notNone[v] {
			c.notNone[v] = true
		}
	}
	for v, w := range a.when {
		if x, ok := b.when[v]; ok && w.yes.equal(x.yes) && w.no.equal(x.no) {
			c.when[v] = w
		}
	}
	return c
}

// both returns what is known where either a or b holds.
func both(a, b facts) facts {
	if a.never {
		return b
	}
	if b.never {
		return a
	}
	var out facts
	for _, v := range a.locals {
		if slices.Contains(b.locals, v) {
			out.locals = append(out.locals, v)
		}
	}
	return out
}

// union returns what is known where a and b hold.
func union(a, b facts) facts {
	return facts{append(slices.Clone(a.locals), b.locals...), a.never || b.never}
}
