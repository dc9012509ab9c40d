package starlarkbind

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// CheckPID says what is wrong with a process id that probes shall be limited to.
func CheckPID(pid int) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if pid <= 0 || errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("there is no process %d", pid)
	}
	if err != nil {
		return fmt.Errorf("look at process %d: %w", pid, err)
	}
	_, rest, _ := strings.Cut(string(text), "\nTgid:")
	leader, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	if leader != fmt.Sprint(pid) {
		return fmt.Errorf("%d is a thread of process %s; give that", pid, leader)
	}
	return nil
}

// narrow gives the process that probes are limited to, where their kind can be: that of -p, or the command of -c.
func (s *Session) narrow() int {
	if s.opt.Command != nil {
		return s.opt.Command.PID()
	}
	return s.opt.PID
}

// gone is closed when the process of -p ends; quit ends the waiting, and must be closed.
func gone(pid int, quit <-chan struct{}) (<-chan struct{}, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		done := make(chan struct{})
		close(done)
		return done, nil
	}
	if err != nil {
		return nil, fmt.Errorf("wait for process %d: %w", pid, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	done := make(chan struct{})
	go func() {
		<-quit
		w.Close() // wakes the poll below
	}()
	go func() {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(r.Fd())}}
		for {
			if _, err := unix.Poll(fds, -1); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if fds[0].Revents != 0 {
			close(done)
		}
		unix.Close(fd)
		r.Close()
	}()
	return done, nil
}
