package ir

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
