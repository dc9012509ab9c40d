package maps

import (
	"fmt"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/starlarkbind/helpererr"
)

// A map that is nearly full gets a warning before it drops anything. The kernel does not report how
// many keys a hash map has, so they are counted. Counting is limited to a small share of the time.

const (
	usageWarnAt = 90 // warn when this percentage of max_keys is in use
	// After a count that took t, the next one is at least 200 t later. Counting thus uses at most
	// 0.5 % of each CPU that counts.
	fillCost  = 200
	fillEvery = time.Second
)

// A usage records how full a map is known to be.
type usage struct {
	next time.Time // time of the next count
	told bool
}

// WarnFill implements Map.
func (a *Aggregation) WarnFill() error {
	if a.Keyless() {
		return nil
	}
	return a.usage.warn(a.env, a.Live(), a)
}

// WarnFill implements Map.
func (t *Table) WarnFill() error { return t.usage.warn(t.env, t.store, t) }

// warn warns, once, if the map m is nearly full. store is its kernel map, which may be nil. A map
// that has already dropped keys gets no warning, because it has one of its own.
func (u *usage) warn(env *Env, store *kmap.Map, m Map) error {
	if store == nil || u.told || time.Now().Before(u.next) {
		return nil
	}
	start := time.Now()
	keys, err := store.Count(env.Run.Context())
	if err != nil {
		if env.Run.Context().Err() != nil {
			return nil
		}
		return err
	}
	end := time.Now()
	u.next = end.Add(max(fillEvery, fillCost*end.Sub(start)))
	decl, most := m.Decl(), m.MaxKeys()
	if keys*100 < most*usageWarnAt {
		return nil
	}
	u.told = true
	dropped, err := env.Dropped(decl)
	if err != nil || dropped > 0 {
		return err
	}
	what, lost := "new keys will be dropped", fmt.Sprintf("make it larger: max_keys=%d", helpererr.NextSize(most))
	if decl.LRU {
		what = "the least recently used keys make room for new ones"
	}
	env.Out.Warn("map_fill", map[string]any{"map": decl.Name, "keys": keys, "max_keys": most, "hint": lost},
		fmt.Sprintf("%s has %d of at most %d keys; when it is full, %s\n    hint: %s", decl.Name, keys, most, what, lost))
	return nil
}
