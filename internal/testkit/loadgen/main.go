// Command load generates exactly known numbers of system calls and other events, for tests and
// measurements.
//
//	load [-comm NAME] [-cpu N] [-wait] MODE ARGS...
//
// It locks itself to one thread, names that thread NAME, and makes the calls from it. Go's other
// threads have other names. So the number of the mode's calls from a thread of that name is exact,
// except that -wait adds one read: with it, load prints "ready" and reads one byte from its
// standard input before it starts. Modes:
//
//	getppid N            N getppid
//	reads FILE N SIZE    N reads of SIZE bytes from the start of FILE
//	opens N PREFIX       N openat of PREFIX0, PREFIX1, ...; the files need not exist
//	writes FILE N        write and fsync 4 KiB N times: at least N requests to a disk
//	spin MS              use MS milliseconds of CPU time
//	sleep MS             sleep for MS milliseconds, in one nanosleep
//	switches N           N round trips over pipes between two processes of the name, both on CPU 0:
//	                     at least 2N switches
//	newkeys N BASE       N lseek(-1, BASE+i, 0)
//	cycle N KEYS         N lseek(-1, i % KEYS, 0)
//	racekeys N BASE      newkeys from CPU 0 and CPU 1 in lockstep: 2N calls, N keys, each of them new
//	                     to both CPUs at the same time
//	samekey N            N lseek(-1, 7, 0) from CPU 0 and from CPU 1: 2N calls
//	calls N NR ARGS...   N times the system call NR
//	calls32 N NR         N times the system call NR of 32-bit programs (amd64)
//	everycall N          each system call from 0 to N-1 once; a seccomp filter ends each with the
//	                     error 1000 + number
//	forks N              N children named ld0, ld1, ..., each with 10 lseek(-1, 1+i, 0)
//
// When it is done it prints {"events": number of events, "ns": time for each event}.
//
// The files:
//
//	main.go         the modes
//	syscalls.go     modes that make system calls
//	int80_amd64.go  32-bit system calls
//	int80_other.go  the same for architectures without them
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	comm := flag.String("comm", filepath.Base(os.Args[0]), "name of the thread that makes the calls")
	cpu := flag.Int("cpu", -1, "the only CPU that it may run on")
	wait := flag.Bool("wait", false, "wait for a byte of input before the first call")
	flag.Parse()
	runtime.LockOSThread()
	if err := setComm(*comm); err != nil {
		fail(err)
	}
	if *cpu >= 0 {
		if err := pin(*cpu); err != nil {
			fail(err)
		}
	}
	if *wait {
		fmt.Println("ready")
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			fail(err)
		}
	}
	t0 := time.Now()
	n, err := run(flag.Args())
	if err != nil {
		fail(err)
	}
	fmt.Printf("{\"events\": %d, \"ns\": %.1f}\n", n, float64(time.Since(t0).Nanoseconds())/float64(max(n, 1)))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "load:", err)
	os.Exit(1)
}

func setComm(name string) error {
	b := append([]byte(name), 0)
	return unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&b[0])), 0, 0, 0)
}

func run(args []string) (int, error) {
	if len(args) < 2 {
		return 0, fmt.Errorf("want a mode and its arguments")
	}
	num := func(i int) int {
		if i >= len(args) {
			fail(fmt.Errorf("%s needs another argument", args[0]))
		}
		n, err := strconv.Atoi(args[i])
		if err != nil {
			fail(err)
		}
		return n
	}
	switch args[0] {
	case "getppid":
		n := num(1)
		for i := 0; i < n; i++ {
			unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		}
		return n, nil
	case "reads":
		return num(2), reads(args[1], num(2), num(3))
	case "opens":
		return num(1), opens(num(1), args[2])
	case "writes":
		return num(2), writes(args[1], num(2))
	case "spin":
		return 1, spin(time.Duration(num(1)) * time.Millisecond)
	case "sleep":
		for left := unix.NsecToTimespec(int64(num(1)) * 1e6); ; {
			if err := unix.Nanosleep(&left, &left); !errors.Is(err, unix.EINTR) {
				return 1, err
			}
		}
	case "switches":
		return num(1), switches(num(1))
	case "answer":
		return num(1), answer(num(1))
	case "newkeys":
		seeks(num(1), num(2))
		return num(1), nil
	case "cycle":
		for done, keys := 0, num(2); done < num(1); done += keys {
			seeks(min(keys, num(1)-done), 0)
		}
		return num(1), nil
	case "racekeys":
		return 2 * num(1), race(num(1), num(2), true)
	case "samekey":
		return 2 * num(1), race(num(1), 7, false)
	case "racer":
		return num(2), racer(num(1), num(2), num(3), args[4] == "true")
	case "calls":
		return num(1), calls(num(1), args[2:])
	case "calls32":
		calls32(num(1), num(2))
		return num(1), nil
	case "everycall":
		return num(1), everyCall(num(1))
	case "forks":
		return 10 * num(1), forks(num(1))
	}
	return 0, fmt.Errorf("no mode %q", args[0])
}

func seeks(n, base int) {
	for i := 0; i < n; i++ {
		unix.RawSyscall(unix.SYS_LSEEK, ^uintptr(0), uintptr(base+i), 0)
	}
}

func reads(file string, n, size int) error {
	fd, err := unix.Open(file, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	b := make([]byte, size)
	for i := 0; i < n; i++ {
		if _, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(size)); e != 0 {
			return e
		}
	}
	return unix.Close(fd)
}

func opens(n int, prefix string) error {
	for i := 0; i < n; i++ {
		name := append([]byte(prefix+strconv.Itoa(i)), 0)
		at := unix.AT_FDCWD
		fd, _, e := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(&name[0])), unix.O_RDONLY, 0, 0, 0)
		if e == 0 {
			unix.Close(int(fd))
		} else if e != unix.ENOENT {
			return e
		}
	}
	return nil
}

func writes(file string, n int) error {
	fd, err := unix.Open(file, unix.O_RDWR|unix.O_CREAT, 0o600)
	if err != nil {
		return err
	}
	b := make([]byte, 4096)
	for i := 0; i < n; i++ {
		b[0] = byte(i)
		if _, err := unix.Pwrite(fd, b, int64(i)*4096); err != nil {
			return err
		}
		if err := unix.Fsync(fd); err != nil {
			return err
		}
	}
	return unix.Close(fd)
}

func spin(d time.Duration) error {
	var ts unix.Timespec
	for sum := 0; ; runtime.KeepAlive(sum) {
		for i := 0; i < 1e5; i++ {
			sum += i
		}
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
			return err
		}
		if time.Duration(ts.Nano()) >= d {
			return nil
		}
	}
}

// child returns a command that runs this program again under the name comm, or under its own name
// if comm is empty. The child inherits files as the descriptors from 3 on.
func child(comm string, files []*os.File, args ...string) *exec.Cmd {
	if comm == "" {
		comm = filepath.Base(os.Args[0])
	}
	c := exec.Command("/proc/self/exe", append([]string{"-comm", comm}, args...)...)
	c.ExtraFiles = files
	c.Stderr = os.Stderr
	return c
}

func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}

func switches(n int) error {
	r1, w1, err := os.Pipe()
	if err != nil {
		return err
	}
	r2, w2, err := os.Pipe()
	if err != nil {
		return err
	}
	c := child("", []*os.File{r1, w2}, "answer", strconv.Itoa(n))
	if err := c.Start(); err != nil {
		return err
	}
	if err := pin(0); err != nil {
		return err
	}
	b := []byte{0}
	for i := 0; i < n; i++ {
		if _, err := unix.Write(int(w1.Fd()), b); err != nil {
			return err
		}
		if _, err := unix.Read(int(r2.Fd()), b); err != nil {
			return err
		}
	}
	return c.Wait()
}

func answer(n int) error {
	if err := pin(0); err != nil {
		return err
	}
	b := []byte{0}
	for i := 0; i < n; i++ {
		if _, err := unix.Read(3, b); err != nil {
			return err
		}
		if _, err := unix.Write(4, b); err != nil {
			return err
		}
	}
	return nil
}

// race runs a racer on each of CPU 0 and CPU 1, which share a page of memory.
func race(n, base int, step bool) error {
	fd, err := unix.MemfdCreate("race", 0)
	if err != nil {
		return err
	}
	if err := unix.Ftruncate(fd, 4096); err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "race")
	var cs []*exec.Cmd
	for cpu := 0; cpu < 2; cpu++ {
		c := child("", []*os.File{f}, "racer", strconv.Itoa(cpu), strconv.Itoa(n), strconv.Itoa(base), strconv.FormatBool(step))
		if err := c.Start(); err != nil {
			return err
		}
		cs = append(cs, c)
	}
	for _, c := range cs {
		if err := c.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func racer(cpu, n, base int, step bool) error {
	mem, err := unix.Mmap(3, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	if err := pin(cpu); err != nil {
		return err
	}
	arrived := (*int64)(unsafe.Pointer(&mem[0]))
	for i := 0; i < n; i++ {
		if step || i == 0 {
			atomic.AddInt64(arrived, 1)
			for spins := 0; atomic.LoadInt64(arrived) < int64(2*(i+1)); spins++ {
				// Let the other CPU run: in a virtual machine, both may share one CPU of the host.
				if spins > 1<<14 {
					unix.Nanosleep(&unix.Timespec{Nsec: 1000}, nil)
				}
			}
		}
		off := base
		if step {
			off += i
		}
		unix.RawSyscall(unix.SYS_LSEEK, ^uintptr(0), uintptr(off), 0)
	}
	return nil
}

func forks(n int) error {
	for i := 0; i < n; i++ {
		if err := child("ld"+strconv.Itoa(i), nil, "newkeys", "10", "1").Run(); err != nil {
			return err
		}
	}
	return nil
}
