package abi

// Programs and the host control each other through arrays of few words.

const (
	// Running and Stopped are the values of the control map's only word. stop() sets it.
	Running = 0
	Stopped = 1
	// GateShut and GateOpen are the values of a gate's only word. Programs do nothing while their
	// gate is shut.
	GateShut = 0
	GateOpen = 1
)

// The layout of an element of the array by system call number, in which a program that serves many
// probes of system calls looks up the probe: the cookie that identifies it, or 0 if the program
// does not serve the call, and a count of the runs.
const (
	SyscallCookie = 0
	SyscallRuns   = 8
	SyscallSize   = 16
)
