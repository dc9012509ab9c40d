package abi

import "fmt"

// Programs store stacks in a hash map, under a number that they compute from the frames. An element
// is the size of its frames in bytes, the frames, innermost first, and zeros.

// StackFrames is the maximum number of frames of a stack (the default of the sysctl
// kernel.perf_event_max_stack).
const StackFrames = 127

// StackGroup is how many words of a stack a program processes in each iteration of a loop.
const StackGroup = 8

// StackProbes is how many numbers a program tries for a stack. A collision of two stacks is
// practically impossible, unless a process constructs its frames to cause one.
const StackProbes = 4

// StackHashMul is the multiplier of the hash of the frames: an odd number with the bits of the
// golden ratio.
const StackHashMul = 0x9e3779b97f4a7c15

// StackMap returns the name of the map for stacks of up to n frames.
func StackMap(n int) string { return fmt.Sprintf("stacks%d", n) }

// StackSize returns the size in bytes of an element of that map.
func StackSize(n int) int { return 8 * StackWords(n) }

// StackWords returns the size of an element in words. It is a multiple of StackGroup if there are
// more words than are processed without a loop.
func StackWords(n int) int {
	if n < StackGroup {
		return n + 1
	}
	return (n + StackGroup) / StackGroup * StackGroup
}
