// Package bpf is the kernel's side of bpfrepl: it finds probes, loads programs, attaches them, and moves bytes in and
// out of maps. What those bytes mean is decided elsewhere: this package knows no Starlark value, no handler and no
// layout of a key, and imports neither the compiler nor the interpreter.
//
//	env.go, kernel.go     what this machine offers: privilege, mounts, version, CPUs
//	spec.go, provider.go  the names of probes; one provider a kind (provider_*.go), one row each in Providers
//	event.go, format.go   the typed arguments of an event, from its tracefs format file
//	program.go, attach.go loading, running, attaching; every refusal in words
//	maps.go, snapshot.go  maps as bytes, read in batches
//	ringbuf.go, cells.go, control.go  the three maps that every session has
//	btf.go                offsets in kernel structures
//
// Nothing here is cached but what cannot change while the kernel runs.
package bpf
