// Package cputime measures CPU time for tests that must not depend on how busy the host is.
package cputime

import (
	"syscall"
	"time"
)

// Used returns the CPU time that this process has used, in user and kernel mode.
func Used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it fails only for invalid arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
