// Package symbol maps addresses to names and names to addresses: symbols of the kernel
// (/proc/kallsyms) and of running processes (from their mappings and the files mapped there, which
// package exe reads), and paths of control groups by ID. It knows nothing of probes.
//
//	kallsyms.go  reading /proc/kallsyms
//	kernel.go    kernel symbols by address and by name
//	buildid.go   the kernel's build ID
//	user.go      symbols of processes by address
//	cgroup.go    paths and IDs of control groups
package symbol
