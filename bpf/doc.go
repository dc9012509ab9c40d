// Package bpf attaches eBPF programs to probes: it resolves a probe name to targets, loads programs
// for those targets, and attaches them. It knows nothing of Starlark values, handlers or key
// layouts, and imports neither the compiler nor the interpreter.
//
// Subpackages: sys (system calls, kernel version, privileges), kmap (maps as bytes), symbol
// (addresses and names), exe (ELF files with their functions and USDT notes).
//
// Each probe kind is one Provider, in a file of its own, with a row in the table of provider.go:
//
//	kprobe.go fentry.go function.go              functions of the kernel
//	tracepoint.go rawtracepoint.go               tracepoints
//	uprobe.go usdt.go                            functions and static probes of programs
//	timer.go software.go hardware.go watchpoint.go  perf events
//	iter.go once.go signal.go                    iterators, begin and end, signals
//
// Code that the kinds share:
//
//	spec.go provider.go complete.go              a spec's syntax, the table, completion
//	event.go format.go kprobe_event.go funcs_btf.go  the typed arguments of an event, from tracefs or BTF
//	program.go program_limits.go                 loading and running programs; the verifier's errors
//	attach.go attachall.go multi.go perf.go      attaching to one target or to thousands
//	pidfilter.go gate.go hotplug.go missed.go    one process only, stopping at once, CPUs that come and go, missed events
//	feature.go                                   what the running kernel has
//
// The package caches only what cannot change while the kernel runs.
package bpf
