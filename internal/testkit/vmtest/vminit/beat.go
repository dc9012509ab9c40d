package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// beatEvery is the interval between beats.
const beatEvery = 5 * time.Second

// startBeats prints a beat on the console every beatEvery as long as each CPU makes progress (see
// package vmtest). If a test takes a CPU offline, the kernel moves that CPU's thread to another
// one.
func startBeats() {
	counts := make([]atomic.Int64, runtime.NumCPU())
	for cpu := range counts {
		go func() {
			runtime.LockOSThread()
			var set unix.CPUSet
			set.Set(cpu)
			if err := unix.SchedSetaffinity(0, &set); err != nil {
				fmt.Fprintln(os.Stdout, "vminit: no beats:", err)
				return
			}
			for {
				counts[cpu].Add(1)
				time.Sleep(beatEvery / 5)
			}
		}()
	}
	go func() {
		last := make([]int64, len(counts))
		for n := 1; ; n++ {
			time.Sleep(beatEvery)
			alive := true
			for cpu := range counts {
				now := counts[cpu].Load()
				alive = alive && now > last[cpu]
				last[cpu] = now
			}
			if alive {
				fmt.Fprintf(os.Stdout, "\n@@vm beat=%d ticks=%d@@\n", n, ticks())
			}
		}
	}()
}

// ticks returns the CPU time, in clock ticks, of all processes except this one and kernel threads,
// including that of their children that have exited.
func ticks() int64 {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	var sum int64
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the process has exited
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		f := strings.Fields(rest) // starts with the state, which is field 3
		if len(f) < 15 || file == "/proc/1/stat" || file == "/proc/2/stat" || f[1] == "2" {
			continue
		}
		for _, v := range f[11:15] { // utime, stime, cutime, cstime
			n, err := strconv.ParseInt(v, 10, 64)
			if err == nil {
				sum += n
			}
		}
	}
	return sum
}
