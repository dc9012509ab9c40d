package ir

import "github.com/cilium/ebpf/asm"

// Share makes one call of a helper that gives the same for the whole run (the current task's ids, the CPU) do for
// all the calls of it that it dominates. A value that dominates keeps a callee-saved register busy; that is
// cheaper than a second call.
func Share(f *Func) {
	dom := Dominators(f)
	seen := map[asm.BuiltinFunc][]*Value{}
	m := map[*Value]*Value{}
	po := Postorder(f)
	for i := len(po) - 1; i >= 0; i-- {
		for _, v := range po[i].Values {
			if v.Op != OpCall || !v.Pure || len(v.Args) > 0 {
				continue
			}
			if w := dominating(dom, seen[v.Helper], v); w != nil {
				m[v] = w
				continue
			}
			seen[v.Helper] = append(seen[v.Helper], v)
		}
	}
	replaceAll(f, m)
}

func dominating(dom *DomTree, vs []*Value, v *Value) *Value {
	for _, w := range vs {
		if dom.Dominates(w.Block, v.Block) {
			return w // in the same block w stands first: blocks are walked in order
		}
	}
	return nil
}
