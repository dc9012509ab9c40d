package tools

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The test binary is also the program that the tools trace: TEST load NAME ARGS. It makes its
// system calls from one thread, which has the name in the environment variable loadName.
const (
	loadArg  = "load"
	loadName = "TOOLS_LOAD_COMM"
	loadFile = "TOOLS_LOAD_FILE"
)

// loads are the loads by name. Each gets those of its arguments that are numbers.
var loads = map[string]func(n ...int) error{
	"kill":    loadKill,
	"exec":    loadExec,
	"open":    loadOpen,
	"stat":    loadStat,
	"sync":    loadSync,
	"sleep":   loadSleep,
	"setuid":  loadSetuid,
	"fork":    loadFork,
	"getppid": loadGetppid,
	"unix":    loadUnix,
	"threads": loadThreads,
	"pass":    loadPass,
	"spin":    loadSpin,
	"memory":  loadMemory,
	"blocks":  loadBlocks,
	"files":   loadFiles,
	"cap":     loadCap,
	"missing": loadMissing,
	"exits":   loadExits,
	"exit":    loadExit,
	"bind":    loadBind,
	"shm":     loadShm,
	"pty":     loadTerminal,
	"wake":    loadWake,
	"compact": loadCompact,
	"futex":   loadFutex,
	"go":      loadGoroutines,
	"mutex":   loadMutex,
	"swap":    loadSwap,
	"tcp":     loadTCP,
	"talk":    loadTalk,
	"queue":   loadQueue,
	"refused": loadRefused,
	"resend":  loadResend,
	"lives":   loadLives,
	"links":   loadLinks,
	"mounts":  loadMounts,
	"cached":  loadCached,
	"mapped":  loadMapped,
	"dirty":   loadDirty,
	"ahead":   loadAhead,

	"messages": loadMessages,
}

// runLoad runs a load and exits.
func runLoad(name string, args []string) {
	runtime.LockOSThread()
	err := func() error {
		if err := setName(); err != nil {
			return err
		}
		var n []int
		for _, a := range args {
			if i, err := strconv.Atoi(a); err == nil {
				n = append(n, i)
			}
		}
		load, ok := loads[name]
		if !ok {
			return fmt.Errorf("no load %q", name)
		}
		return load(n...)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// setName sets the name of the thread to that of the load.
func setName() error {
	b, err := unix.BytePtrFromString(os.Getenv(loadName))
	if err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(b)), 0, 0, 0)
}

// loadKill sends itself n[0] signals by each of three calls, and fails n[0] times to send one.
func loadKill(n ...int) error {
	pid := os.Getpid()
	for range n[0] {
		if err := unix.Kill(pid, unix.SIGWINCH); err != nil {
			return err
		}
		if err := unix.Tgkill(pid, pid, unix.SIGWINCH); err != nil {
			return err
		}
		if _, _, e := unix.RawSyscall(unix.SYS_TKILL, uintptr(pid), uintptr(unix.SIGWINCH), 0); e != 0 {
			return e
		}
		if err := unix.PidfdSendSignal(-1, 0, nil, 0); err != unix.EBADF {
			return fmt.Errorf("pidfd_send_signal: %v, want EBADF", err)
		}
	}
	return nil
}

// call makes a system call from this thread, whose result must be want, or an error want.
func call(want unix.Errno, nr uintptr, args ...uintptr) error {
	args = append(args, make([]uintptr, 6)...)
	if _, _, e := unix.RawSyscall6(nr, args[0], args[1], args[2], args[3], args[4], args[5]); e != want {
		return fmt.Errorf("system call %d: %d (%v), want %d", nr, e, e, want)
	}
	return nil
}

// cstring returns the address of a C string, which stays allocated.
func cstring(s string) uintptr {
	b := append([]byte(s), 0)
	kept = append(kept, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

var kept [][]byte

// loadExec fails to start a program, and starts itself n[0] more times.
func loadExec(n ...int) error {
	if n[0] == 0 {
		return nil
	}
	if err := unix.Exec("/no/such", nil, nil); err != unix.ENOENT {
		return fmt.Errorf("exec: %v, want ENOENT", err)
	}
	return unix.Exec("/proc/self/exe", []string{"prog", loadArg, "exec", strconv.Itoa(n[0] - 1), "a b", ""}, os.Environ())
}

// loadOpen opens two files n[0] times, one of them by a relative path, and fails twice as often.
func loadOpen(n ...int) error {
	if err := unix.Chdir("/dev"); err != nil {
		return err
	}
	null, none, fresh := cstring("null"), cstring("/no/such"), cstring(os.TempDir()+"/new")
	at := unix.AT_FDCWD
	for range n[0] {
		fd, _, e := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(at), null, unix.O_RDONLY, 0, 0, 0)
		if e != 0 {
			return e
		}
		if err := unix.Close(int(fd)); err != nil {
			return err
		}
		how := &unix.OpenHow{Flags: unix.O_RDWR | unix.O_CREAT, Mode: 0o600}
		fd, _, e = unix.RawSyscall6(unix.SYS_OPENAT2, uintptr(at), fresh, uintptr(unsafe.Pointer(how)), unix.SizeofOpenHow, 0, 0)
		if e != 0 {
			return e
		}
		if err := unix.Close(int(fd)); err != nil {
			return err
		}
		if err := call(unix.ENOENT, unix.SYS_OPENAT, uintptr(at), none, unix.O_RDONLY); err != nil {
			return err
		}
		if err := call(unix.ENOENT, unix.SYS_OPENAT, uintptr(at), cstring("/no/creat"), unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// loadStat makes each of eight calls n[0] times.
func loadStat(n ...int) error {
	zero, err := unix.Open("/dev/zero", unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	null, none, empty, dev := cstring("/dev/null"), cstring("/no/such"), cstring(""), cstring("/dev")
	var b [512]byte
	out := uintptr(unsafe.Pointer(&b[0]))
	at, fd, bad := unix.AT_FDCWD, uintptr(zero), ^uintptr(0)
	for range n[0] {
		for _, err := range []error{
			call(0, unix.SYS_NEWFSTATAT, uintptr(at), null, out),
			call(unix.ENOENT, unix.SYS_NEWFSTATAT, uintptr(at), none, out),
			call(0, unix.SYS_NEWFSTATAT, fd, empty, out, unix.AT_EMPTY_PATH),
			call(0, unix.SYS_STATX, uintptr(at), null, 0, unix.STATX_BASIC_STATS, out),
			call(0, unix.SYS_FSTAT, fd, out),
			call(unix.EBADF, unix.SYS_FSTAT, bad, out),
			call(0, unix.SYS_STATFS, dev, out),
			call(0, unix.SYS_FSTATFS, fd, out),
		} {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// loadSync makes each of five calls n[0] times.
func loadSync(n ...int) error {
	fd, err := unix.Open(os.TempDir()+"/file", unix.O_RDWR|unix.O_CREAT, 0o600)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		return err
	}
	mem, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	for range n[0] {
		for _, err := range []error{
			call(0, unix.SYS_FSYNC, uintptr(fd)),
			call(0, unix.SYS_FDATASYNC, uintptr(fd)),
			call(0, unix.SYS_SYNC_FILE_RANGE, uintptr(fd), 0, 4096, 0),
			call(0, unix.SYS_MSYNC, uintptr(unsafe.Pointer(&mem[0])), 4096, unix.MS_SYNC),
			call(unix.EBADF, unix.SYS_FSYNC, ^uintptr(0)),
		} {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// loadSleep sleeps n[0] times by each of two calls, and as often until a point in time.
func loadSleep(n ...int) error {
	for range n[0] {
		ts := &unix.Timespec{Nsec: 2e6}
		if err := call(0, unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(ts)), 0); err != nil {
			return err
		}
		if err := call(0, unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, 0, uintptr(unsafe.Pointer(ts)), 0); err != nil {
			return err
		}
		var until unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &until); err != nil {
			return err
		}
		if err := call(0, unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&until)), 0); err != nil {
			return err
		}
	}
	return nil
}

// loadSetuid makes each of eight calls n[0] times. They change nothing for root.
func loadSetuid(n ...int) error {
	same := ^uintptr(0)
	for range n[0] {
		for _, err := range []error{
			call(0, unix.SYS_SETUID, 0), call(0, unix.SYS_SETREUID, same, 0), call(0, unix.SYS_SETRESUID, 0, same, 0), call(0, unix.SYS_SETFSUID, 0),
			call(0, unix.SYS_SETGID, 0), call(0, unix.SYS_SETREGID, 0, 0), call(0, unix.SYS_SETRESGID, same, same, same), call(0, unix.SYS_SETFSGID, 0),
		} {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// loadFork starts n[0] processes that do nothing.
func loadFork(n ...int) error {
	for range n[0] {
		pid, err := syscall.ForkExec("/proc/self/exe", []string{"child", loadArg, "fork", "0"}, nil) // os/exec forks once more, to see what the kernel can do
		if err != nil {
			return err
		}
		if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
			return err
		}
	}
	return nil
}

// loadGetppid calls getppid n[0] times.
func loadGetppid(n ...int) error {
	for range n[0] {
		unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	}
	return nil
}

// loadUnix sends n[0] messages over a stream, each of which is received in two parts.
func loadUnix(n ...int) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	for range n[0] {
		if _, err := unix.Write(fds[0], []byte("hello\nthere")); err != nil {
			return err
		}
		b := make([]byte, 100)
		for _, size := range []int{5, 100} {
			if _, err := unix.Read(fds[1], b[:size]); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadThreads creates n[0] threads. Go's runtime may create some more.
func loadThreads(n ...int) error {
	var ready sync.WaitGroup
	for range n[0] {
		ready.Add(1)
		go func() {
			runtime.LockOSThread()
			ready.Done()
			select {}
		}()
	}
	ready.Wait()
	return nil
}

// pinned locks the goroutine to a thread with the load's name, which runs only on CPU 0.
func pinned() error {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(0)
	return errors.Join(setName(), unix.SchedSetaffinity(0, &set))
}

// loadPass passes a byte from one thread to another and back n[0] times. Both share a CPU.
func loadPass(n ...int) error {
	var there, back [2]int
	if err := errors.Join(unix.Pipe(there[:]), unix.Pipe(back[:])); err != nil {
		return err
	}
	b := uintptr(unsafe.Pointer(&make([]byte, 1)[0]))
	pass := func(calls [2]uintptr, fds [2]int) error {
		if err := pinned(); err != nil {
			return err
		}
		for range n[0] { // without telling the Go scheduler that the thread waits
			for i, nr := range calls {
				if _, _, e := unix.RawSyscall(nr, uintptr(fds[i]), b, 1); e != 0 {
					return e
				}
			}
		}
		return nil
	}
	other := make(chan error)
	go func() { other <- pass([2]uintptr{unix.SYS_READ, unix.SYS_WRITE}, [2]int{there[0], back[1]}) }()
	return errors.Join(pass([2]uintptr{unix.SYS_WRITE, unix.SYS_READ}, [2]int{there[1], back[0]}), <-other)
}

// loadSpin uses n[0] ms of CPU time in each of n[1] threads.
func loadSpin(n ...int) error {
	done := make(chan error)
	for range n[1] {
		go func() {
			err := pinned()
			for err == nil {
				var ts unix.Timespec
				if err = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); ts.Nano() >= int64(n[0])*1e6 {
					break
				}
			}
			done <- err
		}()
	}
	var errs []error
	for range n[1] {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// loadMemory uses n[0] MiB of memory.
func loadMemory(n ...int) error {
	b := make([]byte, n[0]<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	kept = append(kept, b)
	return nil
}

// loadBlocks reads n[0] blocks of 4 KiB from the disk, each by a call of its own.
func loadBlocks(n ...int) error {
	fd, err := unix.Open(os.Getenv(loadFile), unix.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS) // is aligned
	if err != nil {
		return err
	}
	for i := range n[0] {
		if size, err := unix.Pread(fd, b, int64(i)*4096); err != nil || size != 4096 {
			return fmt.Errorf("read %d bytes: %w", size, err)
		}
	}
	return nil
}

// loadFiles writes, synchronizes and reads a new file n[0] times, and makes another as often.
func loadFiles(n ...int) error {
	fd, err := unix.Open(os.TempDir()+"/file", unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	b := make([]byte, 10)
	for range n[0] {
		if _, err := unix.Write(fd, b); err != nil {
			return err
		}
		if err := unix.Fsync(fd); err != nil {
			return err
		}
		if _, err := unix.Pread(fd, b, 0); err != nil {
			return err
		}
		made, err := unix.Open(os.TempDir()+"/made", unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(unix.Close(made), unix.Unlink(os.TempDir()+"/made")); err != nil {
			return err
		}
	}
	return nil
}

// loadCap fails n[0] times to do what needs the capability SYS_ADMIN.
func loadCap(n ...int) error {
	if err := call(0, unix.SYS_SETUID, 65534); err != nil {
		return err
	}
	for range n[0] {
		if err := call(unix.EPERM, unix.SYS_SETHOSTNAME, cstring("x"), 1); err != nil {
			return err
		}
	}
	return nil
}

// loadMissing looks up n[0] names that are in no cache and on no disk.
func loadMissing(n ...int) error {
	for i := range n[0] {
		if err := unix.Access(os.TempDir()+"/missing"+strconv.Itoa(i), unix.F_OK); err != unix.ENOENT {
			return fmt.Errorf("access: %v, want ENOENT", err)
		}
	}
	return nil
}

// loadExits starts n[0] processes that exit with code 3, and as many that kill themselves.
func loadExits(n ...int) error {
	for range n[0] {
		for _, how := range []string{"0", "1"} {
			pid, err := syscall.ForkExec("/proc/self/exe", []string{"child", loadArg, "exit", how}, &syscall.ProcAttr{Env: os.Environ()})
			if err != nil {
				return err
			}
			if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadExit exits with code 3, or kills its process if n[0] is 1.
func loadExit(n ...int) error {
	if n[0] == 1 {
		return unix.Kill(os.Getpid(), unix.SIGKILL)
	}
	os.Exit(3)
	return nil
}
