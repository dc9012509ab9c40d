package starlarkbind

import (
	"context"
	"math/bits"
	"reflect"
	"unsafe"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/internal/hugepage"
)

// A dict of a million keys is larger than the processor's caches, and keys come in an order that its hash does not know: each
// insert waits for memory. Put in by the part of the table that they go to, they do not.

const (
	manyKeys = 1 << 14 // what fits in a cache is put in as it comes
	partBits = 10      // log2 of the parts of a large table: each fits in a cache then
)

// newDict makes a dict of n keys, all of them different. The error is a key's that has no hash, or ErrInterrupted.
func newDict(ctx context.Context, n int, key, value func(i int) starlark.Value) (*starlark.Dict, error) {
	d := starlark.NewDict(n)
	if n < manyKeys {
		for i := range n {
			if err := d.SetKey(key(i), value(i)); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	hugepage.AdviseRange(tableOf(d))
	// A table has between 1/8 and 1/3 as many buckets as keys, a power of two (starlark/hashtable.go); the low bits of the hash are
	// the bucket's index, of which the upper ones tell the part.
	shift := max(bits.Len(uint(n))-3-partBits, 0)
	keys, part := make([]starlark.Value, n), make([]uint16, n)
	hugepage.Advise(keys)
	var start [1<<partBits + 1]int
	for i := range n {
		if err := interrupted(ctx, i); err != nil {
			return nil, err
		}
		keys[i] = key(i)
		h, err := keys[i].Hash()
		if err != nil {
			return nil, err
		}
		part[i] = uint16(h >> shift & (1<<partBits - 1))
		start[part[i]+1]++
	}
	for p := range 1 << partBits {
		start[p+1] += start[p]
	}
	pairs := make([][2]starlark.Value, n)
	hugepage.Advise(pairs)
	for i, p := range part {
		pairs[start[p]] = [2]starlark.Value{keys[i], value(i)}
		start[p]++
	}
	for i, pair := range pairs {
		if err := interrupted(ctx, i); err != nil {
			return nil, err
		}
		if err := d.SetKey(pair[0], pair[1]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// tableOf gives the memory of a new dict's hash table, which starlark keeps to itself; none where it is made otherwise than it was.
func tableOf(d *starlark.Dict) (p unsafe.Pointer, bytes uintptr) {
	ht := reflect.ValueOf(d).Elem().FieldByName("ht")
	if ht.Kind() != reflect.Struct {
		return nil, 0
	}
	t := ht.FieldByName("table")
	if t.Kind() != reflect.Slice {
		return nil, 0
	}
	return t.UnsafePointer(), uintptr(t.Len()) * t.Type().Elem().Size()
}
