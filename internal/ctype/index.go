package ctype

import (
	"encoding/binary"
	"hash/maphash"
	"iter"
)

// scansBefore is the number of searches without an index.
const scansBefore = 3

// index builds the index of the table's own types.
func (t *Table) index() *hashChains {
	size := 1
	for size < len(t.offsets) {
		size *= 2
	}
	x := &hashChains{maphash.MakeSeed(), make([]uint32, size), make([]uint32, len(t.offsets)+1)}
	for i := len(t.offsets) - 1; i >= 0; i-- {
		if t.first == 0 && i == 0 {
			continue // void
		}
		name := binary.NativeEndian.Uint32(t.types[t.offsets[i]:])
		if name == 0 {
			continue
		}
		slot := &x.heads[x.slot(t.bytesAt(name))]
		x.next[i+1] = *slot
		*slot = uint32(i + 1)
	}
	return x
}

func (x *hashChains) slot(name []byte) uint64 {
	return maphash.Bytes(x.seed, name) & uint64(len(x.heads)-1)
}

// named returns the IDs of the table's own types that have the name and one of the kinds, in order.
func (t *Table) named(name string, kinds ...uint32) iter.Seq[uint32] {
	mask := uint32(0)
	for _, k := range kinds {
		mask |= 1 << k
	}
	matches := func(id uint32) bool {
		h := t.headAt(int(t.offsets[id-t.first]))
		return mask>>h.kind()&1 != 0 && t.is(h.name, name)
	}
	return func(yield func(uint32) bool) {
		if name == "" {
			return
		}
		x := t.names.built.Load()
		if x == nil && t.names.searches.Add(1) > scansBefore {
			x = t.index()
			t.names.built.Store(x)
		}
		if x == nil {
			for id := range t.own() {
				if matches(id) && !yield(id) {
					return
				}
			}
			return
		}
		for i := x.heads[x.slot([]byte(name))]; i != 0; i = x.next[i] {
			if id := t.first + i - 1; matches(id) && !yield(id) {
				return
			}
		}
	}
}

// find returns the ID of the first type that has the name and one of the kinds.
func (t *Table) find(name string, kinds ...uint32) (uint32, bool) {
	for id := range t.named(name, kinds...) {
		return id, true
	}
	return 0, false
}
