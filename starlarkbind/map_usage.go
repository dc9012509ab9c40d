package starlarkbind

import (
	"fmt"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler"
)

// A map that is nearly full is told of before it drops anything. The kernel does not say how many keys a hash has, so they
// are counted, as often as costs no more than a small part of the time.

const (
	fillWarn  = 90  // percent of the keys at which the warning comes
	fillCost  = 200 // after a count that took t, the next is at least 200 t away: half a hundredth of each CPU that counts
	fillEvery = time.Second
)

// A mapUsage is what is known of how full a map is.
type mapUsage struct {
	next time.Time // of the next count
	told bool
}

// A bounded is a map with keys that can run out.
type bounded interface {
	usageOf() (store *kmap.Map, comp *compiler.Map, maxKeys int) // store is nil where there are no keys
}

func (a *Aggregation) usageOf() (*kmap.Map, *compiler.Map, int) {
	if a.keyless() {
		return nil, nil, 0
	}
	return a.live(), a.decl, a.maxKeys
}

func (t *Table) usageOf() (*kmap.Map, *compiler.Map, int) { return t.store, t.decl, t.maxKeys }

// warnFill warns of maps that are nearly full, of each once. One that has dropped keys already has a warning of that.
func (s *Session) warnFill() {
	if s.opt.Warnings == WarnNone {
		return
	}
	s.mu.Lock()
	maps := append([]kernelMap{}, s.maps...)
	s.mu.Unlock()
	for _, m := range maps {
		k, ok := m.(bounded)
		if !ok {
			continue
		}
		store, comp, most := k.usageOf()
		f := s.fills[comp]
		if store == nil || f.told || time.Now().Before(f.next) {
			continue
		}
		if err := s.countFill(store, comp, most, &f); err != nil {
			s.reportError(err)
		}
		s.fills[comp] = f
	}
}

func (s *Session) countFill(store *kmap.Map, comp *compiler.Map, most int, f *mapUsage) error {
	start := time.Now()
	keys, err := store.Count(s.ctx)
	if err != nil {
		if s.ctx.Err() != nil {
			return nil
		}
		return err
	}
	end := time.Now()
	f.next = end.Add(max(fillEvery, fillCost*end.Sub(start)))
	if keys*100 < most*fillWarn {
		return nil
	}
	f.told = true
	dropped, err := s.dropped(comp)
	if err != nil || dropped > 0 {
		return err
	}
	what, lost := "new ones will be dropped", fmt.Sprintf("make it larger: max_keys=%d", nextSize(most))
	if comp.LRU {
		what = "those used least recently go to make room"
	}
	s.out.warn("map_fill", map[string]any{"map": comp.Name, "keys": keys, "max_keys": most, "hint": lost},
		fmt.Sprintf("%s has %d keys of the %d that it has room for; then %s\n    hint: %s", comp.Name, keys, most, what, lost))
	return nil
}
