package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Result is what a command that has ended left.
type Result struct {
	ExitCode       int // as of Process.ExitCode
	Stdout, Stderr []byte
}

// mostOutput is the number of bytes that Run keeps of each output.
const mostOutput = 16 << 20

// lastOutput is how long Run reads on when the command and its process group have ended, but
// another process still holds the other end of the pipe.
const lastOutput = time.Second

// Run runs a program to its end and returns its output. Its standard input is empty. It is killed
// when ctx ends and when there is too much output; the processes that it has started are killed
// when it ends. If bpfrepl itself is killed, so is the program, but not what it has started. The
// error is the cause of ctx if that ended first. caller names the builtin in errors; if the program
// is not found, the error is a *NotFoundError. Calls must not overlap.
func Run(ctx context.Context, caller string, argv []string) (*Result, error) {
	if len(argv) == 0 {
		return nil, fmt.Errorf("%s: the command is empty", caller)
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return nil, &NotFoundError{caller, argv[0], err}
	}
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	var pipes [2]*pipe
	for i, name := range []string{"standard output", "standard error"} {
		tooMuch := fmt.Errorf("%s: %s wrote more than %d MiB to %s", caller, argv[0], mostOutput>>20, name)
		if pipes[i], err = newPipe(func() { kill(tooMuch) }); err != nil {
			return nil, errors.Join(err, pipes[0].close())
		}
	}
	marked := newMark()
	cmd := &exec.Cmd{Path: path, Args: argv, Env: append(os.Environ(), marked), Stdout: pipes[0].w, Stderr: pipes[1].w, SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}}
	code, err := runGroup(ctx, cmd, marked)
	for _, p := range pipes {
		err = errors.Join(err, p.close())
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("%s: %s: %w", caller, argv[0], err)
	}
	return &Result{code, pipes[0].data.Bytes(), pipes[1].data.Bytes()}, nil
}

// runGroup runs a command, kills what is left of it, and returns the exit code. The thread that
// starts the command does nothing else until it has ended, because Pdeathsig refers to the thread.
func runGroup(ctx context.Context, cmd *exec.Cmd, marked string) (code int, err error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)) }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err = cmd.Start(); err != nil {
			var pe *os.PathError // repeats the name
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return
		}
		pid := cmd.Process.Pid
		// The group is killed before its leader is reaped: afterwards, another group could have
		// the number.
		var mu sync.Mutex
		reaped := false
		killGroup := func() {
			mu.Lock()
			defer mu.Unlock()
			if !reaped {
				unix.Kill(-pid, unix.SIGKILL) // fails if there is nothing to kill
			}
		}
		defer context.AfterFunc(ctx, killGroup)()
		for {
			err = unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		killGroup()
		mu.Lock()
		reaped = true
		mu.Unlock()
		waitErr := cmd.Wait()
		code = exitCode(cmd.ProcessState, waitErr)
		err = errors.Join(err, endOrphans(pid, marked))
	}()
	<-done
	return code, err
}

// A pipe collects what processes write to w.
type pipe struct {
	r, w *os.File
	data bytes.Buffer
	done chan error
}

// newPipe returns a pipe that calls full when it has received more than mostOutput. It discards the
// rest, so that the writer does not block.
func newPipe(full func()) (*pipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &pipe{r: r, w: w, done: make(chan error, 1)}
	go func() {
		_, err := io.Copy(&p.data, io.LimitReader(r, mostOutput))
		if err == nil {
			var rest int64
			if rest, err = io.Copy(io.Discard, io.LimitReader(r, 1)); rest > 0 {
				full()
				_, err = io.Copy(io.Discard, r)
			}
		}
		p.done <- err
	}()
	return p, nil
}

// close reads to the end of the pipe and closes it. It does nothing for nil.
func (p *pipe) close() error {
	if p == nil {
		return nil
	}
	err := errors.Join(p.w.Close(), p.r.SetReadDeadline(time.Now().Add(lastOutput)))
	if readErr := <-p.done; !errors.Is(readErr, os.ErrDeadlineExceeded) {
		err = errors.Join(err, readErr)
	}
	return errors.Join(err, p.r.Close())
}
