package check

import (
	"fmt"
	"math/big"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/wordlist"
)

// Constant returns an expression for a captured or literal value, or reports that it does not fit.
func (c *Checker) Constant(v any, pos syntax.Position, what string) tree.Expr {
	t := tree.ConstType(v)
	if tree.TrailingNUL(v) {
		return c.badNUL(pos, v)
	}
	if t == nil {
		return c.Bad(pos, "", "%s does not fit in 64 bits: %s", what, tree.ConstText(v))
	}
	return &tree.ConstExpr{Node: tree.At(t, pos), Value: v}
}

func (c *Checker) expr(x syntax.Expr) tree.Expr {
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
			return c.Bad(x.OpPos, "", "* is not allowed here")
		}
		return c.note(x.OpPos, c.unary(x.OpPos, x.Op, c.expr(x.X)))
	case *syntax.BinaryExpr:
		return c.binaryExpr(x)
	case *syntax.CondExpr:
		return c.condExpr(x)
	case *syntax.TupleExpr:
		return c.tuple(x, x.List, c.expr)
	case *syntax.ListExpr:
		return c.listOf(x.Lbrack, c.exprs(x.List), false)
	case *syntax.Comprehension:
		return c.comprehension(x, false)
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
func (c *Checker) condExpr(x *syntax.CondExpr) tree.Expr {
	cond, yes, no := c.condition(x.Cond)
	if truth, known := tree.KnownTruth(cond); known && truth {
		return c.expr(x.True)
	} else if known {
		return c.expr(x.False)
	}
	before := c.flow
	defer func() { c.flow = before }()
	side := func(x syntax.Expr, fs facts) tree.Expr {
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
	if t.Type().Kind == types.Invalid {
		return t
	}
	warned := len(c.warnings)
	f := side(taken, fs)
	c.warnings = c.warnings[:warned] // they stand twice
	return c.choice(x.If, cond, t, f)
}

func (c *Checker) unsupported(x syntax.Expr) tree.Expr {
	pos, _ := x.Span()
	switch x.(type) {
	case *syntax.LambdaExpr:
		return c.Bad(pos, "define it outside of the handler", "a function cannot be defined inside a handler")
	}
	return c.Bad(pos, "", "this expression is not supported in a handler")
}

func (c *Checker) literal(x *syntax.Literal) tree.Expr {
	switch v := x.Value.(type) {
	case string:
		if x.Token == syntax.BYTES {
			return c.Constant(tree.Bytes(v), x.TokenPos, "the bytes")
		}
		return c.Constant(v, x.TokenPos, "the string")
	case int64:
		return tree.IntConst(v, x.TokenPos)
	case *big.Int:
		return c.Constant(v, x.TokenPos, "the number")
	}
	return c.Bad(x.TokenPos, "count in a smaller unit: nanoseconds, thousandths", "floats are not supported in a handler")
}

func (c *Checker) ident(id *syntax.Ident) tree.Expr {
	if v := c.local(id); v != nil {
		return c.readLocal(v, id.NamePos)
	}
	var ent tree.Entity
	if _, ok := id.Binding.(*resolve.Binding); ok || id.Binding == nil {
		ent = c.frame.fn.Scope.Lookup(id)
	}
	return c.entity(id, ent)
}

func (c *Checker) readLocal(v *tree.Local, pos syntax.Position) tree.Expr {
	if !c.flow.dead && !c.flow.assigned[v] {
		c.flow.assigned[v] = true // one error is enough
		if outer := c.frame.fn.Scope.Lookup(&syntax.Ident{NamePos: pos, Name: v.Name}); outer != nil && outer != tree.Entity(tree.Builtin{Name: v.Name}) {
			return c.Bad(pos, fmt.Sprintf("write %s.add() here, with %s = count() outside of the handler", v.Name, v.Name),
				"%s is assigned in this function, which makes it a local variable: a handler cannot assign to a global", v.Name)
		}
		return c.Bad(pos, "assign it on every path to this point", "%s may be used before it is assigned", v.Name)
	}
	if v.Static != nil {
		return tree.WithPos(v.Static, pos)
	}
	if c.frame.chosen[v] {
		if o, known := c.flow.chosen[v]; !known {
			return c.Bad(pos, "give each of them a name of its own", "%s stands for several lists here", v.Name)
		} else if o != nil {
			here := *o
			here.Pos = pos
			return &here
		}
	}
	e := &tree.VarExpr{Node: tree.At(v.T, pos), Local: v}
	if v.T.Kind == types.Opt && (c.flow.known[fact{v: v}] || c.flow.dead) {
		return &tree.NarrowExpr{Node: tree.At(c.narrowInt(e, v.T.Elem), pos), X: e}
	}
	e.T = c.narrowInt(e, v.T)
	return e
}

func (c *Checker) entity(id *syntax.Ident, ent tree.Entity) tree.Expr {
	n := tree.At(types.TFunc, id.NamePos)
	switch ent := ent.(type) {
	case nil:
		return c.Bad(id.NamePos, wordHint(wordlist.Name(id.Name)), "%s has no value yet", id.Name)
	case tree.Const:
		if !c.capturedSeen[id.Name] && !universal(id.Name) {
			c.capturedSeen[id.Name] = true
			c.Facts.Captured = append(c.Facts.Captured, tree.Captured{Name: id.Name, Value: tree.ConstText(ent.V)})
		}
		if tree.ConstType(ent.V) == nil {
			return c.Bad(id.NamePos, "", "%s does not fit in 64 bits: %s", id.Name, tree.ConstText(ent.V))
		}
		if t := tree.ConstType(ent.V); t.Kind == types.Invalid {
			return c.Bad(id.NamePos, "", "%s holds a value that cannot be used in a handler", id.Name)
		}
		if tree.TrailingNUL(ent.V) {
			return c.badNUL(id.NamePos, ent.V)
		}
		return &tree.ConstExpr{Node: tree.At(tree.ConstType(ent.V), id.NamePos), Value: ent.V}
	case *tree.Map:
		return &tree.StaticExpr{Node: tree.At(types.TMap, id.NamePos), Entity: ent}
	case *tree.Stream:
		return &tree.StaticExpr{Node: tree.At(types.TStream, id.NamePos), Entity: ent}
	case *tree.Func, tree.Builtin:
		return &tree.StaticExpr{Node: n, Entity: ent}
	case tree.Opaque:
		hint := "captured values are ints, strings, bytes, bools, None, and tuples, lists, dicts and structs of these"
		if ent.Type == "float" {
			hint = "write " + id.Name + " = int(" + id.Name + ") outside of the handler, which has no floats"
		}
		if ent.Part != "" {
			hint = id.Name + "." + ent.Part + "; " + hint
		}
		if w := wordlist.Name(id.Name); w != nil {
			hint = w.Hint()
		}
		return c.Bad(id.NamePos, hint, "%s is %s, which cannot be used in a handler", id.Name, types.WithArticle(ent.Type))
	}
	return c.Bad(id.NamePos, "", "%s cannot be used in a handler", id.Name)
}

// universal reports whether name refers to the same value everywhere.
func universal(name string) bool { return name == "None" || name == "True" || name == "False" }

// tuple checks a tuple of these elements.
func (c *Checker) tuple(x syntax.Expr, list []syntax.Expr, elem func(syntax.Expr) tree.Expr) tree.Expr {
	pos, _ := x.Span()
	elems := make([]tree.Expr, len(list))
	for i, el := range list {
		elems[i] = elem(el)
	}
	return c.tupleOf(pos, elems)
}

func (c *Checker) tupleOf(pos syntax.Position, elems []tree.Expr) tree.Expr {
	e := &tree.TupleExpr{Node: tree.At(&types.Type{Kind: types.Tuple}, pos)}
	consts := tree.Tuple{}
	for _, v := range elems {
		if k, ok := v.(*tree.ConstExpr); ok {
			consts = append(consts, k.Value)
		}
		if v.Type().Kind == types.Invalid {
			if !c.inferring {
				e.T = types.TInvalid
			}
		} else if !v.Type().Storable() {
			c.Errorf(v.Position(), StoreHint(v), "%s cannot be an element of a tuple in a handler", v.Type().WithArticle())
			e.T = types.TInvalid
		}
		e.Elems = append(e.Elems, v)
		if e.T.Kind == types.Tuple {
			e.T.Elems = append(e.T.Elems, v.Type())
		}
	}
	if e.T.Kind == types.Tuple && len(consts) == len(e.Elems) {
		return &tree.ConstExpr{Node: e.Node, Value: consts}
	}
	return e
}

// unknownSide returns the result of an operation on two operands, one of which has an unknown type.
// While types are inferred, that is the other operand.
func (c *Checker) unknownSide(pos syntax.Position, x, y tree.Expr) tree.Expr {
	switch {
	case !c.inferring:
		return tree.Invalid(pos)
	case x.Type().Kind == types.Invalid:
		return y
	}
	return x
}

// choice checks t if cond else f.
func (c *Checker) choice(pos syntax.Position, cond, t, f tree.Expr) tree.Expr {
	j := types.Either(t.Type(), f.Type())
	if t.Type().Kind == types.Invalid || f.Type().Kind == types.Invalid {
		return c.unknownSide(pos, t, f)
	}
	yes, ok1 := t.(*tree.ConstExpr)
	no, ok2 := f.(*tree.ConstExpr)
	if ok1 && ok2 && j != nil && !j.Storable() && cond.Type().Kind == types.Bool {
		return c.lookup(chosenExpr{Node: tree.At(j, pos), by: cond, keys: []any{true, false}, vals: []any{yes.Value, no.Value}})
	}
	if j == nil || !j.Storable() {
		return c.Bad(pos, meetHint(t.Type(), f.Type()), "the two sides of if/else have different types: %s and %s", t.Type(), f.Type())
	}
	return &tree.CondExpr{Node: tree.At(j, pos), Cond: cond, True: tree.Convert(t, j), False: tree.Convert(f, j)}
}

func (c *Checker) binaryExpr(x *syntax.BinaryExpr) tree.Expr {
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
func (c *Checker) logic(x *syntax.BinaryExpr) (e tree.Expr, yes, no facts) {
	return c.twoSides(x, c.valueFacts, func(a, b tree.Expr) tree.Expr {
		ta := a.Type()
		if x.Op == syntax.OR && ta.Kind == types.Opt {
			ta = ta.Elem // None is never the result of the left side
		}
		j := types.Join(ta, b.Type())
		if x.Op == syntax.OR {
			j = types.Either(ta, b.Type()) // names.get(n) or n
		}
		if j == nil || !j.Storable() {
			return c.Bad(x.OpPos, meetHint(a.Type(), b.Type()), "the two sides of %s have different types: %s and %s", x.Op, a.Type(), b.Type())
		}
		if c.Truth(a).Type().Kind == types.Invalid { // already reported
			return tree.Invalid(x.OpPos)
		}
		return &tree.LogicExpr{Node: tree.At(j, x.OpPos), Op: x.Op, X: a, Y: tree.Convert(b, j)}
	})
}
