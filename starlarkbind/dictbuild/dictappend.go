package dictbuild

import (
	"reflect"
	"unsafe"

	"go.starlark.net/starlark"
)

// Starlark hashes an int by multiplying its low 32 bits, and the low bits of the product select the
// bucket. So numbers that differ only in their upper bits, such as page addresses, fall into few
// buckets. Since starlark searches the bucket before each insert, 100,000 page addresses take
// seconds, and as many multiples of 2**20 half a minute. The hash cannot be replaced, because ints
// in the script have to find their keys. But the keys of a map are known to be distinct, so the
// search can be skipped: keys are appended to the table as starlark does it, directly in starlark's
// own structures. If the layout of these structures has changed, SetKey is used instead.

// These types mirror the structures of starlark/hashtable.go.
type (
	dictEntry struct {
		hash       uint32
		key, value starlark.Value
		next       *dictEntry
		prevLink   **dictEntry
	}
	dictBucket struct {
		entries [8]dictEntry
		next    *dictBucket
	}
	dictTable struct {
		table     []dictBucket
		bucket0   [1]dictBucket
		len       uint32
		itercount uint32
		head      *dictEntry
		tailLink  **dictEntry
		frozen    bool
	}
)

// A dictAppender appends distinct keys to a new dict.
type dictAppender struct {
	d     *starlark.Dict
	table *dictTable    // nil: the layout is unknown
	last  []*dictBucket // last bucket of each overflow chain; nil: no overflow
}

func newDictAppender(d *starlark.Dict) *dictAppender {
	a := &dictAppender{d: d}
	if layoutKnown() && d.Len() == 0 {
		a.table = (*dictTable)(unsafe.Pointer(d))
		a.last = make([]*dictBucket, len(a.table.table))
	}
	return a
}

// add appends a key, which the dict must not contain.
func (a *dictAppender) add(key, value starlark.Value) error {
	if a.table == nil || len(a.last) == 0 {
		return a.d.SetKey(key, value)
	}
	h, err := key.Hash()
	if err != nil {
		return err
	}
	h = max(h, 1) // 0 marks a free entry
	i := h & uint32(len(a.last)-1)
	b := a.last[i]
	if b == nil {
		b = &a.table.table[i]
	}
	free := -1
	for i := range b.entries {
		if b.entries[i].hash == 0 {
			free = i
			break
		}
	}
	if free < 0 {
		b.next = new(dictBucket)
		b, free = b.next, 0
		a.last[i] = b
	}
	e := &b.entries[free]
	e.hash, e.key, e.value, e.prevLink = h, key, value, a.table.tailLink
	*a.table.tailLink = e
	a.table.tailLink = &e.next
	a.table.len++
	return nil
}

// layoutKnown reports whether starlark's structures match the types above.
func layoutKnown() bool {
	ht, ok := reflect.TypeFor[starlark.Dict]().FieldByName("ht")
	return ok && ht.Offset == 0 && sameLayout(ht.Type, reflect.TypeFor[dictTable](), 4)
}

// sameLayout reports whether the fields of b have the same names, offsets and types in a, which may
// have more fields after them. It follows pointers, slices and arrays up to depth levels.
func sameLayout(a, b reflect.Type, depth int) bool {
	if a.Kind() != b.Kind() || depth == 0 {
		return depth == 0
	}
	switch a.Kind() {
	case reflect.Struct:
		if a.NumField() < b.NumField() {
			return false
		}
		for i := range b.NumField() {
			f, g := a.Field(i), b.Field(i)
			if f.Name != g.Name || f.Offset != g.Offset || !sameLayout(f.Type, g.Type, depth) {
				return false
			}
		}
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return (a.Kind() != reflect.Array || a.Len() == b.Len()) && a.Elem().Size() == b.Elem().Size() && sameLayout(a.Elem(), b.Elem(), depth-1)
	}
	return a == b
}
