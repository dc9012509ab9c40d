// Package dictbuild builds large Starlark dicts quickly.
//
// A dict of a million keys is larger than the processor's caches, and keys arrive in an order
// unrelated to their hashes, so each insert waits for memory. Large dicts are therefore built by a
// radix partition: keys are first grouped by the part of the hash table that they belong to, and
// then inserted part by part, each of which fits in a cache.
package dictbuild

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
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

const (
	manyKeys = 1 << 14 // a dict with fewer keys fits in a cache and is filled directly
	partBits = 10      // log2 of the number of parts of a large table; each part fits in a cache
)

// A Builder builds one dict. A call of Expect allocates its table in the background: zeroing a
// hundred megabytes, or having the kernel fault them in, takes as long as filling them.
type Builder struct {
	Ctx context.Context
	// Different keys of the kernel map may be the same key for the script; the last one counts.
	Alike  bool
	made   chan *starlark.Dict // nil before Expect
	room   int                 // keys
	resume func()              // resumes the garbage collector
	cancel func()              // stops the background work
}

// Expect begins to allocate a table for about n keys.
func (m *Builder) Expect(n int) {
	m.Close()
	m.resume = gcpause.Begin()
	ctx, cancel := context.WithCancel(m.Ctx)
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

// Close must be called when the dict is complete or abandoned.
func (m *Builder) Close() {
	if m.made != nil {
		m.cancel()
		m.resume()
	}
}

// New makes a dict of n distinct keys. See Fill.
func New[T any](ctx context.Context, n int, item func(i int) T, key, value func(T) starlark.Value) (*starlark.Dict, error) {
	m := Builder{Ctx: ctx}
	defer m.Close()
	return Fill(&m, n, 1, item, key, value)
}

// Fill builds a dict of n entries. item returns a representation of entry i, preferably one
// that takes little memory; key and value convert it. For large n, item is called twice for each
// entry, and item and key are called from several goroutines, as many as there are workers. The
// error is that of a key that cannot be hashed, or ErrInterrupted.
func Fill[T any](m *Builder, n, workers int, item func(i int) T, key, value func(T) starlark.Value) (*starlark.Dict, error) {
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
	if m.made == nil || m.room < n/2 { // a table that is slightly too small grows
		m.Expect(n)
	}
	// A table has between 1/8 and 1/3 as many buckets as keys, and their number is a power of two
	// (starlark/hashtable.go). The low bits of the hash are the bucket's index; the upper bits of
	// that index select the part.
	shift := max(bits.Len(uint(m.room))-3-partBits, 0)
	part := make([]uint16, n)
	starts := make([][1 << partBits]int, workers) // for each worker, the index of its next key by part
	err := parallelRanges(n, workers, func(w, from, to int) error {
		for i := from; i < to; i++ {
			if err := runner.Interrupted(m.Ctx, i); err != nil {
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
			if err := runner.Interrupted(m.Ctx, i); err != nil {
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
	case <-m.Ctx.Done():
		return nil, runner.ErrInterrupted
	}
	add := newDictAppender(d).add
	if m.Alike {
		add = d.SetKey
	}
	for i, x := range items {
		if err := runner.Interrupted(m.Ctx, i); err != nil {
			return nil, err
		}
		if err := add(key(x), value(x)); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// parallelRanges divides the range [0, n) among workers and waits for them. It returns the error of
// the first worker, by number, that failed.
func parallelRanges(n, workers int, do func(worker, from, to int) error) error {
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { errs[w] = runner.RecoverPanic(func() error { return do(w, n*w/workers, n*(w+1)/workers) }) })
	}
	wg.Wait()
	return cmp.Or(errs...)
}

// Memoized returns a function that calls fn once for each i below n and caches the results.
func Memoized(n int, fn func(i int) starlark.Value) func(i int) starlark.Value {
	all := make([]starlark.Value, n)
	hugepage.Advise(all)
	return func(i int) starlark.Value {
		if all[i] == nil {
			all[i] = fn(i)
		}
		return all[i]
	}
}

// tableOf returns the memory of a new dict's hash table, which starlark does not export. It returns
// nil if the dict's layout is not the expected one.
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
