package starlarkbind

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
)

// CheckPID returns an error if probes cannot be limited to the process pid.
func CheckPID(pid int) error {
	if err := sys.CheckMounts(); err != nil {
		return err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if pid <= 0 || errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("no process %d", pid)
	}
	if err != nil {
		return fmt.Errorf("look at process %d: %w", pid, err)
	}
	_, rest, _ := strings.Cut(string(text), "\nTgid:")
	leader, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	if leader != fmt.Sprint(pid) {
		return fmt.Errorf("%d is a thread of process %s; give that process ID", pid, leader)
	}
	return nil
}

// process returns the filter that handlers of a target must apply, or nil if the kernel limits the
// target to the process or no limit is set.
func (p *Probe) process(t bpf.Target) (*compiler.PIDFilter, error) {
	if p.pid == 0 || t.PIDFilter(p.s.kernel) != bpf.FilterInProgram {
		return nil, nil
	}
	out := &compiler.PIDFilter{PID: p.pid}
	own, err := bpf.OwnPIDNamespace()
	if err != nil || own == nil {
		return out, err
	}
	if why := t.Driver.NamespacePIDs; why != "" {
		return nil, fmt.Errorf("%s: %s", t.Name, why)
	}
	its, err := bpf.PIDNamespaceOf(p.pid)
	if errors.Is(err, os.ErrNotExist) {
		its, err = own, nil // the process has ended, which attaching will report
	}
	if err != nil {
		return nil, err
	}
	if its == nil || *its != *own {
		return nil, fmt.Errorf("%s: process %d is in a PID namespace nested in bpfrepl's, so the handler cannot identify it: run bpfrepl in that namespace, or in the initial one", t.Name, p.pid)
	}
	out.Dev, out.Ino = own.Dev, own.Ino
	return out, nil
}

// targetPID returns the process that probes are limited to: the one given with -p, or the command
// of -c. It returns 0 if there is none.
func (s *Session) targetPID() int {
	if s.opt.Command != nil {
		return s.opt.Command.PID()
	}
	return s.opt.PID
}

// watchExit returns a channel that is closed when the process ends. The caller must close quit to
// end the watch.
func watchExit(pid int, quit <-chan struct{}) (<-chan struct{}, error) {
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
