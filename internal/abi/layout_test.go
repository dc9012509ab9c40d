package abi

import (
	"encoding/binary"
	"testing"
)

func TestCellIndex(t *testing.T) {
	for _, c := range [][2]int{{0, 0}, {0, 63}, {1, 0}, {7, 14}, {4095, 36}} {
		site, errno := CellOf(CellIndex(c[0], c[1]))
		if site != c[0] || errno != c[1] {
			t.Errorf("site %d and errno %d come back as %d and %d", c[0], c[1], site, errno)
		}
	}
	if _, errno := CellOf(CellIndex(3, 110)); errno != 110&63 {
		t.Errorf("ETIMEDOUT comes back as %d", errno)
	}
}

// TestAligned checks that atomic adds of the layouts are aligned: see the package comment.
func TestAligned(t *testing.T) {
	for name, n := range map[string]int{
		"CellCount": CellCount, "CellFirst": CellFirst, "CellLast": CellLast, "CellSize": CellSize,
		"ScratchHeader": ScratchHeader, "RecordHead": RecordHead,
		"SyscallCookie": SyscallCookie, "SyscallRuns": SyscallRuns, "SyscallSize": SyscallSize,
	} {
		if n%8 != 0 {
			t.Errorf("%s is %d", name, n)
		}
	}
}

// TestStackSize checks that an element has room for its size and its frames, and that a loop over
// its words, which takes StackGroup at a time, ends with it.
func TestStackSize(t *testing.T) {
	for n := 1; n <= StackFrames; n++ {
		words := StackWords(n)
		if words < n+1 || words >= n+1+StackGroup {
			t.Errorf("%d frames have %d words", n, words)
		}
		if words > StackGroup && words%StackGroup != 0 {
			t.Errorf("%d frames have %d words, not a multiple of %d", n, words, StackGroup)
		}
	}
}

func TestParseRecord(t *testing.T) {
	rec := append(binary.NativeEndian.AppendUint64(nil, RecordStop), 1, 2, 3)
	if id, args, ok := ParseRecord(rec); !ok || id != RecordStop || len(args) != 3 {
		t.Errorf("%d, %v, %v", id, args, ok)
	}
	if _, _, ok := ParseRecord(rec[:RecordHead-1]); ok {
		t.Error("a record without a whole first word is accepted")
	}
}
