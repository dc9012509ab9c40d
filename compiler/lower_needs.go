package compiler

// Needs lists what a program refers to at run time, which the host has to provide and to read.
type Needs struct {
	Sites        []Site
	Prints       []PrintSite
	Streams      []*Stream
	UsesRing     bool
	UsesControl  bool
	UsesCookie   bool
	UsesGate     bool  // uses the array Event.Gate
	UsesSyscalls bool  // uses the array Event.Syscalls.Map
	UsesNumbers  bool  // uses the array Request.Canonical
	Zeros        int   // size of the map Request.Zeros in bytes
	Stacks       []int // frame limits of the stacks it stores, each in the map StackMap(n)
	ScratchSize  int   // element size of the map Request.Scratch in bytes
}
