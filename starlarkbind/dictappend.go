package starlarkbind

import (
	"reflect"
	"unsafe"

	"go.starlark.net/starlark"
)

// Starlark's hash of an int is a product with its low 32 bits, whose low bits choose the bucket: numbers that differ in their upper
// bits only, such as addresses of pages, come to a few buckets. Since starlark looks through a bucket for each key that is inserted,
// 100,000 addresses of pages take seconds and as many multiples of 2**20 half a minute. The hash cannot be another one, because an int
// in the script has to find its key. But the keys of a map are known to differ, so they need not be looked for: they are appended to
// the table as starlark does it, in starlark's own structures. Where these are not what they were, SetKey does the work.

// The structures of starlark/hashtable.go.
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

// A dictAppender appends keys to a new dict.
type dictAppender struct {
	d     *starlark.Dict
	table *dictTable    // nil: it is not known
	last  []*dictBucket // of the buckets that overflow; nil: the bucket itself
}

func newDictAppender(d *starlark.Dict) *dictAppender {
	a := &dictAppender{d: d}
	if dictLayoutKnown() && d.Len() == 0 {
		a.table = (*dictTable)(unsafe.Pointer(d))
		a.last = make([]*dictBucket, len(a.table.table))
	}
	return a
}

// add appends a key that the dict does not have.
func (a *dictAppender) add(key, value starlark.Value) error {
	if a.table == nil || len(a.last) == 0 {
		return a.d.SetKey(key, value)
	}
	h, err := key.Hash()
	if err != nil {
		return err
	}
	h = max(h, 1) // 0 is that of a free entry
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

// dictLayoutKnown reports whether starlark's structures are those above.
func dictLayoutKnown() bool {
	ht, ok := reflect.TypeFor[starlark.Dict]().FieldByName("ht")
	return ok && ht.Offset == 0 && sameLayout(ht.Type, reflect.TypeFor[dictTable](), 4)
}

// sameLayout reports whether the first fields of a struct have the names, places and types of those of another one.
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
