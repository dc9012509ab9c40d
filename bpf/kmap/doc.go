// Package kmap creates and reads the kernel's maps: hashes and arrays, per CPU or shared, ring buffers, and the maps that
// compiled programs always use (error cells, control words, stacks).
//
// A snapshot reads a whole map. It uses batches where the kernel has them, and reads a large hash from several places at
// once: see parallel_read.go. A SwapMap is exchanged for an empty one while programs use it, so that delta() loses nothing.
//
// The package knows nothing of probes.
package kmap
