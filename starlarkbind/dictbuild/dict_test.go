package dictbuild

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// A dict maps each key to its value, whether New builds it at once or in parts.
func TestNewDict(t *testing.T) {
	keys := map[string]func(i int) starlark.Value{
		"int":    func(i int) starlark.Value { return starlark.MakeInt64(int64(i-5) * 0x100003) },
		"string": func(i int) starlark.Value { return starlark.String(fmt.Sprint("key", i)) },
		"tuple":  func(i int) starlark.Value { return starlark.Tuple{starlark.MakeInt(i % 7), starlark.MakeInt(i)} },
	}
	same := func(i int) int { return i }
	value := func(i int) starlark.Value { return starlark.MakeInt(3 * i) }
	for name, key := range keys {
		for _, n := range []int{0, 1, manyKeys - 1, manyKeys, 3 * manyKeys, 100_003} {
			d, err := New(context.Background(), n, same, key, value)
			if err != nil || d.Len() != n {
				t.Fatalf("%s: %d keys of %d, %v", name, d.Len(), n, err)
			}
			for i := range n {
				if v, ok, err := d.Get(key(i)); err != nil || !ok || v != value(i) {
					t.Fatalf("%s, %d keys: at %v is %v, %v", name, n, key(i), v, err)
				}
			}
			items := d.Items()
			for i, it := range items { // in insertion order, and removable like those of any dict
				if _, ok, err := d.Delete(it[0]); err != nil || !ok || d.Len() != n-1-i {
					t.Fatalf("%s, %d keys: delete of %v: %v, %v; %d left", name, n, it[0], ok, err, d.Len())
				}
				if i%3 == 0 {
					if err := d.SetKey(it[0], value(i)); err != nil {
						t.Fatal(err)
					}
					if _, ok, err := d.Delete(it[0]); err != nil || !ok {
						t.Fatalf("%s, %d keys: second delete of %v: %v, %v", name, n, it[0], ok, err)
					}
				}
			}
			if len(items) != n || d.Len() != 0 || len(d.Items()) != 0 {
				t.Fatalf("%s: %d of %d keys, %d left", name, len(items), n, d.Len())
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := New(ctx, manyKeys, same, keys["int"], value); !errors.Is(err, runner.ErrInterrupted) {
		t.Errorf("interrupted: %v", err)
	}
	unhashable := func(int) starlark.Value { return starlark.NewList(nil) }
	for _, n := range []int{1, manyKeys} {
		if _, err := New(context.Background(), n, same, unhashable, value); err == nil || err.Error() != "unhashable type: list" {
			t.Errorf("%d keys: %v", n, err)
		}
	}
}

// Building a dict is as fast if the hashes of its keys have the same low bits.
func TestDictOfPages(t *testing.T) {
	if !layoutKnown() {
		t.Fatal("starlark's dict is not what dictappend.go has of it: compare starlark/hashtable.go")
	}
	const n = 100_000
	for _, shift := range []uint{12, 20, 40} {
		key := func(i int) starlark.Value { return starlark.MakeUint64(0xffff888000000000 + uint64(i)<<shift) }
		start := time.Now()
		d, err := New(context.Background(), n, func(i int) int { return i }, key, func(i int) starlark.Value { return starlark.MakeInt(i) })
		if err != nil || d.Len() != n {
			t.Fatal(d.Len(), err)
		}
		if took := time.Since(start); took > time.Second { // SetKey takes 3 to 30 seconds
			t.Errorf("keys that differ from bit %d on: %v", shift, took)
		}
		for i := 0; i < n; i += n / 50 {
			if v, ok, err := d.Get(key(i)); err != nil || !ok || v != starlark.MakeInt(i) {
				t.Fatalf("at %v is %v, %v", key(i), v, err)
			}
		}
		if _, ok, err := d.Get(key(n)); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
}
