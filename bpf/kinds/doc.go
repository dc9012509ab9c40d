// Package kinds has the kinds of probes. It resolves the spec of a probe, such as
// "kprobe:vfs_read", to targets to which package bpf attaches programs, and lists and completes
// what can be traced on this host.
//
// Each kind is one Provider, in a file of its own, with a row in the table of table.go. A
// Provider has what concerns specs, and the bpf.Driver with which package bpf loads and attaches
// the programs for its targets. What a driver needs to know of a target is the target's payload, of
// a type that is declared beside the provider:
//
//	kprobe.go, fentry.go                 functions of the kernel
//	fentry_prog.go                       functions of BPF programs
//	function.go                          function and return: the cheaper of kprobe and fentry
//	lsm.go                               hooks of security modules
//	tracepoint.go, rawtracepoint.go      tracepoints
//	uprobe.go, usdt.go                   functions and static probes of programs
//	timer.go, counter.go, watchpoint.go  perf events
//	iter.go, once.go, signal.go          iterators, begin and end, signals
//
// Code that the kinds share:
//
//	table.go                             the table of kinds, Resolve and List
//	provider.go                          what a kind consists of, the syntax of specs
//	complete.go                          completion of specs
//	function_targets.go                  targets at functions of the kernel, modules and programs
//	fentry_attach.go                     loading and attaching at functions, why that is refused
//	kprobe_attach.go                     perf events and multi links of kprobes
//	kprobe_event.go                      typed arguments of functions, from BTF
//	uprobe_sites.go, uprobe_attach.go    which addresses in files uprobes have, and attaching
//	regs.go                              registers of arguments, by architecture and calling convention
//	syscalls.go                          one program for many system call tracepoints
//
// The package caches only what cannot change while the kernel runs. The lists of functions are read
// again after modules have been loaded or unloaded.
package kinds
