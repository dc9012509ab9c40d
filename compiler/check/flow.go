package check

import (
	"maps"
	"math/big"
	"slices"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// Known conditions narrow types and remove dead code. The checker follows control flow through a
// function. For each point it keeps which locals are assigned on every path to it, which optionals
// cannot be None there, and which ints cannot be negative. A condition adds facts on each of its
// two branches. If the condition is constant, the other branch is never checked, so code for a
// captured None or for a default argument may be invalid for the values it never sees.

// A fact states that a local is not None, or that a local or an argument of the event is not
// negative.
type fact struct {
	v      *tree.Local
	arg    *abi.Field // if v is nil
	index  int        // of the element of arg
	nonNeg bool
}

// facts are the facts that hold if a condition has one particular outcome.
type facts struct {
	known []fact
	never bool // the condition never has this outcome
}

func notNone(v *tree.Local) facts { return facts{known: []fact{{v: v}}} }

func (f facts) equal(g facts) bool { return f.never == g.never && slices.Equal(f.known, g.known) }

func (f facts) about(v *tree.Local) bool {
	return slices.ContainsFunc(f.known, func(k fact) bool { return k.v == v })
}

// nonNeg returns the fact that x is not negative. It returns false if no such fact is kept for x.
func nonNeg(x tree.Expr) (fact, bool) {
	switch x := x.(type) {
	case *tree.VarExpr:
		return fact{v: x.Local, nonNeg: true}, true
	case *tree.NarrowExpr:
		return nonNeg(x.X)
	case *tree.ArgExpr:
		return fact{arg: x.Field, index: x.Index, nonNeg: true}, x.Field.Kind == abi.FieldInt || x.Field.Kind == abi.FieldArray
	}
	return fact{}, false
}

// narrowInt returns t, the type of the int x, narrowed by the facts known here.
func (c *Checker) narrowInt(x tree.Expr, t *types.Type) *types.Type {
	if k, ok := nonNeg(x); ok && t.Kind == types.Int && !t.NonNeg && c.flow.known[k] {
		return &types.Type{Kind: types.Int, NonNeg: true, Wraps: true, Addr: t.Addr}
	}
	return t
}

// signFacts returns which of x and y are known not to be negative if x op y is true.
func signFacts(op syntax.Token, x, y tree.Expr) (out []fact) {
	switch op {
	case syntax.LT, syntax.LE:
		return signFacts(map[syntax.Token]syntax.Token{syntax.LT: syntax.GT, syntax.LE: syntax.GE}[op], y, x)
	case syntax.EQL:
		return append(signFacts(syntax.GE, x, y), signFacts(syntax.GE, y, x)...)
	case syntax.GT, syntax.GE:
		least, isConst := tree.ConstInt(y)
		if x.Type().Kind == types.Int && y.Type().IsInt() && (tree.NeverNegative(y) || isConst && op == syntax.GT && least.Cmp(big.NewInt(-1)) == 0) {
			if k, ok := nonNeg(x); ok {
				return []fact{k}
			}
		}
	}
	return nil
}

var negated = map[syntax.Token]syntax.Token{syntax.LT: syntax.GE, syntax.GE: syntax.LT, syntax.GT: syntax.LE, syntax.LE: syntax.GT, syntax.EQL: syntax.NEQ, syntax.NEQ: syntax.EQL}

// flow is what is known at one point of a function.
type flow struct {
	assigned map[*tree.Local]bool
	known    map[fact]bool
	when     map[*tree.Local]implied     // facts implied by locals that hold the outcome of a condition
	chosen   map[*tree.Local]*chosenExpr // what locals stand for that no value has; nil: an ordinary value
	dead     bool                        // unreachable
}

// implied has the facts that follow from a local being true or false.
type implied struct{ yes, no facts }

// loopFlow is what is known at the break and continue statements of a loop.
type loopFlow struct{ brk, cont *flow }

func newFlow() *flow {
	return &flow{assigned: map[*tree.Local]bool{}, known: map[fact]bool{}, when: map[*tree.Local]implied{}, chosen: map[*tree.Local]*chosenExpr{}}
}

// unreachable returns the flow of a point that no path leads to.
func unreachable() *flow {
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
	for k := range f.known {
		g.known[k] = true
	}
	for v, w := range f.when {
		g.when[v] = w
	}
	maps.Copy(g.chosen, f.chosen)
	return g
}

// inCall returns f at the start of a called function. Calls with arguments of the same types share
// one body, so facts about the event that only this caller has tested are dropped.
func (f *flow) inCall() *flow {
	g := f.clone()
	for k := range g.known {
		if k.arg != nil {
			delete(g.known, k)
		}
	}
	return g
}

// with returns f extended by the facts fs.
func (f *flow) with(fs facts) *flow {
	g := f.clone()
	g.dead = g.dead || fs.never
	for _, k := range fs.known {
		g.known[k] = true
	}
	return g
}

// forget drops the facts about a local that is assigned another value.
func (f *flow) forget(v *tree.Local) {
	delete(f.chosen, v)
	delete(f.known, fact{v: v})
	delete(f.known, fact{v: v, nonNeg: true})
	for b, w := range f.when {
		if b == v || w.yes.about(v) || w.no.about(v) {
			delete(f.when, b)
		}
	}
}

// joinFlows returns what is known where two paths meet.
func joinFlows(a, b *flow) *flow {
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
	for k := range a.known {
		if b.known[k] {
			c.known[k] = true
		}
	}
	for v, w := range a.when {
		if x, ok := b.when[v]; ok && w.yes.equal(x.yes) && w.no.equal(x.no) {
			c.when[v] = w
		}
	}
	for v, x := range a.chosen {
		if y, ok := b.chosen[v]; ok && x == y {
			c.chosen[v] = x
		}
	}
	return c
}

// both returns the facts that hold if a or b holds.
func both(a, b facts) facts {
	if a.never {
		return b
	}
	if b.never {
		return a
	}
	var out facts
	for _, k := range a.known {
		if slices.Contains(b.known, k) {
			out.known = append(out.known, k)
		}
	}
	return out
}

// union returns the facts that hold if both a and b hold.
func union(a, b facts) facts {
	return facts{append(slices.Clone(a.known), b.known...), a.never || b.never}
}
