// Package sys contains what the other packages of bpf are built on: the bpf(2) system call, the
// running kernel's version and CPUs, and the file systems and privileges that tracing needs. It
// knows nothing of maps, symbols or probes.
package sys
