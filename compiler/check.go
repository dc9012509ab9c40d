package compiler

import (
	"fmt"
	"maps"
	"slices"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// The checker walks the handler with the types of the probe's event, and follows calls of other
// Starlark functions with the types of their arguments.
//
// A local has one type, the join of everything assigned to it. Because that is known only at the
// end, a function is checked again until no type grows, and only the errors of the last walk count.
//
// A walk also follows control flow: it tracks which locals are certainly assigned, and which
// optionals cannot be None because the handler has compared them (flow.go).

type checker struct {
	rows               *tables
	req                *Request
	diags, warnings    diag.List
	frame              *frame
	flow               *flow
	maps               map[*Map]*mapTyping
	mapsGrew, everGrew bool
	inferring          bool        // unknown types are to be inferred: see Infer
	noting             bool        // record an Arithmetic for each frame
	arith              *Arithmetic // of the handler, if noting
	facts              Facts
	capturedSeen       map[string]bool
	typed              []abi.Field // result of Event.Typed
	typedErr           error
	fields             map[string]bool // arguments read by name
	enums              map[*ctype.Type]*types.Type
	calls              int
	iterations         int        // product of the lengths of the enclosing loops
	loops              []loopFlow // the enclosing loops
}

// A frame is one function being checked.
type frame struct {
	fn     *Func
	up     *frame
	call   *eCall
	locals map[*resolve.Binding]*local
	ret    *types.Type     // join of all results; nil before the first
	retAt  syntax.Position // of the result that determined ret
	loop   int
	grew   bool
	writes map[*resolve.Binding]int       // number of statements in the body that assign the variable
	reads  map[*resolve.Binding]tableRead // locals that were read from an element of a table
	arith  *Arithmetic                    // nil if not recorded
}

const (
	maxCalls      = 20000 // function checks per handler, repeated ones included
	maxDepth      = 16    // of nested calls
	maxWalks      = 12    // of one function: a type can grow only a few times
	maxUnroll     = 256   // elements of a captured list in a for loop
	maxIterations = 8192  // iterations of nested constant loops, if the verifier has to walk each
)

func newChecker(rows *tables, req *Request) *checker {
	return &checker{rows: rows, req: req, maps: map[*Map]*mapTyping{}, capturedSeen: map[string]bool{}, enums: map[*ctype.Type]*types.Type{}, iterations: 1, flow: newFlow()}
}

func (c *checker) errorf(pos syntax.Position, hint, format string, args ...any) {
	c.diags = append(c.diags, &diag.Diagnostic{Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint, Line: c.req.Source(pos)})
}

// pointAt makes the last diagnostic of a list point at a second place, if that is known.
func (c *checker) pointAt(list diag.List, pos syntax.Position, format string, args ...any) {
	if d := list[len(list)-1]; pos.IsValid() && pos != d.Pos {
		d.Also = diag.Place{Pos: pos, Label: fmt.Sprintf(format, args...), Line: c.req.Source(pos)}
	}
}

// warnf reports code that the kernel accepts but that is most likely a mistake.
func (c *checker) warnf(pos syntax.Position, hint, format string, args ...any) {
	c.warnings = append(c.warnings, &diag.Diagnostic{Severity: diag.Warning, Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint, Line: c.req.Source(pos)})
}

// bad reports an error and returns an expression of unknown type, which causes no follow-up errors.
func (c *checker) bad(pos syntax.Position, hint, format string, args ...any) expr {
	c.errorf(pos, hint, format, args...)
	return invalid(pos)
}

// checkProgram checks the handler and the filter of a request. The error is a diag.List.
func checkProgram(rows *tables, req *Request) (*treeProgram, error) {
	c := newChecker(rows, req)
	p := c.program()
	if len(c.diags) > 0 {
		return nil, c.diags.Sort()
	}
	return p, nil
}

// program checks the filter and the handler, again until the types of maps stop growing.
func (c *checker) program() *treeProgram {
	var p *treeProgram
	for i := 0; i < maxWalks; i++ {
		c.diags, c.warnings, c.mapsGrew, c.facts = nil, nil, false, Facts{}
		c.fields, c.capturedSeen = map[string]bool{}, map[string]bool{}
		p = &treeProgram{}
		if c.req.Event.Syscalls != nil {
			c.compat(c.req.Handler.Pos)
		}
		if c.req.PIDFilter != nil {
			p.pid = c.eventPID()
		}
		if c.req.Filter != nil {
			if call := c.top(c.req.Filter, "the filter"); call != nil {
				p.filter = c.truth(call)
			}
		}
		p.handler = c.top(c.req.Handler, "a handler")
		if !c.mapsGrew {
			break
		}
		c.everGrew = true
	}
	p.types, c.facts.Maps = c.mapTypes(), c.mapUses()
	for _, m := range c.facts.Maps {
		if m.Map.Agg == nil && m.Types.Val == nil && len(c.diags) == 0 {
			c.errorf(c.req.Handler.Pos, "assign to it in a probe of this script, or declare its values: "+m.Map.Name+" = table(value=int)",
				"the value type of table %q is unknown", m.Map.Name)
		}
	}
	c.facts.Warnings, c.facts.Fields = c.warnings.Sort(), slices.Sorted(maps.Keys(c.fields))
	p.Facts = c.facts
	return p
}

func (c *checker) top(fn *Func, what string) *eCall {
	pos := fn.Pos
	if n := len(fn.Fn.Params); n != 1 {
		hint := "write def " + fn.Name + "(e): ..."
		if fn.Name == "lambda" {
			hint = "write lambda e: ..."
		}
		c.errorf(pos, hint, "%s takes one parameter, the event; this function takes %d", what, n)
		return nil
	}
	return c.call(fn, []expr{&eStatic{node: node{types.TEvent, pos}}}, pos)
}

// call checks fn for these arguments, which are in the order of its parameters.
func (c *checker) call(fn *Func, args []expr, pos syntax.Position) *eCall {
	depth := 0
	for f := c.frame; f != nil; f = f.up {
		depth++
		if f.fn.Fn == fn.Fn {
			c.errorf(pos, "write a loop instead", "%s calls itself: a handler cannot recurse", fn.Name)
			return nil
		}
	}
	c.calls++
	if depth >= maxDepth || c.calls > maxCalls {
		c.errorf(pos, "call fewer functions from functions", "the calls nest too deeply here")
		return nil
	}
	f := &frame{fn: fn, up: c.frame, locals: map[*resolve.Binding]*local{}, writes: writes(fn.Fn.Body)}
	e := &eCall{node: node{types.TNone, pos}, fn: fn, args: args, top: f.up == nil}
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
			c.errorf(pos, "name each parameter", "%s takes a variable number of arguments, which a handler cannot pass", fn.Name)
			c.frame = f.up
			return nil
		}
		v := &local{name: id.Name, t: args[i].typ()}
		b := id.Binding.(*resolve.Binding)
		if atCompileTime(args[i]) {
			if f.writes[b] > 0 && !args[i].typ().Storable() {
				c.errorf(id.NamePos, "use another name", "%s is %s and cannot be assigned to", id.Name, args[i].typ().WithArticle())
			}
			if f.writes[b] == 0 {
				v.static = args[i]
			}
		}
		f.locals[b] = v
		e.params = append(e.params, v)
	}
	start, warned := len(c.diags), len(c.warnings)
	for i := 0; i < maxWalks; i++ {
		c.diags, c.warnings = c.diags[:start], c.warnings[:warned]
		f.grew = false
		c.flow = before.inCall()
		for _, v := range e.params {
			c.flow.assigned[v] = true
			c.flow.forget(v)
			if v.t.Kind != types.Opt && v.t.Kind != types.None {
				c.flow.known[fact{v: v}] = true
			}
		}
		e.body = c.block(fn.Fn.Body)
		if !c.flow.dead && f.ret != nil {
			c.returns(types.TNone, fn.Pos)
			e.body = append(e.body, &sReturn{stmtNode{fn.Pos}, convert(&eConst{node: node{types.TNone, fn.Pos}}, f.ret), e})
		}
		if !f.grew {
			break
		}
	}
	for i, v := range e.params {
		if v.static == nil {
			e.args[i] = convert(args[i], v.t) // the body may assign values of a wider type
		}
	}
	c.flow = before // what holds in the callee says nothing about the caller's locals
	c.frame = f.up
	if f.ret != nil {
		e.t = f.ret
	}
	return e
}

func paramName(p syntax.Expr) *syntax.Ident {
	switch p := p.(type) {
	case *syntax.Ident:
		return p
	case *syntax.BinaryExpr: // name=default
		id, _ := p.X.(*syntax.Ident)
		return id
	}
	return nil
}

// atCompileTime reports whether a function may use this argument where a constant is required.
func atCompileTime(x expr) bool {
	switch x := x.(type) {
	case *eConst:
		return x.t.Kind != types.Invalid
	case *eStatic:
		return true
	}
	return false
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

// local returns the variable that an identifier refers to, or nil for a name from outside the
// function.
func (c *checker) local(id *syntax.Ident) *local {
	b, ok := id.Binding.(*resolve.Binding)
	if !ok || b.Scope != resolve.Local && b.Scope != resolve.Cell {
		return nil
	}
	v := c.frame.locals[b]
	if v == nil {
		v = &local{name: id.Name, t: types.TInvalid}
		c.frame.locals[b] = v
	}
	return v
}

// grow joins t into the type of a local.
func (c *checker) grow(v *local, t *types.Type, pos syntax.Position) {
	j := types.Join(v.t, t)
	if j == nil {
		hint := joinHint(v.t, t)
		if hint == "" {
			hint = "use another name for it"
		}
		c.errorf(pos, hint, "%s holds %s elsewhere and cannot hold %s here", v.name, v.t.WithArticle(), t.WithArticle())
		c.pointAt(c.diags, v.at, "%s holds %s here", v.name, v.t.WithArticle())
		return
	}
	if !j.Equal(v.t) {
		v.t, v.at = j, pos
		c.frame.grew = true
	}
}

// returns joins t into the result type of the current function.
func (c *checker) returns(t *types.Type, pos syntax.Position) {
	f := c.frame
	j := t
	if f.ret != nil {
		j = types.Join(f.ret, t)
	}
	if j == nil {
		hint := joinHint(f.ret, t)
		if hint == "" {
			hint = "return values of one type"
		}
		c.errorf(pos, hint, "%s returns %s elsewhere and %s here", f.fn.Name, f.ret.WithArticle(), t.WithArticle())
		c.pointAt(c.diags, f.retAt, "%s returns %s here", f.fn.Name, f.ret.WithArticle())
		return
	}
	if f.ret == nil || !j.Equal(f.ret) {
		f.ret, f.retAt = j, pos
		f.grew = true
	}
}
