package starlarkbind

import (
	"errors"
	"sync"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// stackMaps holds the maps that store stacks.
type stackMaps struct {
	mu       sync.Mutex
	byFrames map[int]*stackStore // by maximum number of frames
}

// stacksMap returns the map that stores stacks of n frames. The first call creates it.
func (m *stackMaps) get(n int) (*stackStore, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if st := m.byFrames[n]; st != nil {
		return st, nil
	}
	st, err := kmap.NewStacks(abi.StackMap(n), n, abi.StackSize(n))
	if err != nil {
		return nil, err
	}
	if m.byFrames == nil {
		m.byFrames = map[int]*stackStore{}
	}
	m.byFrames[n] = &stackStore{Stacks: st}
	return m.byFrames[n], nil
}

// close closes the maps.
func (m *stackMaps) close() error {
	var errs []error
	for _, st := range m.byFrames {
		errs = append(errs, st.Close())
	}
	return errors.Join(errs...)
}
