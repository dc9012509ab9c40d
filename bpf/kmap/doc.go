// Package kmap creates and reads kernel maps: hashes and arrays, per-CPU or shared, ring buffers,
// and the maps that all compiled programs use (error cells, control words, stacks).
//
// A snapshot reads a whole map. It uses batches if the kernel supports them, and reads a large hash
// from several places concurrently; see parallel_read.go. A SwapMap can be replaced with an empty
// map while programs use it, so that delta() loses nothing.
//
// The package knows nothing of probes.
package kmap
