// Package symbol finds names for addresses and addresses for names: symbols of the kernel (/proc/kallsyms) and of running
// processes (their mappings, and the ELF files mapped there), and paths of control groups by their ID. It knows nothing of
// probes.
package symbol
