// Package bpf loads eBPF programs for targets and attaches them. A target is one place where a
// program can run; what differs between kinds of targets is in a Driver. Package kinds has the
// kinds of probes: it resolves the spec of a probe to targets, each with the driver of its kind.
//
// Neither this package nor those below it know of Starlark values, handlers or layouts of keys.
// They import neither the compiler nor the interpreter. Subpackages:
//
//	kinds       the kinds of probes: specs, targets, drivers
//	feature     features of the running kernel
//	sys         system calls, kernel version, privileges
//	kmap        maps as bytes
//	symbol      addresses and names
//	kbtf        types of the kernel, its modules and BPF programs
//	kernelfunc  which functions the kernel has, and which can be traced
//	tracefmt    the format files of tracepoints
//	exe         ELF files: functions, symbols, USDT notes
//	bpftest     which tests can run on a kernel
//
// This package imports kmap and sys only. Its files:
//
//	target.go              targets, and the drivers of their kinds
//	program.go             programs, refusals of the verifier (VerifierError, TooComplex)
//	program_limits.go      limits of the kernel that a program can exceed
//	load.go                loading a program in the form that its targets require
//	attach.go              attaching to one target, missed events
//	attachall.go           attaching to thousands of targets
//	parallel.go            calls that run concurrently
//	perf.go                programs at the perf events of CPUs or of a process
//	hotplug.go             CPUs that come online or go offline
//	gate.go                stopping all programs at once
//	pidfilter.go           the process that a probe is limited to, and PID namespaces
//
// The filter by process has a part in each layer: a Driver says whether the kernel filters,
// compiler/lower emits the comparison if it does not, starlarkbind checks which process is meant.
package bpf
