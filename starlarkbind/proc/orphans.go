package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// While Run runs a command, bpfrepl is a subreaper: a process whose parent ends becomes a child of
// bpfrepl, and not of init. A process that has left the process group of its command, as daemons
// do, is found in this way. Children of bpfrepl also come from spawn() and -c, so the processes of
// a command are recognized by a variable in their environment.

var commands atomic.Int64

// newMark returns the variable for a command. Its name differs for each command, so that a command
// that is bpfrepl itself does not replace the variable for what it starts.
func newMark() string { return fmt.Sprintf("BPFREPL_COMMAND_%d_%d=1", os.Getpid(), commands.Add(1)) }

// deathTime is how long Run waits until the kernel has ended processes that were killed.
const deathTime = time.Second

// endOrphans kills and reaps the processes of a command that has ended: those of its process group,
// which have been killed, and those with its mark.
func endOrphans(group int, marked string) error {
	for until := time.Now().Add(deathTime); ; {
		inGroup, err := reap(-group)
		if err != nil {
			return err
		}
		left, err := markedChildren(marked)
		if err != nil {
			return err
		}
		for _, pid := range left {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("kill process %d: %w", pid, err)
			}
			for alive := true; alive && time.Now().Before(until); {
				if alive, err = reap(pid); err != nil {
					return err
				}
			}
		}
		if !inGroup && len(left) == 0 {
			return nil
		}
		if time.Now().After(until) {
			return errors.New("the kernel does not end the processes that the command has left")
		}
	}
}

// reap reaps the children that have ended among those that id denotes, as in wait4(2). It reports
// whether there are others that have not ended, and then waits for a moment.
func reap(id int) (alive bool, err error) {
	for {
		pid, err := unix.Wait4(id, nil, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.ECHILD):
			return false, nil
		case errors.Is(err, unix.EINTR), pid > 0:
			continue
		case err == nil:
			time.Sleep(time.Millisecond)
		}
		return true, err
	}
}

// markedChildren returns the children of this process that have the variable in their environment.
func markedChildren(marked string) ([]int, error) {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return nil, err
	}
	var out []int
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil && !gone(err) {
			return nil, err
		}
		for _, field := range bytes.Fields(text) {
			pid, err := strconv.Atoi(string(field))
			if err != nil {
				return nil, err
			}
			env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			if err != nil && !gone(err) && !errors.Is(err, fs.ErrPermission) { // not one of ours
				return nil, err
			}
			for _, v := range bytes.Split(env, []byte{0}) {
				if string(v) == marked {
					out = append(out, pid)
				}
			}
		}
	}
	return out, nil
}

// gone reports whether the file in /proc belonged to a process or thread that has ended.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }
