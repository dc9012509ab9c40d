package ir

import "slices"

// A Pass is one rewrite of a function. The list is data, so that tests can run Verify after each
// pass.
type Pass struct {
	Name string
	Run  func(*Func)
}

// Passes lists the passes that Optimise runs, in order.
var Passes = []Pass{
	{"fold", fold},
	{"branches", branches},
	{"jumpthread", threadJumps},
	{"cse", cse},
	{"comm", commCSE},
	{"loadelim", loadElim},
	{"lookupcse", lookupCSE},
	{"branches", branches},
	{"sink", sink},
	{"deadstores", deadStores},
	{"dce", deadCode},
	{"mergeblocks", mergeBlocks},
	{"commpad", padComm}, // last: the other passes need not see its stores
}

// Optimise runs all passes. It calls canceled before each pass, and returns false as soon as that
// returns true. If after is not nil, it is called after each pass. lean skips the pass that extends
// the lifetimes of values, for a function whose stack has no room for the values that do not fit in
// registers.
func Optimise(f *Func, lean bool, after func(pass string, f *Func), canceled func() bool) bool {
	for _, p := range Passes {
		if lean && p.Name == "loadelim" {
			continue
		}
		if canceled() {
			return false
		}
		p.Run(f)
		if after != nil {
			after(p.Name, f)
		}
	}
	return true
}

// Called returns the first function and those that it calls or refers to, directly or indirectly.
// The verifier rejects a subprogram that nothing calls, and folding may remove the only call.
func Called(funcs []*Func) []*Func {
	named := map[string]bool{funcs[0].Name: true}
	for n := 0; n < len(named); {
		n = len(named)
		for _, f := range funcs {
			if !named[f.Name] {
				continue
			}
			for _, b := range f.Blocks {
				for _, v := range b.Values {
					if v.Op == OpCallSub || v.Op == OpFuncPtr {
						named[v.Sym] = true
					}
				}
			}
		}
	}
	var out []*Func
	for _, f := range funcs {
		if named[f.Name] {
			out = append(out, f)
		}
	}
	return out
}

// removeUnreachable removes the blocks that cannot be reached, and their edges.
func removeUnreachable(f *Func) {
	live := make([]bool, f.nextBlk)
	for _, b := range postorder(f) {
		live[b.ID] = true
	}
	out := f.Blocks[:0]
	for _, b := range f.Blocks {
		if !live[b.ID] {
			continue
		}
		out = append(out, b)
		for i := 0; i < len(b.Preds); {
			if live[b.Preds[i].ID] {
				i++
				continue
			}
			b.removePred(i)
		}
	}
	f.Blocks = out
}

func (b *Block) removePred(i int) {
	b.Preds = slices.Delete(b.Preds, i, i+1)
	for _, phi := range b.Phis {
		phi.Args = slices.Delete(phi.Args, i, i+1)
	}
}

// A replacement maps values, by ID, to the values that replace them.
type replacement struct {
	by []*Value
	n  int
}

func newReplacement(f *Func) *replacement { return &replacement{by: make([]*Value, f.nextVal)} }

// put replaces v by w.
func (r *replacement) put(v, w *Value) {
	r.by[v.ID] = w
	r.n++
}

// get returns the value that replaces v, or v itself.
func (r *replacement) get(v *Value) *Value {
	for v != nil && r.gone(v) {
		v = r.by[v.ID]
	}
	return v
}

// gone reports whether another value replaces v.
func (r *replacement) gone(v *Value) bool { return v.ID < len(r.by) && r.by[v.ID] != nil }

// replaceAll replaces each use of a replaced value, and removes the replaced values.
func replaceAll(f *Func, r *replacement) {
	if r.n == 0 {
		return
	}
	for _, b := range f.Blocks {
		for _, list := range [][]*Value{b.Phis, b.Values} {
			for _, v := range list {
				for i, a := range v.Args {
					v.Args[i] = r.get(a)
				}
			}
		}
		b.X, b.Y = r.get(b.X), r.get(b.Y)
	}
	for _, b := range f.Blocks {
		b.Phis = slices.DeleteFunc(b.Phis, r.gone)
		b.Values = slices.DeleteFunc(b.Values, r.gone)
	}
}
