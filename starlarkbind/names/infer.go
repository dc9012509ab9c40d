package names

import (
	"math/big"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// The types of a map depend on all of its uses, but a probe is loaded as soon as the script reaches
// its call of probe(). So before loading the first program that uses a map, Infer looks at the
// calls of probe() that the script has not reached yet, as far as their specs and handlers can be
// determined from the source. Their handlers are checked together with the present one
// (compiler.Infer), and the maps are made wide enough for all of them. That is why two tables can
// depend on each other's types, and why the lengths of strings do not depend on the order of the
// probes. Errors in a later probe are reported when the script reaches it.

// lateScope resolves names for a function that the script has not defined yet: to the present
// globals of its file, or to functions defined further down, there or in a module.
type lateScope struct {
	names *Namespace
	file  string
	// globals returns the present globals of a file.
	globals func(file string) starlark.StringDict
}

// Lookup implements compiler.Scope.
func (l lateScope) Lookup(id *syntax.Ident) compiler.Entity {
	if b, ok := id.Binding.(*resolve.Binding); ok && b.Scope == resolve.Free {
		return nil
	}
	if e := (&funcScope{names: l.names, globals: l.globals(l.file), outer: l.names.outer(l.file)}).Lookup(id); e != nil {
		return e
	}
	name := source.Global{File: l.file, Name: id.Name}
	if fn := l.names.sources.Def(name); fn != nil {
		return l.function(fn)
	}
	if from, ok := l.names.sources.Loaded(name); ok {
		return l.in(from.File).Lookup(&syntax.Ident{NamePos: id.NamePos, Name: from.Name})
	}
	return nil
}

// in returns the scope of another file.
func (l lateScope) in(file string) lateScope { return lateScope{l.names, file, l.globals} }

// function returns a function that the script has not defined yet. Only constant defaults of its
// parameters are known.
func (l lateScope) function(fn *resolve.Function) *compiler.Func {
	l = l.in(fn.Pos.Filename())
	f := &compiler.Func{Name: fn.Name, Pos: fn.Pos, Fn: fn, Scope: l, Defaults: map[string]compiler.Entity{}, ID: fn}
	for _, p := range fn.Params {
		if b, ok := p.(*syntax.BinaryExpr); ok {
			if v, ok := l.constant(b.Y); ok {
				f.Defaults[b.X.(*syntax.Ident).Name] = compiler.Const{V: v}
			}
		}
	}
	return f
}

// constant returns the value of a literal, of a global that holds a constant, or of a concatenation
// of such strings.
func (l lateScope) constant(x syntax.Expr) (any, bool) {
	switch x := x.(type) {
	case *syntax.ParenExpr:
		return l.constant(x.X)
	case *syntax.Literal:
		switch v := x.Value.(type) {
		case string:
			return v, true
		case int64:
			return big.NewInt(v), true
		}
	case *syntax.Ident:
		k, ok := l.Lookup(x).(compiler.Const)
		return k.V, ok
	case *syntax.BinaryExpr:
		a, ok1 := l.constant(x.X)
		b, ok2 := l.constant(x.Y)
		s, isStr1 := a.(string)
		t, isStr2 := b.(string)
		return s + t, ok1 && ok2 && isStr1 && isStr2 && x.Op == syntax.PLUS
	}
	return nil, false
}

// handler returns the function that an argument of probe() refers to, or nil.
func (l lateScope) handler(x syntax.Expr) *compiler.Func {
	switch x := x.(type) {
	case *syntax.LambdaExpr:
		if fn, ok := x.Function.(*resolve.Function); ok {
			return l.function(fn)
		}
	case *syntax.Ident:
		f, _ := l.Lookup(x).(*compiler.Func)
		return f
	}
	return nil
}

// A lateProbe is a call of probe() as far as it can be determined from its source.
type lateProbe struct {
	specs           []string
	handler, filter *compiler.Func
}

// probe returns what a call of probe() says in its source, or nil if its handler or its specs
// cannot be determined.
func (l lateScope) probe(call *syntax.CallExpr) *lateProbe {
	args := map[string]syntax.Expr{}
	for i, a := range call.Args {
		if b, ok := a.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
			args[b.X.(*syntax.Ident).Name] = b.Y
		} else if i < 3 {
			args[[]string{"spec", "handler", "filter"}[i]] = a
		}
	}
	if args["spec"] == nil || args["handler"] == nil {
		return nil
	}
	p := &lateProbe{handler: l.handler(args["handler"])}
	if f := args["filter"]; f != nil {
		p.filter = l.handler(f)
	}
	list := []syntax.Expr{args["spec"]}
	switch x := args["spec"].(type) {
	case *syntax.ListExpr:
		list = x.List
	case *syntax.TupleExpr:
		list = x.List
	}
	for _, x := range list {
		switch v, _ := l.constant(x); v := v.(type) {
		case string:
			p.specs = append(p.specs, v)
		case compiler.List:
			for _, e := range v {
				if s, ok := e.(string); ok {
					p.specs = append(p.specs, s)
				}
			}
		}
	}
	if p.handler == nil || len(p.specs) == 0 {
		return nil
	}
	return p
}

// maps returns the maps that functions refer to and whose types are not known or can still grow. It
// follows calls.
func (l lateScope) maps(fns ...*compiler.Func) map[*compiler.Map]bool {
	out, seen := map[*compiler.Map]bool{}, map[*resolve.Function]bool{}
	var visit func(f *compiler.Func)
	visit = func(f *compiler.Func) {
		if f == nil || seen[f.Fn] {
			return
		}
		seen[f.Fn] = true
		for _, st := range f.Fn.Body {
			syntax.Walk(st, func(n syntax.Node) bool {
				id, ok := n.(*syntax.Ident)
				if !ok || id.Binding == nil {
					return true
				}
				if b, ok := id.Binding.(*resolve.Binding); ok && b.Scope == resolve.Local {
					return true
				}
				switch e := f.Scope.Lookup(id).(type) {
				case *compiler.Map:
					if e.Key == nil || e.Val == nil || e.Open {
						out[e] = true
					}
				case *compiler.Func:
					visit(e)
				}
				return true
			})
		}
	}
	for _, f := range fns {
		visit(f)
	}
	return out
}

// Infer determines the types that the maps of a handler will have once all probes of the script are
// loaded, and stores them as hints for the compiler. fn is the function of h. own returns the
// requests for the handler itself, late those for the targets of a later probe. The hints are used
// until forget is called.
func (n *Namespace) Infer(h, f *compiler.Func, fn *starlark.Function, own func() []*compiler.Request, late func([]bpf.Target, *compiler.Func, *compiler.Func) []*compiler.Request) (forget func()) {
	globals := map[string]starlark.StringDict{h.Pos.Filename(): fn.Globals()} // nothing runs meanwhile
	scope := lateScope{n, h.Pos.Filename(), func(file string) starlark.StringDict {
		g, ok := globals[file]
		if running := n.running[file]; !ok && running != nil {
			g = running()
			globals[file] = g
		}
		return g
	}}
	want := scope.maps(h, f)
	if len(want) == 0 {
		return func() {}
	}
	reqs := own()
	calls := append([]*syntax.CallExpr{}, n.sources.Probes...)
	for found := true; found; {
		found = false
		for i, call := range calls {
			if call == nil {
				continue
			}
			p := scope.in(call.Lparen.Filename()).probe(call)
			if p == nil {
				calls[i] = nil
				continue
			}
			maps := scope.maps(p.handler, p.filter)
			if !overlap(maps, want) {
				continue
			}
			calls[i], found = nil, true
			for m := range maps {
				want[m] = true
			}
			var targets []bpf.Target
			for _, spec := range p.specs {
				// An error is reported when the script reaches the call.
				if ts, err := kinds.Resolve(spec); err == nil {
					targets = append(targets, ts...)
				}
			}
			reqs = append(reqs, late(targets, p.handler, p.filter)...)
		}
	}
	inferred := compiler.Infer(reqs)
	for m, t := range inferred {
		m.Hint = t
	}
	return func() {
		for m := range inferred {
			m.Hint = compiler.MapTypes{}
		}
	}
}

func overlap(a, b map[*compiler.Map]bool) bool {
	for m := range a {
		if b[m] {
			return true
		}
	}
	return false
}
