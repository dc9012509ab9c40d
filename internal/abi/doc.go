// Package abi holds what compiled programs and the host agree on: the one home for every layout
// and number that package compiler writes into a program and packages bpf and starlarkbind read or
// write on the other side. Neither the compiler nor bpf imports the other; both import this
// package, and so a change of a layout is a change in one place.
//
// # Byte order and alignment
//
// A program runs on the host that reads its maps, so all words are in native byte order
// (encoding/binary.NativeEndian). Words of 8 bytes are at offsets divisible by 8, which atomic adds
// and plain loads of the verifier require.
//
// # Events
//
// The kernel calls a program with a pointer to its context: registers, the record of a tracepoint,
// the arguments of a function. An Event describes what of that a handler can read. Package bpf
// knows where each kind of probe has its arguments and fills the description in; the compiler turns
// each Field that a handler names into loads (event.go).
package abi
