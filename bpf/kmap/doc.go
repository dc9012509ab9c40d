// Package kmap creates and reads kernel maps: hashes and arrays, per-CPU or shared, ring buffers,
// and the maps that all compiled programs use (error cells, control words, stacks).
//
// A snapshot reads a whole map. It uses batches if the kernel supports them, and reads a large hash
// from several places concurrently; see parallel_read.go. A SwapMap can be replaced with an empty
// map while programs use it, so that delta() loses nothing.
//
//	maps.go           maps: create, look up, update, delete
//	spec.go           what a map is to be, errors
//	available.go      whether the memory for a map is available
//	batch.go          reading in batches
//	parallel_read.go  reading from several places
//	read.go           reading a whole map
//	snapshot.go       the contents of a map, as they were read
//	swap.go           SwapMap
//	ringbuf.go        ring buffers
//	cells.go          error cells
//	control.go        control words
//	stacks.go         stacks
//
// The package knows nothing of probes.
package kmap
