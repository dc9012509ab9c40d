package ir

import "slices"

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

// get returns the value that replaces v, or v itself.
func (r *replacement) get(v *Value) *Value {
	for v != nil && r.gone(v) {
		v = r.by[v.ID]
	}
	return v
}

// gone reports whether another value replaces v.
func (r *replacement) gone(v *Value) bool { return v.ID < len(r.by) && r.by[v.ID] != nil }
