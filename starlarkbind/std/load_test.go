package std_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// The test binary is also the program stdload, which the tests in Starlark start for a load of a
// known number of events: spawn(["stdload", NAME]).
const loadProgram = "stdload"

var loads = map[string]func() error{
	"connect": loadConnect,
	"close":   loadClose,
	"write":   loadWrite,
	"sleep":   loadSleep,
	"exec":    func() error { return unix.Exec("/proc/self/exe", []string{loadProgram, "exit", "a b", ""}, nil) },
	"sync":    func() error { unix.Sync(); return nil },
	"null":    loadNull,
	"exit":    func() error { return nil },
	"pages":   loadPages,
}

// runLoad runs a load in a single thread.
func runLoad(name string) error {
	runtime.LockOSThread()
	load := loads[name]
	if load == nil {
		return fmt.Errorf("no load %q", name)
	}
	return load()
}

// addToPath makes the program stdload known to spawn(). The returned function removes it.
func addToPath() (remove func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "stdload")
	if err != nil {
		return nil, err
	}
	if err := os.Symlink(self, filepath.Join(dir, loadProgram)); err != nil {
		return nil, err
	}
	return func() error { return os.RemoveAll(dir) }, os.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// loadConnect connects over IPv4 and, if the host has IPv6, over IPv6 and over IPv4 to a socket of
// IPv6, whose address then is the IPv4 address in the form of IPv6.
func loadConnect() error {
	v4, v6, any6 := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}, &unix.SockaddrInet6{}
	if err := connect(unix.AF_INET, v4, v4); err != nil {
		return err
	}
	err := connect(unix.AF_INET6, v6, v6)
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	mapped := &unix.SockaddrInet6{Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}}
	return errors.Join(err, connect(unix.AF_INET6, any6, mapped))
}

// connect listens at an address and connects to it by another, which gets the same port.
func connect(family int, at, to unix.Sockaddr) error {
	server, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(server)
	if err := errors.Join(unix.Bind(server, at), unix.Listen(server, 1)); err != nil {
		return err
	}
	bound, err := unix.Getsockname(server)
	if err != nil {
		return err
	}
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		to = bound
	case *unix.SockaddrInet6:
		to.(*unix.SockaddrInet6).Port = bound.Port
	}
	client, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(client)
	return unix.Connect(client, to)
}

// loadClose closes the descriptors 107, of /dev/null, 108, of /proc/self/status, 109, of /etc, and
// 999, which is not open.
func loadClose() error {
	for fd, name := range map[int]string{107: "/dev/null", 108: "/proc/self/status", 109: "/etc"} {
		f, err := unix.Open(name, unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		if err := unix.Dup3(f, fd, 0); err != nil {
			return err
		}
	}
	for fd := 107; fd <= 109; fd++ {
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	if err := unix.Close(999); !errors.Is(err, unix.EBADF) {
		return fmt.Errorf("close(999): %w", err)
	}
	return nil
}

// loadWrite writes 4321 bytes to a socket, to a pipe, and to two descriptors that are not open.
func loadWrite() error {
	var pipe [2]int
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err = errors.Join(err, unix.Pipe(pipe[:])); err != nil {
		return err
	}
	for _, fd := range []int{pair[0], pipe[1], 999, 1 << 20} {
		if _, err := unix.Write(fd, make([]byte, 4321)); err != nil && !errors.Is(err, unix.EBADF) {
			return err
		}
	}
	return nil
}

// loadSleep sleeps ten times, with a nice value of 7.
func loadSleep() error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, 7); err != nil {
		return err
	}
	for range 10 {
		if err := unix.Nanosleep(&unix.Timespec{Nsec: 1000000}, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return nil
}

// loadPages reads eight pages of a file, which no cache has, one by one, and another by a mapping.
// It writes one, and deletes all nine.
func loadPages() (err error) {
	file, err := os.CreateTemp(".", "pages") // /tmp may be in memory
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	fd := int(file.Fd())
	if err := errors.Join(file.Truncate(9*4096), unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM)); err != nil {
		return err
	}
	page := make([]byte, 4096)
	for i := range 8 {
		if _, err := unix.Pread(fd, page, int64(i)*4096); err != nil {
			return err
		}
	}
	b, err := unix.Mmap(fd, 8*4096, 4096, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	page[0] = b[0]
	if err := unix.Munmap(b); err != nil {
		return err
	}
	if _, err := unix.Pwrite(fd, page, 0); err != nil {
		return err
	}
	return file.Truncate(0)
}

// loadNull writes three times to /dev/null.
func loadNull() error {
	f, err := unix.Open("/dev/null", unix.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for range 3 {
		if _, err := unix.Write(f, make([]byte, 10)); err != nil {
			return err
		}
	}
	return nil
}
