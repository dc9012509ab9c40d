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

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
)

// Command is a program to run in a virtual machine of its own.
type Command struct {
	Program string   // static executable on the host
	Args    []string // arguments, without the program name
	Env     []string // NAME=VALUE
	Dir     string   // working directory in the guest; "" is /payload, which contains the program
	Files   Files    // files in addition to the program
	Boot    string   // additional kernel command line, such as "preempt=full"
	Limit   time.Duration
	Idle    time.Duration // how long the program may neither print nor use CPU time; 0 is no limit
	Accel   string        // QEMU's accelerator; "" is defaultAccel
	Output  io.Writer     // receives standard output and standard error together
}

// Result is the outcome of a Command.
type Result struct {
	Release string // kernel release, as reported by the guest
	Status  int    // exit status of the program
	Took    time.Duration
	CPU     time.Duration // CPU time of QEMU: on a busy host much less than Took
	Console string        // if the program was killed: the last lines of the kernel's console
}

// NoStatusError reports that the virtual machine ended without reporting the exit status of the
// program: the guest or the emulator crashed, or a limit was exceeded.
type NoStatusError struct {
	Kernel  string
	Began   bool // whether the program had started
	Err     error
	Console string // last lines of the kernel's console
}

func (e *NoStatusError) Error() string {
	return fmt.Sprintf("the virtual machine with kernel %s reported no status: %v; the end of its console:\n%s", e.Kernel, e.Err, e.Console)
}

func (e *NoStatusError) Unwrap() error { return e.Err }

// ErrLimit reports that the virtual machine exceeded its time limit.
var ErrLimit = errors.New("time limit exceeded")

// errUnfit reports that the virtual machine stalls from time to time. If the emulator got no CPU
// time while the kernel was calibrating the CPU timers, the kernel disables them.
var errUnfit = errors.New("the kernel found no processor timer")

// noTimer is the kernel's console message in that case.
const noTimer = "disabling apic timer"

// unfitStarts is how often a virtual machine may come up without timers before start gives up.
const unfitStarts = 10

// Limits until the program starts: the host CPU time that a virtual machine may use, and the wall
// time, which covers a busy host. A normal boot takes three seconds.
const (
	bootCPU   = 20 * time.Second
	bootLimit = 5 * time.Minute
)

// errStuck reports that these limits were exceeded: now and then the firmware waits forever for the
// second CPU.
var errStuck = errors.New("the machine did not boot")

// ErrLockup reports that a CPU of the virtual machine made no progress. Like a panic, it counts as
// a crash.
var ErrLockup = errors.New("the machine locked up")

// ErrIdle reports that the program did nothing for longer than Command.Idle.
var ErrIdle = errors.New("the program produced no output and used no CPU time")

// A virtual machine is considered locked up if vminit printed no beat for lockupLimit while QEMU
// used lockupCPU of the host's CPU time, or no beat for lockupWait: on a busy host the emulator may
// get little CPU time. The kernel's own watchdog panics earlier when it detects a lockup, but it
// does not detect every lockup that the emulator causes.
const (
	lockupLimit = time.Minute
	lockupCPU   = 20 * time.Second
	lockupWait  = 5 * time.Minute
)

// opening is the first line that vminit prints.
const opening = "@@vm begins@@"

// closing matches the last line that vminit prints.
var closing = regexp.MustCompile(`^@@vm release=(\S+) exit=(\d+)@@$`)

// crashStarts is how often a virtual machine is started in total if its kernel crashes or does not
// come up.
const crashStarts = 5

// Run runs the program under kernel k. If the virtual machine reported no exit status, Run starts
// another one: QEMU's emulation now and then crashes a kernel that patches its own code while both
// CPUs run. A virtual machine that exceeded its time limit is not started again.
//
// If no virtual machine reported a status, the error is a *NoStatusError. It wraps ErrLimit,
// ErrLockup or ErrIdle if that is the reason.
func (k Kernel) Run(c Command) (Result, error) {
	res, err := k.start(c)
	for n := 1; n < crashStarts && crashed(err); n++ {
		fmt.Fprintf(c.Output, "vmtest: retrying, emulated in one thread: %v\n", err)
		c.Accel = safeAccel
		res, err = k.start(c)
	}
	return res, err
}

// crashed reports whether a virtual machine ended early because of the kernel or the emulator.
// Running into the time limit is the program's fault and does not count.
func crashed(err error) bool {
	var none *NoStatusError
	return errors.As(err, &none) && !errors.Is(err, ErrLimit) && !errors.Is(err, errUnfit)
}

// start runs the program once. A virtual machine that ends before the program starts is started
// again.
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
		fmt.Fprintf(c.Output, "vmtest: retrying: %v\n", none.Err)
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
			why = errors.New("the machine reset")
		}
		return res, &NoStatusError{Kernel: k.Name, Began: began, Err: why, Console: errs.String() + tail(console, 40)}
	}
	if !k.match.MatchString(res.Release) {
		return res, fmt.Errorf("want kernel %s, but %s ran", k.Name, res.Release)
	}
	if res.Status > killed {
		res.Console = tail(console, 40)
	}
	return res, copyErr
}

// killed is the exit status of a program that signal 0 would end; vminit adds the signal's number.
const killed = 128

// follow copies to out the program's output, which is enclosed by the opening and the closing line.
// It calls begins at the opening line and parses the closing line into res.
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

// pack writes the initramfs to the file initrd. tmp is a directory for temporary files.
func (c Command) pack(tmp, initrd string) (err error) {
	init, err := buildbin.Build("internal/testkit/vmtest/vminit")
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

// Values of QEMU's -accel option. With one thread for each CPU, the guest's CPUs run truly in
// parallel, which tests of races need. QEMU before 8.1 crashes kernels in this mode (see
// fixedQEMU). A single thread has no such race, and runs the tests that a crash has left.
const (
	defaultAccel = "tcg,thread=multi"
	safeAccel    = "tcg,thread=single"
)

// modules are the security modules of Debian's kernels, with bpf, which 5.10 leaves out.
const modules = "landlock,lockdown,yama,loadpin,safesetid,integrity,apparmor,selinux,smack,tomoyo,bpf"

// qemuArgs returns the arguments that define the virtual machine. The machine type microvm boots
// fastest. The kernel's console is the first serial port, the program's output the second. The CPU
// model has no cmpxchg16b, because QEMU 7.2 now and then corrupts the flags after this instruction,
// which crashes kernels from 6.12 on. A CPU that stays in the kernel for 40 s causes a panic; the
// timeout of the RCU stall report is longer, because that report would delay the panic.
func qemuArgs(vmlinux, initrd, console, boot, accel string, tscKHz int) []string {
	if accel == "" {
		accel = defaultAccel
	}
	return []string{
		"-M", "microvm,acpi=on,isa-serial=on,pit=on,pic=on,rtc=on,pcie=off,usb=off", "-accel", accel,
		"-cpu", "Nehalem,-cx16", "-smp", "2", "-m", "1G", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-monitor", "none",
		"-serial", "file:" + console, "-chardev", "stdio,id=pay,signal=off", "-device", "isa-serial,chardev=pay,index=1",
		"-kernel", vmlinux, "-initrd", initrd,
		"-append", "console=ttyS0 panic=-1 reboot=t oops=panic nokaslr mitigations=off no_timer_check tsc=reliable random.trust_cpu=on cryptomgr.notests rcupdate.rcu_expedited=1 loglevel=5 softlockup_panic=1 watchdog_thresh=20 lsm=" + modules + " rcupdate.rcu_cpu_stall_timeout=55 rdinit=/init tsc_early_khz=" + strconv.Itoa(tscKHz) + " " + boot,
	}
}

// tscKHz returns the clock rate of the host's time stamp counter in kHz, which is the guest's too.
// microvm has no clock to calibrate it against: without the tsc_early_khz option, the kernel's
// clock advances in steps of 4 ms.
func tscKHz() (int, error) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^bogomips\s*:\s*([\d.]+)`).FindSubmatch(info)
	if m == nil {
		return 0, errors.New("/proc/cpuinfo has no bogomips")
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
