// Package sys has what all of bpf stands on: the bpf(2) system call, the running kernel's version and CPUs, the file systems
// and privileges that tracing needs. It knows nothing of maps, symbols or probes.
package sys
