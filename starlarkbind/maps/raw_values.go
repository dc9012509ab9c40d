package maps

import "github.com/bpfrepl/bpfrepl/compiler/agg"

// RawValues holds values by key, both in the kernel's representation, in the order in which they
// were added.
type RawValues struct {
	Keys  []string
	Vals  [][]uint64
	index map[string]int // built by the first lookup: a million keys take a quarter of a second
}

func newRawValues(n int) *RawValues {
	return &RawValues{Keys: make([]string, 0, n), Vals: make([][]uint64, 0, n)}
}

// find returns the index of a key.
func (w *RawValues) find(key string) (int, bool) {
	if w.index == nil {
		w.index = make(map[string]int, cap(w.Keys))
		for i, k := range w.Keys {
			w.index[k] = i
		}
	}
	i, ok := w.index[key]
	return i, ok
}

// Get returns the value of a key, or nil.
func (w *RawValues) Get(key string) []uint64 {
	if i, ok := w.find(key); ok {
		return w.Vals[i]
	}
	return nil
}

// put adds a key that is not present.
func (w *RawValues) put(key string, v []uint64) {
	if w.index != nil {
		w.index[key] = len(w.Keys)
	}
	w.Keys = append(w.Keys, key)
	w.Vals = append(w.Vals, v)
}

// add merges v into the value of key, or adds the key if it is not present. RawValues keeps v.
func (w *RawValues) add(spec agg.Spec, key string, v []uint64) {
	if i, ok := w.find(key); ok {
		spec.Merge(w.Vals[i], v)
		return
	}
	w.put(key, v)
}
