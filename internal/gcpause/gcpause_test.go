package gcpause

import (
	"runtime/debug"
	"testing"
)

// TestBegin checks that the GC percentage is restored when the last of several pauses has ended.
func TestBegin(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(77))
	first, second := Begin(), Begin()
	first()
	first()
	now := func() int {
		p := debug.SetGCPercent(-1)
		debug.SetGCPercent(p)
		return p
	}
	if p := now(); p != never {
		t.Errorf("in a pause: %d", p)
	}
	second()
	if p := now(); p != 77 {
		t.Errorf("behind the pauses: %d, want 77", p)
	}
}
