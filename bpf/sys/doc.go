// Package sys contains what the other packages of bpf are built on: the bpf(2) system call, the
// running kernel's version, CPUs and clock, and the file systems and privileges that tracing needs.
// It knows nothing of maps, symbols or probes.
//
//	sys.go     the bpf(2) system call
//	kernel.go  version, features by version, CPUs, clock
//	env.go     file systems, privileges
package sys
