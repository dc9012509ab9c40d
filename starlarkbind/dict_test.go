package starlarkbind

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.starlark.net/starlark"
)

// A dict has each key with its value, whether it is small or put in by parts.
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
			d, err := newDict(context.Background(), n, same, key, value)
			if err != nil || d.Len() != n {
				t.Fatalf("%s: %d keys of %d, %v", name, d.Len(), n, err)
			}
			for i := range n {
				if v, ok, err := d.Get(key(i)); err != nil || !ok || v != value(i) {
					t.Fatalf("%s, %d keys: at %v is %v, %v", name, n, key(i), v, err)
				}
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := newDict(ctx, manyKeys, same, keys["int"], value); !errors.Is(err, ErrInterrupted) {
		t.Errorf("interrupted: %v", err)
	}
	unhashable := func(int) starlark.Value { return starlark.NewList(nil) }
	for _, n := range []int{1, manyKeys} {
		if _, err := newDict(context.Background(), n, same, unhashable, value); err == nil || err.Error() != "unhashable type: list" {
			t.Errorf("%d keys: %v", n, err)
		}
	}
}
