// Package proc starts processes for scripts: in stopped state, so that probes can be attached
// before they run (proc.go), or to their end, for their output (run.go; orphans.go ends what they
// leave). A stopped process is traced (ptrace(2)) until it is released. All ptrace requests to a
// process must come from the thread that traces it, so a goroutine locked to that thread makes
// them.
package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Process is a child process that was started in stopped state.
type Process struct {
	cmd      *exec.Cmd
	release  chan struct{}
	once     sync.Once
	done     chan struct{}
	mu       sync.Mutex
	released bool
	code     int
}

// A NotFoundError reports that a program does not exist or cannot be run.
type NotFoundError struct {
	Caller string // the builtin that was called
	Name   string
	Err    error // error of the look-up
}

func (e *NotFoundError) Error() string {
	switch {
	case errors.Is(e.Err, exec.ErrDot):
		return fmt.Sprintf("%s: %q is only in the current directory; write ./%s", e.Caller, e.Name, e.Name)
	case !strings.Contains(e.Name, "/"):
		return fmt.Sprintf("%s: no program %q in $PATH", e.Caller, e.Name)
	case errors.Is(e.Err, os.ErrNotExist):
		return fmt.Sprintf("%s: no file %s", e.Caller, e.Name)
	case errors.Is(e.Err, os.ErrPermission):
		return fmt.Sprintf("%s: %s is not an executable file", e.Caller, e.Name)
	}
	why := e.Err
	var of *exec.Error
	if errors.As(why, &of) {
		why = of.Err
	}
	return fmt.Sprintf("%s: %s: %v", e.Caller, e.Name, why)
}

func (e *NotFoundError) Unwrap() error { return e.Err }

// Start starts a program and stops it before its first instruction. Its output goes to the given
// files, and it inherits standard input. If the program is not found, the error is a
// *NotFoundError.
func Start(argv []string, stdout, stderr *os.File) (*Process, error) {
	if len(argv) == 0 {
		return nil, errors.New("spawn: the command is empty")
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return nil, &NotFoundError{"spawn", argv[0], err}
	}
	p := &Process{release: make(chan struct{}), done: make(chan struct{})}
	p.cmd = &exec.Cmd{Path: path, Args: argv, Stdin: os.Stdin, Stdout: stdout, Stderr: stderr, SysProcAttr: &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}}
	started := make(chan error, 1)
	go p.own(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("spawn %s: %w", argv[0], err)
	}
	return p, nil
}

// own starts the process and waits for it, on a thread that does nothing else. If bpfrepl is
// killed, that thread ends, and the process is killed with it (Pdeathsig).
func (p *Process) own(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	pid := p.cmd.Process.Pid
	var ws unix.WaitStatus
	// The exec of a traced process stops it with SIGTRAP.
	if _, err := wait4(pid, &ws); err != nil || !ws.Stopped() {
		started <- fmt.Errorf("the process ended before it started: %v", err)
		return
	}
	// if bpfrepl dies while the process is traced, the process dies too.
	if err := unix.PtraceSetOptions(pid, unix.PTRACE_O_EXITKILL); err != nil {
		started <- errors.Join(err, p.cmd.Process.Kill())
		return
	}
	started <- nil
	<-p.release
	detachErr := unix.PtraceDetach(pid)
	if detachErr != nil && !errors.Is(detachErr, unix.ESRCH) { // ESRCH: it was killed
		p.kill()
	}
	err := p.cmd.Wait()
	p.mu.Lock()
	p.code = exitCode(p.cmd.ProcessState, err)
	p.mu.Unlock()
	close(p.done)
}

func wait4(pid int, ws *unix.WaitStatus) (int, error) {
	for {
		n, err := unix.Wait4(pid, ws, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// exitCode returns the exit status, or 128 plus the number of the signal that ended the process. It
// returns 127 if the status is unknown.
func exitCode(st *os.ProcessState, err error) int {
	if st == nil {
		return 127
	}
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	var xe *exec.ExitError
	if err != nil && !errors.As(err, &xe) {
		return 127
	}
	return st.ExitCode()
}

// Release lets the process run. Further calls do nothing.
func (p *Process) Release() {
	p.once.Do(func() {
		p.mu.Lock()
		p.released = true
		p.mu.Unlock()
		close(p.release)
	})
}

// Released reports whether Release was called.
func (p *Process) Released() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.released
}

// PID returns the process ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done returns a channel that is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode returns the exit code of the process, and whether the process has ended.
func (p *Process) ExitCode() (int, bool) {
	select {
	case <-p.done:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.code, true
	default:
		return 0, false
	}
}

func (p *Process) kill() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		fmt.Fprintf(os.Stderr, "bpfrepl: kill process %d: %v\n", p.PID(), err)
	}
}

// Kill kills the process if it is still running, and waits for its end.
func (p *Process) Kill() {
	if _, ended := p.ExitCode(); ended {
		return
	}
	p.kill()
	p.Release()
	<-p.done
}
