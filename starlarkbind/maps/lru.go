package maps

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/internal/plural"
)

// The kernel does not report how many keys it evicts from a table with lru=True. The number is
// computed from the keys inserted and deleted: handlers count theirs next to their error cells, and
// the script's own are counted in tallies.

// tallies count the keys that the script itself inserted into and deleted from a table.
type tallies struct{ made, gone uint64 }

// set stores a value in an LRU table and counts the key if it is new. The kernel can evict the key
// between the two updates, so that the one with EXIST finds none. Both are then tried again.
func (n *tallies) set(m *kmap.Map, key, value []byte) error {
	for {
		err := m.Update(key, value, kmap.NoExist)
		if err == nil {
			n.made++
		}
		if !errors.Is(err, kmap.ErrKeyExist) {
			return err
		}
		if err := m.Update(key, value, kmap.Exist); !errors.Is(err, kmap.ErrKeyNotExist) {
			return err
		}
	}
}

// Evicted returns the number of keys that the kernel removed to make room: those inserted, less
// those deleted and those present. The number is exact while nothing writes to the table. Otherwise
// it may be too small, but not too large.
func (t *Table) Evicted(ctx context.Context) (uint64, error) {
	if !t.decl.LRU || t.store == nil {
		return 0, nil
	}
	n := t.own
	made, gone, err := t.env.KeyCounts(t.decl)
	if err != nil {
		return 0, err
	}
	n.made += made
	n.gone += gone
	keys, err := t.store.Count(ctx)
	if err != nil {
		return 0, err
	}
	return n.made - min(n.made, n.gone+uint64(keys)), nil
}

// WarnEvicted reports how many keys a table with lru=True lost.
func (t *Table) WarnEvicted() error {
	n, err := t.Evicted(context.Background())
	if err != nil || n == 0 {
		return err
	}
	t.env.Out.Warn("evicted", map[string]any{"map": t.Name(), "count": n, "max_keys": t.maxKeys},
		fmt.Sprintf("%s: the kernel removed %s to make room for new ones (lru=True)", t.Name(), plural.Of(n, "key")))
	return nil
}
