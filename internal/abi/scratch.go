package abi

// The scratch map holds what does not fit on a program's stack. It is an array of slots, several
// for each CPU, because runs can interleave on one CPU. A slot starts with a header of one word,
// which is not 0 while a run uses the slot.

const (
	// ScratchSlots is the number of slots that each CPU has. Slot i of CPU c is the element
	// c*ScratchSlots+i.
	ScratchSlots = 8
	// ScratchHeader is the size of the header in bytes.
	ScratchHeader = 8
)

// ScratchElements returns the number of elements of a scratch map.
func ScratchElements(cpus int) int { return cpus * ScratchSlots }
