package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// oneLiner returns a program that counts system calls by command until it is interrupted.
func (t tool) oneLiner() string {
	if t.ours {
		return `calls = count()
probe("tracepoint:raw_syscalls:sys_enter", lambda e: calls.add(by=e.comm))
run()`
	}
	return "tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }"
}

func sizes(ts []tool) error {
	head("tool", "executable, MB")
	for _, t := range ts {
		st, err := os.Stat(t.file)
		if err != nil {
			return err
		}
		row(t.name, fmt.Sprintf("%.1f", float64(st.Size())/1e6))
	}
	fmt.Println()
	return nil
}

// start measures the time from exec until the probe is attached, from the kernel's point of view:
// an ftrace instance records the system calls that attach, with the same clock that times the start
// of the process. This neither slows the tracers down nor relies on what they report.
func start(ts []tool, rounds int) error {
	f, err := newFtrace()
	if err != nil {
		return err
	}
	attached, gone, rss := make([]figure, len(ts)), make([]figure, len(ts)), make([]figure, len(ts))
	for range rounds {
		for i, t := range ts {
			a, g, r, err := startOnce(f, t)
			if err != nil {
				return errors.Join(fmt.Errorf("%s: %w", t.name, err), f.close())
			}
			attached[i], gone[i], rss[i] = append(attached[i], a), append(gone[i], g), append(rss[i], r)
		}
	}
	head("tool", "exec to attached, ms", "Ctrl-C to exit, ms", "peak memory, MiB")
	for i, t := range ts {
		row(t.name, attached[i].String(), gone[i].String(), rss[i].String())
	}
	fmt.Println()
	return f.close()
}

func startOnce(f *ftrace, t tool) (attached, gone, rss float64, err error) {
	if err := f.clear(); err != nil {
		return 0, 0, 0, err
	}
	t0 := monotonic()
	cmd := exec.Command(t.argv[0], append(append([]string{}, t.argv[1:]...), t.oneLiner())...)
	if err := cmd.Start(); err != nil {
		return 0, 0, 0, err
	}
	var last float64
	// Wait until a program is attached and no other one follows for 0.3 s.
	for deadline := time.Now().Add(20 * time.Second); ; {
		time.Sleep(300 * time.Millisecond)
		at, err := f.lastAttach()
		if err != nil {
			return 0, 0, 0, errors.Join(err, end(cmd))
		}
		if at != 0 && at == last {
			break
		}
		last = at
		if time.Now().After(deadline) {
			return 0, 0, 0, errors.Join(errors.New("not attached after 20 s"), end(cmd))
		}
	}
	rss, err = peak(cmd.Process.Pid)
	t1 := monotonic()
	err = errors.Join(err, end(cmd))
	return (last - t0) * 1e3, (monotonic() - t1) * 1e3, rss, err
}

// endLimit is how long a tracer may take to end. One of them needs a minute for a map of a million
// keys.
const endLimit = 3 * time.Minute

// end interrupts a tracer and waits for it. Any exit status is accepted, but the tracer must end.
func end(cmd *exec.Cmd) error {
	err := cmd.Process.Signal(syscall.SIGINT)
	hang := time.AfterFunc(endLimit, func() { cmd.Process.Kill() }) // if this fails, the tracer has already ended
	var exit *exec.ExitError
	if werr := cmd.Wait(); !errors.As(werr, &exit) {
		err = errors.Join(err, werr)
	}
	if !hang.Stop() {
		err = errors.Join(err, errors.New("it did not exit on SIGINT"))
	}
	return err
}

func monotonic() float64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // this clock always exists
	}
	return float64(ts.Sec) + float64(ts.Nsec)/1e9
}

// peak returns the largest resident set size of a process so far, in MiB.
func peak(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for _, l := range strings.Split(string(b), "\n") {
		if kb, ok := strings.CutPrefix(l, "VmHWM:"); ok {
			n, err := strconv.ParseFloat(strings.Fields(kb)[0], 64)
			return n / 1024, err
		}
	}
	return 0, errors.New("no VmHWM in the process's status")
}

// ftrace is an instance of the kernel's own tracer that records the system calls that attach
// programs.
type ftrace struct{ dir string }

// recorded lists the tracepoints to record, with their filters. The calls are ioctl with
// PERF_EVENT_IOC_ENABLE or PERF_EVENT_IOC_SET_BPF, and bpf with BPF_LINK_CREATE or
// BPF_RAW_TRACEPOINT_OPEN.
var recorded = [][2]string{{"sys_enter_ioctl", "cmd == 0x2400 || cmd == 0x40042408"}, {"sys_enter_bpf", "cmd == 28 || cmd == 17"}, {"sys_exit_ioctl", ""}, {"sys_exit_bpf", ""}}

func newFtrace() (*ftrace, error) {
	tracefs, err := sys.Tracefs()
	if err != nil {
		return nil, err
	}
	f := &ftrace{filepath.Join(tracefs, "instances", "bpfrepl-bench")}
	if err := os.Mkdir(f.dir, 0o700); err != nil && !os.IsExist(err) {
		return nil, err
	}
	err = f.write("trace_clock", "mono")
	for _, r := range recorded {
		if r[1] != "" {
			err = errors.Join(err, f.write("events/syscalls/"+r[0]+"/filter", r[1]))
		}
		err = errors.Join(err, f.write("events/syscalls/"+r[0]+"/enable", "1"))
	}
	return f, err
}

func (f *ftrace) write(name, text string) error {
	return os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0)
}

func (f *ftrace) clear() error { return f.write("trace", "") }

func (f *ftrace) close() error {
	var err error
	for _, r := range recorded {
		err = errors.Join(err, f.write("events/syscalls/"+r[0]+"/enable", "0"))
	}
	return errors.Join(err, os.Remove(f.dir))
}

// lastAttach returns the time in seconds at which the last successful attaching call returned, or 0
// if there was none.
func (f *ftrace) lastAttach() (float64, error) {
	file, err := os.Open(filepath.Join(f.dir, "trace"))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	last := 0.0
	inCall := map[string]bool{} // by thread
	for sc := bufio.NewScanner(file); sc.Scan(); {
		// A line is "  bpfrepl-123   [000] ..... 12.345678: sys_bpf(cmd: 11, ...)", and on return
		// "... sys_bpf -> 0x5".
		before, call, ok := strings.Cut(sc.Text(), ": sys_")
		fields := strings.Fields(before)
		if !ok || len(fields) < 4 {
			continue
		}
		thread := fields[0]
		_, ret, isReturn := strings.Cut(call, "-> ")
		if !isReturn {
			inCall[thread] = true
			continue
		}
		if !inCall[thread] {
			continue
		}
		delete(inCall, thread)
		n, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(ret), "0x"), 16, 64)
		if err != nil || int64(n) < 0 {
			continue // the call failed, so nothing was attached
		}
		if last, err = strconv.ParseFloat(fields[len(fields)-1], 64); err != nil {
			return 0, err
		}
	}
	return last, nil
}
