// Package bpf attaches eBPF programs to probes: it resolves a probe name to targets, loads programs
// for those targets, and attaches them. It knows nothing of Starlark values, handlers or key
// layouts, and imports neither the compiler nor the interpreter.
//
// Subpackages:
//
//	sys         system calls, kernel version, privileges
//	kmap        maps as bytes
//	symbol      addresses and names
//	kbtf        types of the kernel, its modules and BPF programs
//	kernelfunc  which functions the kernel has, and which can be traced
//	tracefmt    the format files of tracepoints
//	exe         ELF files: functions, symbols, USDT notes
//
// Each probe kind is one Provider, in a file of its own, with a row in the table of provider.go:
//
//	kprobe.go, fentry.go                 functions of the kernel
//	kprobe_attach.go                     attaching to them through perf events and multi links
//	fentry_prog.go                       functions of BPF programs
//	function.go                          function and return: the cheaper of kprobe and fentry
//	lsm.go                               hooks of security modules
//	tracepoint.go, rawtracepoint.go      tracepoints
//	uprobe.go, usdt.go                   functions and static probes of programs
//	uprobe_sites.go, uprobe_attach.go    which addresses in files they have, and attaching
//	timer.go, counter.go, watchpoint.go  perf events
//	iter.go, once.go, signal.go          iterators, begin and end, signals
//
// Code that the kinds share:
//
//	spec.go, provider.go, complete.go    syntax of specs, table of kinds, completion
//	kprobe_event.go                      typed arguments of functions, from BTF
//	typetext.go                          declarations of types, for -l 'struct sock'
//	function_targets.go                  targets at kernel functions, and their patterns
//	regs.go                              registers of arguments, by architecture and calling convention
//	syscalls.go                          one program for many system call tracepoints
//	target.go                            targets, and the drivers that load and attach for them
//	load.go                              loading a program in the form that its targets require
//	program.go, program_limits.go        programs, errors of the verifier
//	attach.go, attachall.go, perf.go     attaching to one target or to thousands, missed events
//	pidfilter.go                         limiting probes to one process
//	gate.go                              stopping all programs at once
//	hotplug.go                           CPUs that come online or go offline
//	feature.go                           features of the running kernel
//
// The package caches only what cannot change while the kernel runs. The lists of functions are read
// again after modules have been loaded or unloaded.
package bpf
