package records

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// sites are the prints and emits of all programs, and the emits of the script, by number.
type sites struct {
	mu   sync.Mutex
	list []site
}

// A site is a print or an emit.
type site struct {
	compiler.PrintSite
	probe string // "": an emit of the script
}

// of returns the site that a record belongs to, and the record's remaining bytes.
func (s *sites) of(b []byte) (*site, []byte, error) {
	id, args, ok := abi.ParseRecord(b)
	if !ok {
		return nil, nil, errors.New("a record without a number")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id >= uint64(len(s.list)) {
		return nil, nil, fmt.Errorf("a record of unknown print %d", id)
	}
	return &s.list[id], args, nil
}

// next returns the number of the next site.
func (s *sites) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}

func (s *sites) add(probe string, added []compiler.PrintSite) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range added {
		s.list = append(s.list, site{x, probe})
	}
}

// ofScript returns the number of an emit of the script. Equal emits have the same number.
func (s *sites) ofScript(emit compiler.PrintSite) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, x := range s.list {
		if x.Kind == "emit" && x.probe == "" && slices.Equal(x.Names, emit.Names) && slices.EqualFunc(x.Args, emit.Args, (*types.Type).Equal) {
			return i
		}
	}
	s.list = append(s.list, site{emit, ""})
	return len(s.list) - 1
}
