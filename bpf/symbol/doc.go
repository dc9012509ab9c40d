// Package symbol maps addresses to names and names to addresses: symbols of the kernel
// (/proc/kallsyms) and of running processes (from their mappings and the files mapped there, which
// package exe reads), and paths of control groups by ID. It knows nothing of probes.
package symbol
