package starlarkbind

import (
	"fmt"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler"
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

// A mapUsage records how full a map is known to be.
type mapUsage struct {
	next time.Time // time of the next count
	told bool
}

// A bounded is a map whose number of keys is limited.
type bounded interface {
	// usageOf returns a nil store if the map has no keys.
	usageOf() (store *kmap.Map, comp *compiler.Map, maxKeys int)
}

func (a *Aggregation) usageOf() (*kmap.Map, *compiler.Map, int) {
	if a.keyless() {
		return nil, nil, 0
	}
	return a.live(), a.decl, a.maxKeys
}

func (t *Table) usageOf() (*kmap.Map, *compiler.Map, int) { return t.store, t.decl, t.maxKeys }

// warnFill warns about maps that are nearly full, once per map. A map that has already dropped keys
// is skipped, because it has a warning of its own.
func (s *Session) warnFill() {
	if s.opt.Warnings == WarnNone {
		return
	}
	for _, m := range s.reg.allMaps() {
		k, ok := m.(bounded)
		if !ok {
			continue
		}
		store, comp, most := k.usageOf()
		f := s.warner.fills[comp]
		if store == nil || f.told || time.Now().Before(f.next) {
			continue
		}
		if err := s.countFill(store, comp, most, &f); err != nil {
			s.out.ReportError(err)
		}
		s.warner.fills[comp] = f
	}
}

func (s *Session) countFill(store *kmap.Map, comp *compiler.Map, most int, f *mapUsage) error {
	start := time.Now()
	keys, err := store.Count(s.run.Context())
	if err != nil {
		if s.run.Context().Err() != nil {
			return nil
		}
		return err
	}
	end := time.Now()
	f.next = end.Add(max(fillEvery, fillCost*end.Sub(start)))
	if keys*100 < most*usageWarnAt {
		return nil
	}
	f.told = true
	dropped, err := s.dropped(comp)
	if err != nil || dropped > 0 {
		return err
	}
	what, lost := "new keys will be dropped", fmt.Sprintf("make it larger: max_keys=%d", helpererr.NextSize(most))
	if comp.LRU {
		what = "the least recently used keys make room for new ones"
	}
	s.out.Warn("map_fill", map[string]any{"map": comp.Name, "keys": keys, "max_keys": most, "hint": lost},
		fmt.Sprintf("%s has %d of at most %d keys; when it is full, %s\n    hint: %s", comp.Name, keys, most, what, lost))
	return nil
}
