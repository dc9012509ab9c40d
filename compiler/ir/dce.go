package ir

import "slices"

// deadCode removes values that are not needed. A value is needed if it has an effect, if the end of
// a block uses it, or if a needed value uses it.
func deadCode(f *Func) {
	live := make([]bool, f.nextVal)
	var work []*Value
	need := func(v *Value) {
		if v != nil && !live[v.ID] {
			live[v.ID] = true
			work = append(work, v)
		}
	}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.HasEffect() {
				need(v)
			}
		}
		need(b.X)
		need(b.Y)
	}
	for len(work) > 0 {
		v := work[len(work)-1]
		work = work[:len(work)-1]
		for _, a := range v.Args {
			need(a)
		}
	}
	dead := func(v *Value) bool { return !live[v.ID] }
	for _, b := range f.Blocks {
		b.Phis = slices.DeleteFunc(b.Phis, dead)
		b.Values = slices.DeleteFunc(b.Values, dead)
	}
}
