package tools

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Loads of threads that give each other something.

// loadShm makes each of four calls for shared memory n[0] times, and fails as often to make it.
func loadShm(n ...int) error {
	const size = 4096
	for range n[0] {
		id, err := unix.SysvShmGet(unix.IPC_PRIVATE, size, unix.IPC_CREAT|0o600)
		if err != nil {
			return err
		}
		b, err := unix.SysvShmAttach(id, 0, unix.SHM_RDONLY) // also gets the size, by shmctl
		if err != nil {
			return err
		}
		_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
		none := ^uintptr(0)
		if err := errors.Join(err, unix.SysvShmDetach(b),
			call(unix.EINVAL, unix.SYS_SHMGET, unix.IPC_PRIVATE, 0, unix.IPC_CREAT|unix.IPC_EXCL|0o640),
			call(unix.EINVAL, unix.SYS_SHMAT, none, 0, unix.SHM_RDONLY),
			call(unix.EINVAL, unix.SYS_SHMDT, 1),
			call(unix.EINVAL, unix.SYS_SHMCTL, none, unix.IPC_RMID),
		); err != nil {
			return err
		}
	}
	return nil
}

// loadMessages sends n[0] messages of 1000 bytes to the queue n[2], and receives n[1].
func loadMessages(n ...int) error {
	var m struct {
		kind int64
		text [1000]byte
	}
	m.kind = 1
	for range n[0] {
		if err := call(0, unix.SYS_MSGSND, uintptr(n[2]), uintptr(unsafe.Pointer(&m)), unsafe.Sizeof(m.text), 0); err != nil {
			return err
		}
	}
	for range n[1] {
		if err := call(0, unix.SYS_MSGRCV, uintptr(n[2]), uintptr(unsafe.Pointer(&m)), unsafe.Sizeof(m.text), 0, 0); err != nil {
			return err
		}
	}
	return nil
}

// loadTerminal sends n[0] bytes through a terminal. The kernel passes on each by a work item.
func loadTerminal(n ...int) error {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	number, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	slave, err := unix.Open("/dev/pts/"+strconv.Itoa(number), unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	raw := &unix.Termios{Cflag: unix.CS8}
	raw.Cc[unix.VMIN] = 1
	if err := unix.IoctlSetTermios(slave, unix.TCSETS, raw); err != nil {
		return err
	}
	b := make([]byte, 1)
	for range n[0] {
		if _, err := unix.Write(master, b); err != nil {
			return err
		}
		if _, err := unix.Read(slave, b); err != nil {
			return err
		}
	}
	return nil
}

// loadWake wakes a thread n[0] times, each after it has slept for at least 2 ms.
func loadWake(n ...int) error {
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		return err
	}
	tid, done := make(chan int, 1), make(chan error)
	go func() {
		runtime.LockOSThread()
		err := setName()
		tid <- unix.Gettid()
		b := uintptr(unsafe.Pointer(&make([]byte, 1)[0]))
		for i := 0; i < n[0] && err == nil; i++ {
			err = call(0, unix.SYS_READ, uintptr(pipe[0]), b, 1)
		}
		done <- err
	}()
	stat := filepath.Join("/proc/self/task", strconv.Itoa(<-tid), "stat")
	for range n[0] {
		for asleep := false; !asleep; {
			text, err := os.ReadFile(stat)
			if err != nil {
				return err
			}
			_, state, ok := bytes.Cut(text, []byte(") "))
			if !ok {
				return fmt.Errorf("%s: %q", stat, text)
			}
			asleep = state[0] == 'S'
		}
		ts := &unix.Timespec{Nsec: 2e6}
		if err := unix.Nanosleep(ts, nil); err != nil {
			return err
		}
		if _, err := unix.Write(pipe[1], []byte{0}); err != nil {
			return err
		}
	}
	return <-done
}
