// Package gcpause keeps the collector of garbage from starting for a while. Memory of a known size that is filled bit by bit, and is all
// in use afterwards, is not worth a cycle on the way: that would go through pages that nothing is in yet, and cost a fault for each.
package gcpause

import (
	"runtime/debug"
	"sync"
)

// never is so much garbage that the collector does not start. To switch it off (-1) would wait for a cycle that is under way.
const never = 1 << 20

var (
	mu      sync.Mutex
	pauses  int
	percent int // as it was before the first
)

// Begin begins a pause. What it gives ends it, once; of several pauses the last to end counts.
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
