package compiler

import (
	"fmt"
	"math/big"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/wordlist"
)

// constant returns an expression for a captured or literal value, or reports that it does not fit.
func (c *checker) constant(v any, pos syntax.Position, what string) expr {
	t := constType(v)
	if trailingNUL(v) {
		return c.badNUL(pos, v)
	}
	if t == nil {
		return c.bad(pos, "", "%s does not fit in 64 bits: %s", what, constText(v))
	}
	return &eConst{node{t, pos}, v}
}

func (c *checker) expr(x syntax.Expr) expr {
	switch x := x.(type) {
	case *syntax.ParenExpr:
		return c.expr(x.X)
	case *syntax.Literal:
		return c.literal(x)
	case *syntax.Ident:
		return c.ident(x)
	case *syntax.UnaryExpr:
		if x.Op == syntax.NOT {
			e, _, _ := c.condition(x)
			return e
		}
		if x.X == nil {
			return c.bad(x.OpPos, "", "* is not allowed here")
		}
		return c.note(x.OpPos, c.unary(x.OpPos, x.Op, c.expr(x.X)))
	case *syntax.BinaryExpr:
		return c.binaryExpr(x)
	case *syntax.CondExpr:
		return c.condExpr(x)
	case *syntax.TupleExpr:
		return c.tuple(x, x.List, c.expr)
	case *syntax.ListExpr:
		return c.listDisplay(x, false)
	case *syntax.DictExpr:
		return c.dictDisplay(x)
	case *syntax.DotExpr:
		return c.dot(x)
	case *syntax.IndexExpr:
		return c.note(x.Lbrack, c.index(x))
	case *syntax.SliceExpr:
		return c.note(x.Lbrack, c.slice(x))
	case *syntax.CallExpr:
		return c.note(x.Lparen, c.callExpr(x))
	}
	return c.unsupported(x)
}

// condExpr checks x.True if x.Cond else x.False. A side that is never taken is not checked: both
// outcomes of the condition, which is evaluated all the same, then have the other side.
func (c *checker) condExpr(x *syntax.CondExpr) expr {
	cond, yes, no := c.condition(x.Cond)
	if truth, known := knownTruth(cond); known && truth {
		return c.expr(x.True)
	} else if known {
		return c.expr(x.False)
	}
	before := c.flow
	defer func() { c.flow = before }()
	side := func(x syntax.Expr, fs facts) expr {
		c.flow = before.with(fs)
		return c.expr(x)
	}
	if !yes.never && !no.never {
		t := side(x.True, yes)
		return c.choice(x.If, cond, t, side(x.False, no))
	}
	taken, fs := x.True, yes
	if yes.never {
		taken, fs = x.False, no
	}
	t := side(taken, fs)
	if t.typ().Kind == types.Invalid {
		return t
	}
	warned := len(c.warnings)
	f := side(taken, fs)
	c.warnings = c.warnings[:warned] // they stand twice
	return c.choice(x.If, cond, t, f)
}

func (c *checker) unsupported(x syntax.Expr) expr {
	pos, _ := x.Span()
	switch x.(type) {
	case *syntax.Comprehension:
		return c.bad(pos, "build it outside of the handler, or write a for loop", "a comprehension is not allowed in a handler")
	case *syntax.LambdaExpr:
		return c.bad(pos, "define it outside of the handler", "a function cannot be defined inside a handler")
	}
	return c.bad(pos, "", "this expression is not supported in a handler")
}

func (c *checker) literal(x *syntax.Literal) expr {
	switch v := x.Value.(type) {
	case string:
		if x.Token == syntax.BYTES {
			return c.constant(Bytes(v), x.TokenPos, "the bytes")
		}
		return c.constant(v, x.TokenPos, "the string")
	case int64:
		return intConst(v, x.TokenPos)
	case *big.Int:
		return c.constant(v, x.TokenPos, "the number")
	}
	return c.bad(x.TokenPos, "count in a smaller unit: nanoseconds, thousandths", "floats are not supported in a handler")
}

func (c *checker) ident(id *syntax.Ident) expr {
	if v := c.local(id); v != nil {
		return c.readLocal(v, id.NamePos)
	}
	var ent Entity
	if _, ok := id.Binding.(*resolve.Binding); ok || id.Binding == nil {
		ent = c.frame.fn.Scope.Lookup(id)
	}
	return c.entity(id, ent)
}

func (c *checker) readLocal(v *local, pos syntax.Position) expr {
	if !c.flow.dead && !c.flow.assigned[v] {
		c.flow.assigned[v] = true // one error is enough
		if outer := c.frame.fn.Scope.Lookup(&syntax.Ident{NamePos: pos, Name: v.name}); outer != nil && outer != Entity(Builtin{v.name}) {
			return c.bad(pos, fmt.Sprintf("write %s.add() here, with %s = count() outside of the handler", v.name, v.name),
				"%s is assigned in this function, which makes it a local variable: a handler cannot assign to a global", v.name)
		}
		return c.bad(pos, "assign it on every path to this point", "%s may be used before it is assigned", v.name)
	}
	if v.static != nil {
		return at(v.static, pos)
	}
	e := &eVar{node{v.t, pos}, v}
	if v.t.Kind == types.Opt && (c.flow.known[fact{v: v}] || c.flow.dead) {
		return &eNarrow{node{c.narrowInt(e, v.t.Elem), pos}, e}
	}
	e.t = c.narrowInt(e, v.t)
	return e
}

func (c *checker) entity(id *syntax.Ident, ent Entity) expr {
	n := node{types.TFunc, id.NamePos}
	switch ent := ent.(type) {
	case nil:
		return c.bad(id.NamePos, wordHint(wordlist.Name(id.Name)), "%s has no value yet", id.Name)
	case Const:
		if !c.capturedSeen[id.Name] && !universal(id.Name) {
			c.capturedSeen[id.Name] = true
			c.facts.Captured = append(c.facts.Captured, Captured{id.Name, constText(ent.V)})
		}
		if constType(ent.V) == nil {
			return c.bad(id.NamePos, "", "%s does not fit in 64 bits: %s", id.Name, constText(ent.V))
		}
		if t := constType(ent.V); t.Kind == types.Invalid {
			return c.bad(id.NamePos, "", "%s holds a value that cannot be used in a handler", id.Name)
		}
		if trailingNUL(ent.V) {
			return c.badNUL(id.NamePos, ent.V)
		}
		return &eConst{node{constType(ent.V), id.NamePos}, ent.V}
	case *Map:
		return &eStatic{node{types.TMap, id.NamePos}, ent}
	case *Stream:
		return &eStatic{node{types.TStream, id.NamePos}, ent}
	case *Func, Builtin:
		return &eStatic{n, ent}
	case Opaque:
		hint := "captured values are ints, strings, bytes, bools, None, and tuples, lists and dicts of these"
		if ent.Type == "float" {
			hint = "write " + id.Name + " = int(" + id.Name + ") outside of the handler, which has no floats"
		}
		if w := wordlist.Name(id.Name); w != nil {
			hint = w.Hint()
		}
		return c.bad(id.NamePos, hint, "%s is %s, which cannot be used in a handler", id.Name, types.WithArticle(ent.Type))
	}
	return c.bad(id.NamePos, "", "%s cannot be used in a handler", id.Name)
}

// universal reports whether name refers to the same value everywhere.
func universal(name string) bool { return name == "None" || name == "True" || name == "False" }

// tuple checks a tuple of these elements.
func (c *checker) tuple(x syntax.Expr, list []syntax.Expr, elem func(syntax.Expr) expr) expr {
	pos, _ := x.Span()
	elems := make([]expr, len(list))
	for i, el := range list {
		elems[i] = elem(el)
	}
	return c.tupleOf(pos, elems)
}

func (c *checker) tupleOf(pos syntax.Position, elems []expr) expr {
	e := &eTuple{node: node{&types.Type{Kind: types.Tuple}, pos}}
	consts := Tuple{}
	for _, v := range elems {
		if k, ok := v.(*eConst); ok {
			consts = append(consts, k.v)
		}
		if v.typ().Kind == types.Invalid {
			if !c.inferring {
				e.t = types.TInvalid
			}
		} else if !v.typ().Storable() {
			c.errorf(v.position(), storeHint(v), "%s cannot be an element of a tuple in a handler", v.typ().WithArticle())
			e.t = types.TInvalid
		}
		e.elems = append(e.elems, v)
		if e.t.Kind == types.Tuple {
			e.t.Elems = append(e.t.Elems, v.typ())
		}
	}
	if e.t.Kind == types.Tuple && len(consts) == len(e.elems) {
		return &eConst{e.node, consts}
	}
	return e
}

// unknownSide returns the result of an operation on two operands, one of which has an unknown type.
// While types are inferred, that is the other operand.
func (c *checker) unknownSide(pos syntax.Position, x, y expr) expr {
	switch {
	case !c.inferring:
		return invalid(pos)
	case x.typ().Kind == types.Invalid:
		return y
	}
	return x
}

// choice checks t if cond else f.
func (c *checker) choice(pos syntax.Position, cond, t, f expr) expr {
	j := types.Join(t.typ(), f.typ())
	if t.typ().Kind == types.Invalid || f.typ().Kind == types.Invalid {
		return c.unknownSide(pos, t, f)
	}
	if j == nil || !j.Storable() {
		return c.bad(pos, meetHint(t.typ(), f.typ()), "the two sides of if/else have different types: %s and %s", t.typ(), f.typ())
	}
	return &eCond{node{j, pos}, cond, convert(t, j), convert(f, j)}
}

func (c *checker) binaryExpr(x *syntax.BinaryExpr) expr {
	switch x.Op {
	case syntax.AND, syntax.OR:
		e, _, _ := c.logic(x)
		return e
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.GT, syntax.LE, syntax.GE:
		e, _, _ := c.condition(x)
		return e
	case syntax.IN, syntax.NOT_IN:
		return c.in(x)
	}
	return c.note(x.OpPos, c.binary(x.OpPos, x.Op, c.expr(x.X), c.expr(x.Y)))
}

// logic checks x and y, x or y as values: the result is one of the two.
func (c *checker) logic(x *syntax.BinaryExpr) (e expr, yes, no facts) {
	return c.twoSides(x, c.valueFacts, func(a, b expr) expr {
		ta := a.typ()
		if x.Op == syntax.OR && ta.Kind == types.Opt {
			ta = ta.Elem // None is never the result of the left side
		}
		j := types.Join(ta, b.typ())
		if j == nil || !j.Storable() {
			return c.bad(x.OpPos, meetHint(a.typ(), b.typ()), "the two sides of %s have different types: %s and %s", x.Op, a.typ(), b.typ())
		}
		if c.truth(a).typ().Kind == types.Invalid { // already reported
			return invalid(x.OpPos)
		}
		return &eLogic{node{j, x.OpPos}, x.Op, a, convert(b, j)}
	})
}
