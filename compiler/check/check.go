// Package check turns the syntax tree of a handler into a typed tree, and reports all errors of the
// handler at once.
//
// The checker walks the handler with the types of the probe's event, and follows calls of other
// Starlark functions with the types of their arguments. It infers types; a handler declares none.
// Three loops find the types, each a walk that is repeated until nothing grows:
//
//   - A local has one type, the join of everything assigned to it. Because that is known only at
//     the end, a function is walked again until no type grows, and only the errors of the last walk
//     count (check.go).
//   - A map has one key type and one value type, the join of all its uses in the handler and its
//     filter. The types of a map that exists in the kernel are permanent (map_types.go,
//     map_signs.go).
//   - Maps that several programs share are inferred for all programs together (Infer).
//
// Types form a lattice of small height, so a few walks suffice; a type can grow only a few times.
//
// A walk also follows control flow: it tracks which locals are certainly assigned, and which
// optionals cannot be None because the handler has compared them (flow.go). Code that a known
// condition makes unreachable is not checked.
//
// A checker is given Tables: the builtins, methods and fields that exist, each with a function that
// checks its use. Package builtin has the rows; this package has what they are written with, the
// methods of Checker. It imports no lowering.
//
// The walk:
//
//	check.go       the filter and the handler, functions, repeated walks
//	checker.go     the Checker, its errors and warnings; Tables: what builtins, methods and fields
//	               are to it
//	stmt.go        statements, assignment, if
//	loop.go        for and while, and which loops the verifier walks
//	loop_chosen.go loops over collections of collections
//	flow.go        what known conditions say about locals
//	cond.go        conditions, comparisons
//	race.go        the warning of t[k] = t[k] + n, which loses updates of other CPUs
//
// Expressions:
//
//	expr.go       constants, names, conditional expressions
//	text.go       texts that the host formats
//	structs.go    structs that a handler makes
//	args.go       the arguments of a program, as a text
//	operator.go   arithmetic; result types of operations, for a handler that a script calls
//	pointer.go    arithmetic and comparison of pointers
//	literal.go    lists and dicts written in a handler
//	comprehension.go  comprehensions over constants
//	chosen.go     collections of which the handler chooses one
//	index.go      x[i], in
//	str.go        slices and searches of strings; startswith, endswith
//	formatted.go  values that the host shows as text
//	call.go       calls, binding of arguments
//	hint.go       hints for values of a wrong type
//
// The event, memory and maps:
//
//	event.go      fields of the event, arguments
//	members.go    members of structs, C types in memory
//	map.go        methods of aggregations and tables
//	map_types.go  types of keys and values, texts as keys
//	map_signs.go  signs of integers in maps
package check

import (
	"maps"
	"slices"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

const (
	maxCalls      = 20000 // function checks per handler, repeated ones included
	maxDepth      = 16    // of nested calls
	maxUnroll     = 256   // elements of a captured list in a for loop
	maxIterations = 8192  // iterations of nested constant loops, if the verifier has to walk each
)

// Program checks the handler and the filter of a request. The error is a diag.List.
func Program(rows *Tables, req *tree.Request) (*tree.Program, error) {
	c := New(rows, req)
	p := c.program()
	if len(c.Diags) > 0 {
		return nil, c.Diags.Sort()
	}
	return p, nil
}

// program checks the filter and the handler, again until the types of maps stop growing.
func (c *Checker) program() *tree.Program {
	var p *tree.Program
	for i := 0; i < maxWalks; i++ {
		c.Diags, c.warnings, c.mapsGrew, c.Facts = nil, nil, false, tree.Facts{}
		c.fields, c.capturedSeen = map[string]bool{}, map[string]bool{}
		p = &tree.Program{}
		if c.Req.Event.Syscalls != nil {
			c.Compat(c.Req.Handler.Pos)
		}
		if c.Req.PIDFilter != nil {
			p.PID = c.eventPID()
		}
		if c.Req.Filter != nil {
			if call := c.top(c.Req.Filter, "the filter"); call != nil {
				p.Filter = c.Truth(call)
			}
		}
		p.Handler = c.top(c.Req.Handler, "a handler")
		if !c.mapsGrew {
			break
		}
		c.everGrew = true
	}
	p.Types, c.Facts.Maps = c.mapTypes(), c.mapUses()
	for _, m := range c.Facts.Maps {
		if m.Map.Agg == nil && m.Types.Val == nil && len(c.Diags) == 0 {
			c.Errorf(c.Req.Handler.Pos, "assign to it in a probe of this script, or declare its values: "+m.Map.Name+" = table(value=int)",
				"the value type of table %q is unknown", m.Map.Name)
		}
	}
	c.Facts.Warnings, c.Facts.Fields = c.warnings.Sort(), slices.Sorted(maps.Keys(c.fields))
	p.Facts = c.Facts
	return p
}

func (c *Checker) top(fn *tree.Func, what string) *tree.CallExpr {
	pos := fn.Pos
	if n := len(fn.Fn.Params); n != 1 {
		hint := "write def " + fn.Name + "(e): ..."
		if fn.Name == "lambda" {
			hint = "write lambda e: ..."
		}
		c.Errorf(pos, hint, "%s takes one parameter, the event; this function takes %d", what, n)
		return nil
	}
	return c.call(fn, []tree.Expr{&tree.StaticExpr{Node: tree.At(types.TEvent, pos)}}, pos)
}

// call checks fn for these arguments, which are in the order of its parameters.
func (c *Checker) call(fn *tree.Func, args []tree.Expr, pos syntax.Position) *tree.CallExpr {
	depth := 0
	for f := c.frame; f != nil; f = f.up {
		depth++
		if f.fn.Fn == fn.Fn {
			c.Errorf(pos, "write a loop instead", "%s calls itself: a handler cannot recurse", fn.Name)
			return nil
		}
	}
	c.calls++
	if depth >= maxDepth || c.calls > maxCalls {
		c.Errorf(pos, "call fewer functions from functions", "the calls nest too deeply here")
		return nil
	}
	f := &frame{fn: fn, up: c.frame, locals: map[*resolve.Binding]*tree.Local{}, writes: writes(fn.Fn.Body), chosen: map[*tree.Local]bool{}}
	e := &tree.CallExpr{Node: tree.At(types.TNone, pos), Func: fn, Args: args, Top: f.up == nil}
	f.call = e
	if c.noting {
		f.arith = newArithmetic(c.frame, pos)
		if c.frame == nil {
			c.arith = f.arith
		}
	}
	c.frame = f
	before := c.flow
	for i, p := range fn.Fn.Params {
		id := paramName(p)
		if id == nil {
			c.Errorf(pos, "name each parameter", "%s takes a variable number of arguments, which a handler cannot pass", fn.Name)
			c.frame = f.up
			return nil
		}
		v := &tree.Local{Name: id.Name, T: args[i].Type()}
		b := id.Binding.(*resolve.Binding)
		if atCompileTime(args[i]) {
			if f.writes[b] > 0 && !args[i].Type().Storable() {
				c.Errorf(id.NamePos, "use another name", "%s is %s and cannot be assigned to", id.Name, args[i].Type().WithArticle())
			}
			if f.writes[b] == 0 {
				v.Static = args[i]
			}
		}
		f.locals[b] = v
		e.Params = append(e.Params, v)
	}
	start, warned := len(c.Diags), len(c.warnings)
	for i := 0; i < maxWalks; i++ {
		c.Diags, c.warnings = c.Diags[:start], c.warnings[:warned]
		f.grew = false
		c.flow = before.inCall()
		for _, v := range e.Params {
			c.flow.assigned[v] = true
			c.flow.forget(v)
			if v.T.Kind != types.Opt && v.T.Kind != types.None {
				c.flow.known[fact{v: v}] = true
			}
		}
		e.Body = c.block(fn.Fn.Body)
		if !c.flow.dead && f.ret != nil {
			c.returns(types.TNone, fn.Pos)
			e.Body = append(e.Body, &tree.ReturnStmt{StmtNode: tree.StmtAt(fn.Pos), X: tree.Convert(&tree.ConstExpr{Node: tree.At(types.TNone, fn.Pos)}, f.ret), Call: e})
		}
		if !f.grew {
			break
		}
	}
	for i, v := range e.Params {
		if v.Static == nil {
			e.Args[i] = tree.Convert(args[i], v.T) // the body may assign values of a wider type
		}
	}
	c.flow = before // what holds in the callee says nothing about the caller's locals
	c.frame = f.up
	if f.ret != nil {
		e.T = f.ret
	}
	return e
}

// writes returns the number of statements that assign each variable.
func writes(stmts []syntax.Stmt) map[*resolve.Binding]int {
	out := map[*resolve.Binding]int{}
	var target func(x syntax.Expr)
	target = func(x syntax.Expr) {
		switch x := x.(type) {
		case *syntax.Ident:
			if b, ok := x.Binding.(*resolve.Binding); ok {
				out[b]++
			}
		case *syntax.ParenExpr:
			target(x.X)
		case *syntax.TupleExpr:
			for _, e := range x.List {
				target(e)
			}
		case *syntax.ListExpr:
			for _, e := range x.List {
				target(e)
			}
		}
	}
	for _, s := range stmts {
		syntax.Walk(s, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.AssignStmt:
				target(n.LHS)
			case *syntax.ForStmt:
				target(n.Vars)
			}
			return true
		})
	}
	return out
}

// grow joins t into the type of a local.
func (c *Checker) grow(v *tree.Local, t *types.Type, pos syntax.Position) {
	j := types.Join(v.T, t)
	if j == nil {
		hint := joinHint(v.T, t)
		if hint == "" {
			hint = "use another name for it"
		}
		c.Errorf(pos, hint, "%s holds %s elsewhere and cannot hold %s here", v.Name, v.T.WithArticle(), t.WithArticle())
		c.pointAt(c.Diags, v.At, "%s holds %s here", v.Name, v.T.WithArticle())
		return
	}
	if !j.Equal(v.T) {
		v.T, v.At = j, pos
		c.frame.grew = true
	}
}

// returns joins t into the result type of the current function.
func (c *Checker) returns(t *types.Type, pos syntax.Position) {
	f := c.frame
	j := t
	switch {
	case f.ret == nil:
	case f.up == nil:
		j = types.Join(f.ret, t)
	default:
		j = types.Either(f.ret, t)
	}
	if j == nil {
		hint := joinHint(f.ret, t)
		if hint == "" {
			hint = "return values of one type"
		}
		c.Errorf(pos, hint, "%s returns %s elsewhere and %s here", f.fn.Name, f.ret.WithArticle(), t.WithArticle())
		c.pointAt(c.Diags, f.retAt, "%s returns %s here", f.fn.Name, f.ret.WithArticle())
		return
	}
	if f.ret == nil || !j.Equal(f.ret) {
		f.ret, f.retAt = j, pos
		f.grew = true
	}
}
