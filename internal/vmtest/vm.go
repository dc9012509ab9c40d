package vmtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bpfrepl/bpfrepl/internal/gobin"
)

// Command is a program to be run in a machine of its own.
type Command struct {
	Program string   // the static executable, outside
	Args    []string // behind its name
	Env     []string // NAME=VALUE
	Dir     string   // where it runs, inside; "" is /payload, which holds the program
	Files   Files    // besides the program
	Boot    string   // more for the kernel's command line: "preempt=full"
	Limit   time.Duration
	Idle    time.Duration // how long the program may neither print nor compute; 0: as long as it likes
	Accel   string        // QEMU's accelerator; "" is defaultAccel
	Output  io.Writer     // what it prints, standard output and errors in one
}

// Result is what became of it.
type Result struct {
	Release string // of the kernel, as the machine itself tells
	Status  int    // exit status
	Took    time.Duration
	CPU     time.Duration // what QEMU used: on a busy host much less than Took
}

// NoStatusError says that the machine ended without telling how the program ended: it crashed, or the emulator did.
type NoStatusError struct {
	Kernel  string
	Began   bool // the program had started
	Err     error
	Console string // the end of what the kernel said
}

func (e *NoStatusError) Error() string {
	return fmt.Sprintf("the virtual machine with kernel %s gave no status: %v; the end of its console:\n%s", e.Kernel, e.Err, e.Console)
}

func (e *NoStatusError) Unwrap() error { return e.Err }

// ErrLimit says that the time for a machine was over.
var ErrLimit = errors.New("the time limit is over")

// errUnfit says that the machine stands still now and then: where the emulator got no time while the kernel measured the timers of
// the processors, the kernel does without them.
var errUnfit = errors.New("the kernel found no timer of the processors")

// noTimer is what the kernel says on its console then.
const noTimer = "disabling apic timer"

// unfitStarts is how often a machine may come up like that.
const unfitStarts = 10

// How much CPU time of the host a machine may use until its program starts, and how long that may take on a busy host. It uses three seconds.
const (
	bootCPU   = 20 * time.Second
	bootLimit = 5 * time.Minute
)

// errStuck says that it took longer: the firmware now and then waits for the second processor without end.
var errStuck = errors.New("the machine did not come up")

// ErrLockup says that a processor of the machine made no progress. It is a crash, as a panic is.
var ErrLockup = errors.New("the machine locked up")

// ErrIdle says that the program did nothing for longer than it may.
var ErrIdle = errors.New("the program neither printed nor computed")

// A machine locked up if it has no beat of vminit for lockupLimit and used lockupCPU of the host's CPU time meanwhile, or has none for
// lockupWait: on a busy host the emulator may get little time. The kernel's own watchdog panics earlier where it sees a lock-up; it does not
// see every one that the emulator causes.
const (
	lockupLimit = time.Minute
	lockupCPU   = 20 * time.Second
	lockupWait  = 5 * time.Minute
)

// opening is the line by which vminit begins.
const opening = "@@vm begins@@"

// closing is the line by which vminit ends.
var closing = regexp.MustCompile(`^@@vm release=(\S+) exit=(\d+)@@$`)

// crashStarts is how often a machine is started whose kernel crashes, or does not come up.
const crashStarts = 5

// Run runs the program under the kernel. A machine that gave no status is started again: QEMU's emulation crashes a kernel now and
// then, where that patches its own code while both CPUs run; no machine's time limit is given twice.
func (k Kernel) Run(c Command) (Result, error) {
	res, err := k.start(c)
	for n := 1; n < crashStarts && crashed(err); n++ {
		fmt.Fprintf(c.Output, "vmtest: once more, emulated in one thread: %v\n", err)
		c.Accel = safeAccel
		res, err = k.start(c)
	}
	return res, err
}

// crashed reports whether a machine ended too early by its own fault, or the emulator's: the time limit is the program's.
func crashed(err error) bool {
	var none *NoStatusError
	return errors.As(err, &none) && !errors.Is(err, ErrLimit) && !errors.Is(err, errUnfit)
}

// start runs the program once: a machine that does not come to it is started again.
func (k Kernel) start(c Command) (Result, error) {
	res, err := k.once(c)
	var none *NoStatusError
	for unfit, crashes := 1, 1; errors.As(err, &none) && !none.Began && !errors.Is(err, ErrLimit); {
		if errors.Is(err, errUnfit) {
			unfit++
		} else {
			crashes++
		}
		if unfit > unfitStarts || crashes > crashStarts {
			break
		}
		fmt.Fprintf(c.Output, "vmtest: once more: %v\n", none.Err)
		res, err = k.once(c)
	}
	return res, err
}

func (k Kernel) once(c Command) (res Result, err error) {
	dir, err := k.Fetch(c.Output)
	if err != nil {
		return res, err
	}
	tmp, err := os.MkdirTemp("", "vmtest")
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	initrd := filepath.Join(tmp, "initrd")
	if err := c.pack(tmp, initrd); err != nil {
		return res, err
	}
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(context.Background(), c.Limit, ErrLimit)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	console := filepath.Join(tmp, "console")
	clock, err := tscKHz()
	if err != nil {
		return res, err
	}
	q, err := findQEMU()
	if err != nil {
		return res, err
	}
	args := append(slices.Clone(q.command), qemuArgs(filepath.Join(dir, imageFile), initrd, console, c.Boot, c.Accel, clock)...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return res, err
	}
	if err := cmd.Start(); err != nil {
		return res, fmt.Errorf("start QEMU: %w", err)
	}
	w := &watch{console: console, pid: cmd.Process.Pid, idle: c.Idle, stop: stop}
	go w.run(ctx)
	began := false
	found, copyErr := follow(out, io.MultiWriter(c.Output, &w.printed), &res, func() {
		began = true
		w.begun.Store(true)
	})
	waitErr := cmd.Wait()
	res.Took = time.Since(start)
	res.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if !found {
		why := errors.Join(context.Cause(ctx), waitErr, copyErr)
		if why == nil {
			why = errors.New("it reset")
		}
		return res, &NoStatusError{Kernel: k.Name, Began: began, Err: why, Console: errs.String() + tail(console, 40)}
	}
	if !k.match.MatchString(res.Release) {
		return res, fmt.Errorf("kernel %s was wanted, %s ran", k.Name, res.Release)
	}
	return res, copyErr
}

// follow copies the program's output between the opening line, at which begins is called, and the closing line, which it reads.
func follow(in io.Reader, out io.Writer, res *Result, begins func()) (found bool, err error) {
	r := bufio.NewReader(in)
	for {
		line, rerr := r.ReadString('\n')
		text := strings.TrimRight(line, "\r\n")
		switch m := closing.FindStringSubmatch(text); {
		case m != nil:
			res.Release = m[1]
			res.Status, err = strconv.Atoi(m[2])
			found = true
		case text == opening:
			begins()
		case !found:
			if _, werr := io.WriteString(out, line); werr != nil && err == nil {
				err = werr
			}
		}
		if rerr != nil {
			return found, err
		}
	}
}

// pack writes the initramfs.
func (c Command) pack(tmp, initrd string) (err error) {
	init, err := gobin.Build("internal/vmtest/vminit")
	if err != nil {
		return err
	}
	dir := c.Dir
	if dir == "" {
		dir = "/payload"
	}
	name := "/payload/" + filepath.Base(c.Program)
	spec, err := json.Marshal(map[string]any{"Argv": append([]string{name}, c.Args...), "Env": c.Env, "Dir": dir})
	if err != nil {
		return err
	}
	run := filepath.Join(tmp, "run.json")
	if err := os.WriteFile(run, spec, 0o600); err != nil {
		return err
	}
	files := Files{"init": init, name[1:]: c.Program, "payload/run.json": run}
	for dst, src := range c.Files {
		files[strings.TrimPrefix(path.Clean(dst), "/")] = src
	}
	f, err := os.Create(initrd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return writeCPIO(f, files, "dev", "proc", "sys", "tmp", strings.TrimPrefix(dir, "/"))
}

// How QEMU emulates. With a thread for each processor the processors of the guest truly run at once, which is what tests of races want.
// QEMU before 8.1 crashes kernels in this way (fixedQEMU). One thread for all has no such race, and runs what a crash has left.
const (
	defaultAccel = "tcg,thread=multi"
	safeAccel    = "tcg,thread=single"
)

// qemuArgs gives the machine: microvm boots fastest; the kernel's console is on the first serial port, the program's output
// on the second. The CPU has no cmpxchg16b: QEMU 7.2 corrupts the flags after it now and then, which kills kernels from 6.12 on.
// A processor that stays in the kernel for 40 s is a panic; the report of a stall, which would put that off, comes after it.
func qemuArgs(vmlinux, initrd, console, boot, accel string, tscKHz int) []string {
	if accel == "" {
		accel = defaultAccel
	}
	return []string{
		"-M", "microvm,acpi=on,isa-serial=on,pit=on,pic=on,rtc=on,pcie=off,usb=off", "-accel", accel,
		"-cpu", "Nehalem,-cx16", "-smp", "2", "-m", "1G", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-monitor", "none",
		"-serial", "file:" + console, "-chardev", "stdio,id=pay,signal=off", "-device", "isa-serial,chardev=pay,index=1",
		"-kernel", vmlinux, "-initrd", initrd,
		"-append", "console=ttyS0 panic=-1 reboot=t oops=panic nokaslr mitigations=off no_timer_check tsc=reliable random.trust_cpu=on cryptomgr.notests rcupdate.rcu_expedited=1 loglevel=5 softlockup_panic=1 watchdog_thresh=20 rcupdate.rcu_cpu_stall_timeout=55 rdinit=/init tsc_early_khz=" + strconv.Itoa(tscKHz) + " " + boot,
	}
}

// tscKHz is the clock rate of the machine's time stamp counter, which is the guest's too. microvm has nothing to measure it by:
// without being told, the kernel's clock steps by 4 ms.
func tscKHz() (int, error) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^bogomips\s*:\s*([\d.]+)`).FindSubmatch(info)
	if m == nil {
		return 0, errors.New("/proc/cpuinfo tells no bogomips")
	}
	mips, err := strconv.ParseFloat(string(m[1]), 64)
	return int(mips * 500), err
}

func tail(file string, lines int) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	var all []string
	for l := range strings.Lines(string(b)) {
		if l = strings.TrimRight(l, "\r\n"); l != "" && !beat.MatchString(l) {
			all = append(all, l)
		}
	}
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
