package lower

import (
	"fmt"
	"reflect"
	"slices"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A function of the script that a handler calls is inlined at the call. A function that is called
// several times, with arguments of the same types and the same constants, becomes a subprogram
// instead if that makes the program smaller: its parameters, its result and the event are passed in
// a frame on the caller's stack, as for the body of a loop (callback.go). The first lowering of the
// handler counts the calls of each function; the second uses the counts. Functions that take or
// return strings stay inlined: copying the strings would cost more than is saved.

// A subprog is a function with particular types and constants as its arguments.
type subprog struct {
	call   *tree.CallExpr // the first call, whose body is lowered
	calls  int
	sub    bool // it becomes a subprogram
	body   *callbackBody
	params []*home
	result *home
	work   int // of one run of the body, see budget
}

// frameCost and wordCost estimate the instructions for a call of a subprogram: per call, and per
// word of its frame. A node of the syntax tree is estimated as one instruction.
const (
	frameCost = 8
	wordCost  = 2
)

// chooseSubprogs decides which functions become subprograms, and reports whether there are any.
func (lw *Lowerer) chooseSubprogs() bool {
	lw.subprogsChosen = true
	any := false
	for _, f := range lw.shared {
		size := 0
		for _, s := range f.call.Func.Fn.Body {
			syntax.Walk(s, func(n syntax.Node) bool {
				if n != nil {
					size++
				}
				return true
			})
		}
		cost := frameCost + wordCost*len(f.call.Params)
		f.sub = (f.calls-1)*size > f.calls*cost
		any = any || f.sub
	}
	return any
}

// subprog returns the subprogram for a call, or nil if the call is to be inlined.
func (lw *Lowerer) subprog(e *tree.CallExpr) *subprog {
	if e.Top || !shareable(e) {
		return nil
	}
	key := callKey(e)
	for _, f := range lw.sharedBy[key] {
		if sameCall(f.call, e) {
			if !lw.subprogsChosen {
				f.calls++
			}
			if f.sub {
				return f
			}
			return nil
		}
	}
	if !lw.subprogsChosen {
		f := &subprog{call: e, calls: 1}
		lw.shared = append(lw.shared, f)
		lw.sharedBy[key] = append(lw.sharedBy[key], f)
	}
	return nil
}

func shareable(e *tree.CallExpr) bool {
	for _, p := range e.Params {
		if p.Static == nil && hasStr(p.T) {
			return false
		}
	}
	return !hasStr(e.T)
}

func hasStr(t *types.Type) bool {
	return !t.IsScalar() && t.Kind != types.None && t.Kind != types.Tuple && t.Kind != types.Opt ||
		t.Kind == types.Opt && hasStr(t.Elem) || t.Kind == types.Tuple && slices.ContainsFunc(t.Elems, hasStr)
}

// callKey returns a key that is the same for calls that can share a body, and seldom the same for
// others.
func callKey(e *tree.CallExpr) string {
	key := fmt.Sprint(e.Func.Name, e.Func.ID)
	for _, p := range e.Params {
		if k, ok := p.Static.(*tree.ConstExpr); ok {
			key += fmt.Sprint(" ", k.Value)
		}
	}
	return key
}

// sameCall reports whether two calls can share a body.
func sameCall(a, b *tree.CallExpr) bool {
	if a.Func.Fn != b.Func.Fn || a.Func.ID != b.Func.ID || len(a.Params) != len(b.Params) {
		return false
	}
	for i, p := range a.Params {
		q := b.Params[i]
		if !p.T.Equal(q.T) || (p.Static == nil) != (q.Static == nil) || p.Static != nil && !sameStatic(p.Static, q.Static) {
			return false
		}
	}
	return true
}

func sameStatic(a, b tree.Expr) bool {
	switch a := a.(type) {
	case *tree.ConstExpr:
		b, ok := b.(*tree.ConstExpr)
		return ok && reflect.DeepEqual(a.Value, b.Value)
	case *tree.StaticExpr:
		b, ok := b.(*tree.StaticExpr)
		if !ok {
			return false
		}
		if f, isFunc := a.Entity.(*tree.Func); isFunc {
			g, isFunc := b.Entity.(*tree.Func)
			return isFunc && f.Fn == g.Fn && f.ID == g.ID
		}
		return a.Entity == b.Entity
	}
	return false
}

// callShared calls the subprogram, which the first call creates.
func (lw *Lowerer) callShared(f *subprog, e *tree.CallExpr) Val {
	b := lw.B
	if f.result == nil {
		f.result = lw.newHome(f.call.T, e.Func.Name)
		for _, p := range f.call.Params {
			f.params = append(f.params, lw.newHome(p.T, p.Name))
		}
	}
	// Compute all arguments before assigning any parameter: an argument may be a call of the same
	// function.
	args := make([]Val, len(e.Args))
	for i, p := range f.call.Params {
		if p.Static == nil {
			args[i] = lw.Value(tree.Convert(e.Args[i], p.T))
		}
	}
	for i, p := range f.call.Params {
		if p.Static == nil {
			lw.setVal(f.params[i], args[i])
		}
	}
	if f.body != nil {
		lw.budget.work += f.work * lw.times
	} else {
		before := lw.budget.work
		f.body = lw.newCallbackBody(e.Func.Name, 1, func(_ []*ir.Value, next, _ *ir.Block) {
			for i, p := range f.call.Params {
				lw.homes[p] = f.params[i]
			}
			r := &result{f.result, lw.B.Block("return"), 0, lw.out}
			lw.out.capture(f.result)
			lw.rets[f.call] = r
			lw.block(f.call.Body)
			lw.B.Jump(r.exit)
			lw.B.Continue(r.exit)
			lw.B.Jump(next)
		})
		f.work = (lw.budget.work - before) / lw.times
	}
	pos := b.Pos
	lw.callBody(f.body, false, func(_, frame *ir.Value) {
		v := b.Add(ir.OpCallSub, frame)
		v.Sym = f.body.name
	})
	b.Pos = pos
	return lw.get(f.result)
}
