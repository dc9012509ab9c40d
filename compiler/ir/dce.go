package ir

// DeadCode drops values that nothing needs: neither an effect, nor the end of a block, nor a value that is
// itself needed.
func DeadCode(f *Func) {
	live := map[*Value]bool{}
	var work []*Value
	need := func(v *Value) {
		if v != nil && !live[v] {
			live[v] = true
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
	for _, b := range f.Blocks {
		b.Phis = keep(b.Phis, live)
		b.Values = keep(b.Values, live)
	}
}

func keep(vs []*Value, live map[*Value]bool) []*Value {
	out := vs[:0]
	for _, v := range vs {
		if live[v] {
			out = append(out, v)
		}
	}
	return out
}
