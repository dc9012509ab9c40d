package kbtf

import (
	"runtime"
	"testing"
)

// TestTypesReadOnce checks that the kernel's types are read once: afterwards, looking up a field
// takes very little memory, whereas reading the types takes megabytes.
func TestTypesReadOnce(t *testing.T) {
	find := func() {
		t.Helper()
		if _, size, err := FieldOffset("task_struct", "pid"); err != nil || size != 4 {
			t.Fatalf("size %d, %v", size, err)
		}
	}
	find()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		find()
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("ten lookups took %d bytes", n)
	}
}
