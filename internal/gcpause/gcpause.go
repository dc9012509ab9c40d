// Package gcpause prevents the garbage collector from starting for a while. When memory of a known
// size is filled step by step and is all in use afterwards, a collection in between is wasted: it
// would scan pages that are still empty, at the cost of a page fault for each.
package gcpause

import (
	"runtime/debug"
	"sync"
)

// never is a GC percentage that effectively disables the collector. Disabling it (-1) would wait
// for the current collection to finish.
const never = 1 << 20

var (
	mu      sync.Mutex
	pauses  int
	percent int // value before the first pause
)

// Begin starts a pause and returns a function that ends it; further calls of that function do
// nothing. Pauses may overlap: the collector resumes when the last one ends.
func Begin() (end func()) {
	mu.Lock()
	defer mu.Unlock()
	if pauses++; pauses == 1 {
		percent = debug.SetGCPercent(never)
	}
	return sync.OnceFunc(func() {
		mu.Lock()
		defer mu.Unlock()
		if pauses--; pauses == 0 {
			debug.SetGCPercent(percent)
		}
	})
}
