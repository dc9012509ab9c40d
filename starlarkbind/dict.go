package starlarkbind

import (
	"cmp"
	"context"
	"math/bits"
	"reflect"
	"runtime"
	"sync"
	"unsafe"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/internal/gcpause"
	"github.com/bpfrepl/bpfrepl/internal/hugepage"
)

// A dict of a million keys is larger than the processor's caches, and keys come in an order that its hash does not know: each
// insert waits for memory. Put in by the part of the table that they go to, they do not.

const (
	manyKeys = 1 << 14 // what fits in a cache is put in as it comes
	partBits = 10      // log2 of the parts of a large table: each fits in a cache then
)

// A dictBuilder makes one dict. What it is told to expect it makes room for at once, aside: setting a hundred megabytes to zero, or having
// the kernel put memory there, takes as long as filling them.
type dictBuilder struct {
	ctx    context.Context
	alike  bool                // keys of the kernel's map may be the same one for the script; the last counts
	made   chan *starlark.Dict // nil: nothing was expected
	room   int                 // keys
	resume func()              // lets the collector go on
	cancel func()              // stops what is done aside
}

// expect makes room for so many keys, about.
func (m *dictBuilder) expect(n int) {
	m.close()
	m.resume = gcpause.Begin()
	ctx, cancel := context.WithCancel(m.ctx)
	made := make(chan *starlark.Dict, 1)
	m.made, m.room, m.cancel = made, n, cancel
	go func() {
		d := starlark.NewDict(n)
		table, size := tableOf(d)
		hugepage.AdviseRange(table, size)
		made <- d
		hugepage.PopulateRange(ctx, table, size)
		runtime.KeepAlive(d)
	}()
}

// close is called when the dict is made, or was not.
func (m *dictBuilder) close() {
	if m.made != nil {
		m.cancel()
		m.resume()
	}
}

// newDict makes a dict of n keys, all of them different. See fillDict.
func newDict[T any](ctx context.Context, n int, item func(i int) T, key, value func(T) starlark.Value) (*starlark.Dict, error) {
	m := dictBuilder{ctx: ctx}
	defer m.close()
	return fillDict(&m, n, 1, item, key, value)
}

// fillDict makes the dict. item gives what stands for the key at i, in the form that takes the least memory, and is called twice for each of many;
// item and key are called from as many goroutines as there are workers. The error is a key's that has no hash, or ErrInterrupted.
func fillDict[T any](m *dictBuilder, n, workers int, item func(i int) T, key, value func(T) starlark.Value) (*starlark.Dict, error) {
	if n < manyKeys {
		d := starlark.NewDict(n)
		for i := range n {
			x := item(i)
			if err := d.SetKey(key(x), value(x)); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	if m.made == nil || m.room < n/2 { // one that is a little too small grows if it has to
		m.expect(n)
	}
	// A table has between 1/8 and 1/3 as many buckets as keys, a power of two (starlark/hashtable.go); the low bits of the hash are
	// the bucket's index, of which the upper ones tell the part.
	shift := max(bits.Len(uint(m.room))-3-partBits, 0)
	part := make([]uint16, n)
	starts := make([][1 << partBits]int, workers) // by worker, where its next key of a part goes
	err := parallelRanges(n, workers, func(w, from, to int) error {
		for i := from; i < to; i++ {
			if err := interrupted(m.ctx, i); err != nil {
				return err
			}
			h, err := key(item(i)).Hash()
			if err != nil {
				return err
			}
			part[i] = uint16(h >> shift & (1<<partBits - 1))
			starts[w][part[i]]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	at := 0
	for p := range 1 << partBits {
		for w := range starts {
			starts[w][p], at = at, at+starts[w][p]
		}
	}
	items := make([]T, n)
	hugepage.Advise(items)
	err = parallelRanges(n, workers, func(w, from, to int) error {
		for i := from; i < to; i++ {
			if err := interrupted(m.ctx, i); err != nil {
				return err
			}
			next := &starts[w][part[i]]
			items[*next] = item(i)
			*next++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var d *starlark.Dict
	select {
	case d = <-m.made:
	case <-m.ctx.Done():
		return nil, ErrInterrupted
	}
	add := newDictAppender(d).add
	if m.alike {
		add = d.SetKey
	}
	for i, x := range items {
		if err := interrupted(m.ctx, i); err != nil {
			return nil, err
		}
		if err := add(key(x), value(x)); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// parallelRanges divides the numbers below n among workers. The error is the first worker's that has one.
func parallelRanges(n, workers int, do func(worker, from, to int) error) error {
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { errs[w] = recoverPanic(func() error { return do(w, n*w/workers, n*(w+1)/workers) }) })
	}
	wg.Wait()
	return cmp.Or(errs...)
}

// memoized gives what fn gives for each of n numbers, and keeps it for the next time.
func memoized(n int, fn func(i int) starlark.Value) func(i int) starlark.Value {
	all := make([]starlark.Value, n)
	hugepage.Advise(all)
	return func(i int) starlark.Value {
		if all[i] == nil {
			all[i] = fn(i)
		}
		return all[i]
	}
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
