// Package abi holds what compiled programs and the host agree on: the one home for every layout
// and number that package compiler writes into a program and packages bpf and starlarkbind read or
// write on the other side. Neither the compiler nor bpf imports the other; both import this
// package, and so a change of a layout is a change in one place.
//
// # Byte order and alignment
//
// A program runs on the host that reads its maps, so all words are in native byte order
// (encoding/binary.NativeEndian). Words of 8 bytes are at offsets divisible by 8, because the
// verifier refuses other offsets in atomic adds and on the stack.
//
// # Events
//
// The kernel calls a program with a pointer to its context: registers, the record of a tracepoint,
// the arguments of a function. An Event describes what of that a handler can read. Package bpf
// knows where each kind of probe has its arguments and fills the description in; the compiler turns
// each Field that a handler names into loads (event.go).
//
// # What the kernel side writes
//
//   - Error cells: for each site that can fail and each errno a count and two times, in a per-CPU
//     array that the host sums up (cells.go).
//   - Stacks: the frames of each distinct stack, once, in a hash map whose keys the program's
//     records and map keys refer to (stacks.go).
//   - Records of print(), printf(), emit() and stop(), in ring buffers (record.go).
//   - Scratch memory, for what does not fit on the stack: a map with ScratchSlots slots per CPU,
//     of which a run of a program takes one. The host creates the map and reads nothing in it
//     (scratch.go).
//   - The stop flag, and counts of system calls (control.go).
//   - Values of aggregations, whose words package compiler/agg describes. Which values fall into
//     which bucket of a histogram is in buckets.go.
//
// # What the host writes
//
//   - The gate, which stops programs at once, and the array by system call number, through which a
//     program finds its probe (control.go).
package abi
