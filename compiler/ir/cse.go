package ir

import "github.com/cilium/ebpf/asm"

// cse removes calls of a helper whose result is constant during a run (the current task's IDs, the
// CPU) if another call of it dominates them. A value that dominates its uses keeps a callee-saved
// register busy; that is cheaper than a second call.
//
// The context and the parameters exist from the start: one value replaces all reads of each.
func cse(f *Func) {
	shareParams(f)
	dom := dominators(f)
	seen := map[asm.BuiltinFunc][]*Value{}
	m := newReplacement(f)
	po := postorder(f)
	for i := len(po) - 1; i >= 0; i-- {
		for _, v := range po[i].Values {
			if v.Op != OpCall || !v.Pure || len(v.Args) > 0 {
				continue
			}
			if w := dominating(dom, seen[v.Helper], v); w != nil {
				m.put(v, w)
				continue
			}
			seen[v.Helper] = append(seen[v.Helper], v)
		}
	}
	replaceAll(f, m)
}

func dominating(dom *domTree, vs []*Value, v *Value) *Value {
	for _, w := range vs {
		if dom.dominates(w.Block, v.Block) {
			return w // in the same block w comes first: blocks are walked in order
		}
	}
	return nil
}

func shareParams(f *Func) {
	entry := f.Blocks[0]
	one := map[int64]*Value{}
	m := newReplacement(f)
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Op != OpCtx {
				continue
			}
			p := one[v.Imm]
			if p == nil {
				p = f.NewValue(OpCtx)
				p.Imm, p.Pos, p.Block = v.Imm, v.Pos, entry
				one[v.Imm] = p
			}
			m.put(v, p)
		}
	}
	replaceAll(f, m)
	for n := int64(4); n >= 0; n-- { // there are five registers for parameters
		if p := one[n]; p != nil {
			entry.Values = append([]*Value{p}, entry.Values...)
		}
	}
}
