package starlarkbind

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler"
)

// The kernel does not say how many keys it evicts from a table with lru=True, so the keys that come and go are counted: handlers
// tally theirs beside their errors, a script's are in tallies.

// tallies are what the script itself did to a table.
type tallies struct{ made, gone uint64 }

// set stores a value under a key of a table whose keys the kernel evicts, and counts the key if it is new. An EXIST that
// finds nothing has lost its key meanwhile, so the two are tried in turn.
func (n *tallies) set(m *kmap.Map, key, value []byte) error {
	for {
		err := m.Update(key, value, kmap.NoExist)
		if err == nil {
			n.made++
		}
		if !errors.Is(err, kmap.ErrKeyExist) {
			return err
		}
		if err := m.Update(key, value, kmap.Exist); !isNotExist(err) {
			return err
		}
	}
}

// evicted is how many keys the kernel removed to make room: those that were made, less those that were removed and those that
// are there. It is exact while nothing writes to the table, and too small rather than too large else.
func (t *Table) evicted(ctx context.Context) (uint64, error) {
	if !t.decl.LRU || t.store == nil {
		return 0, nil
	}
	n := t.own
	for _, p := range t.s.allProbes() {
		err := p.eachCell(func(_ *program, site compiler.Site, c kmap.Cell) {
			switch {
			case site.Map != t.decl:
			case site.KeyCounter == compiler.KeysInserted:
				n.made += c.Count
			case site.KeyCounter == compiler.KeysDeleted:
				n.gone += c.Count
			}
		})
		if err != nil {
			return 0, err
		}
	}
	keys, err := t.store.Count(ctx)
	if err != nil {
		return 0, err
	}
	return n.made - min(n.made, n.gone+uint64(keys)), nil
}

// warnEvicted tells at the end what each table with lru=True lost: it was asked for, so with --warnings=all only.
func (s *Session) warnEvicted() {
	if s.opt.Warnings != WarnAll {
		return
	}
	for _, m := range s.maps {
		t, ok := m.(*Table)
		if !ok {
			continue
		}
		n, err := t.evicted(context.Background())
		if err != nil {
			s.reportError(err)
		} else if n > 0 {
			s.out.warn("evicted", map[string]any{"map": t.Name(), "count": n, "max_keys": t.maxKeys},
				fmt.Sprintf("%s: the kernel removed %d keys to make room for new ones (lru=True)", t.Name(), n))
		}
	}
}
