package starlarkbind

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/starlarkbind/proc"
)

// A started is a process that waits for input.
type started struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

func startThreads(t *testing.T, prog string) *started {
	t.Helper()
	s := &started{cmd: exec.Command(prog)}
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.in = in
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *started) finish() error {
	if _, err := s.in.Write([]byte("x")); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// With -p, probes see all present and future threads of the process, and no other process.
func TestPIDFilter(t *testing.T) {
	prog := build(t, "threads")
	mine, other := startThreads(t, prog), startThreads(t, prog)
	l := newLive(t, func(o *Options) { o.PID = mine.cmd.Process.Pid })
	l.names.Predeclared["finish"] = starlark.NewBuiltin("finish", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		if err := other.finish(); err != nil {
			return nil, err
		}
		return starlark.None, mine.finish()
	})
	err := l.script(strings.ReplaceAll(`
calls, returns, sums, faults, all = count(), count(), sum(), count(), count()
probe("uprobe:PROG:work", lambda e: calls.add(by=(e.pid, e.tid)))
probe("uprobe:PROG:work", lambda e: sums.add(e.args[0]))
probe("uretprobe:PROG:wor*", lambda e: returns.add(by=e.pid))
probe("software:page-faults:1", lambda e: faults.add(by=(e.pid, e.tid)))
probe("tracepoint:sched:sched_process_exit", lambda e: all.add(by=e.pid), filter=lambda e: e.comm == "threads")
finish()
run(60) # which the end of the process ends
print(len(calls), sorted(calls.values()), len({k[0]: 0 for k in calls}), sums.value, len(returns), returns.values())
perthread = [n for k, n in faults.items() if k in calls]
print(len({k[0]: 0 for k in faults}), len(perthread), [n for n in perthread if n < 200 or n >= 300])
print(len(all), all.snapshot().values())
`, "PROG", prog))
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got, want := l.out.String(), "4 [1000, 1000, 1000, 1000] 1 1998000 1 [4000]\n1 4 []\n1 [5]\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// -c limits probes to the command, except for system-wide ones.
func TestPIDFilterCommand(t *testing.T) {
	prog := build(t, "calls")
	cmd, err := proc.Start([]string{prog, "100"}, os.Stdout, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	l := newLive(t, func(o *Options) { o.Command = cmd })
	err = l.script(strings.ReplaceAll(`
mine, back, exits = count(), count(), count()
every, allback, all = count(), count(), count()
for counter, wide in [(mine, False), (every, True)]:
    probe("uprobe:PROG:call_a", lambda e: counter.add(), system_wide=wide)
for counter, wide in [(back, False), (allback, True)]:
    probe("uretprobe:PROG:call_a", lambda e: counter.add(), system_wide=wide)
for counter, wide in [(exits, False), (all, True)]:
    probe("tracepoint:sched:sched_process_exit", lambda e: counter.add(), filter=lambda e: e.comm == "calls", system_wide=wide)
other = spawn(["PROG", "1000"])
run(other)
run()
print(mine.value, back.value, exits.value)
print(every.value, allback.value, all.value)
print(attempt(lambda: probe("tracepoint:sched:sched_process_exit", lambda e: exits.add())).error.message)
`, "PROG", prog))
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := "100 100 1\n1100 1100 2\nattach to tracepoint:sched:sched_process_exit: the target process has exited\n"
	if got := l.out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// For every kind of probe, child processes of the command do not belong to it.
func TestPIDFilterChildren(t *testing.T) {
	cmd, err := proc.Start([]string{loadBinary, "forks", "20"}, os.Stdout, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	l := newLive(t, func(o *Options) { o.Command = cmd })
	err = l.script(`
faults, samples, calls, forks = count(), count(), count(), count()
probe("software:page-faults:1", lambda e: faults.add(by=e.pid))
probe("profile:hz:999", lambda e: samples.add(by=e.pid))
probe(` + lseek + `, lambda e: calls.add(by=e.pid))
probe("tracepoint:sched:sched_process_fork", lambda e: forks.add(by=e.pid))
run()
print(len(faults), len(samples) < 2, len(calls), len(forks), faults.keys() == forks.keys())
`)
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got := l.out.String(); got != "1 True 0 1 True\n" {
		t.Errorf("got %q", got)
	}
}

// pidFilterRows has a probe of each kind whose handler checks the process itself. Each process
// makes a known number of events.
var pidFilterRows = []struct{ spec, filter string }{
	{"tracepoint:syscalls:sys_enter_getppid", "True"},
	{"rawtracepoint:sys_enter", "e.args[1] == getppid"},
	{"kprobe:vfs_read", "e.args[2] == 17"},
	{"kretprobe:vfs_read", "e.ret == 17"},
	{"fentry:vfs_read", "e.args.count == 17"},
	{"fexit:vfs_read", "e.args.count == 17"},
	{"function:vfs_read", "e.args.count == 17"},
	{"return:vfs_read", "e.ret == 17"},
}

// inNamespace is an environment variable that is set if the tests run in their own PID namespace.
const inNamespace = "BPFREPL_TEST_PID_NAMESPACE"

// enterNamespace mounts /proc for the PID namespace of the tests, if they have one.
func enterNamespace() error {
	if os.Getenv(inNamespace) == "" {
		return nil
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if ns, err := bpf.OwnPIDNamespace(); ns == nil || err != nil {
		return errors.Join(errors.New("this is no namespace of process ids"), err)
	}
	return nil
}

// Each kind of probe counts the events of the process of -c, and those of no other.
func TestPIDFilterKinds(t *testing.T) {
	for _, r := range pidFilterRows {
		t.Run(r.spec, func(t *testing.T) {
			load := []string{loadBinary, "reads", "/proc/self/exe", "1000", "17"}
			if strings.Contains(r.spec, "sys_enter") {
				load = []string{loadBinary, "getppid", "1000"}
			}
			cmd, err := proc.Start(load, os.Stdout, os.Stderr)
			if err != nil {
				t.Fatal(err)
			}
			var quoted []string
			for _, w := range load[1:] {
				quoted = append(quoted, strconv.Quote(w))
			}
			l := newLive(t, func(o *Options) { o.Command = cmd })
			kind, _, _ := strings.Cut(r.spec, ":")
			err = l.script(strings.NewReplacer("SPEC", r.spec, "FILTER", r.filter, "ARGV", strings.Join(quoted, ", ")).Replace(`
getppid = {"amd64": 110, "arm64": 173}[kernel().arch]
n, ends = count(), count()
r = attempt(lambda: probe("SPEC", lambda e: n.add(by=e.pid), filter=lambda e: FILTER))
if not r.ok:
    fail(r.error.message)
probe("interval:ms:1", lambda e: ends.add())
make(ARGV)
seen = n.values()
run()
print(seen, len(n), n.values(), ends.value > 0)
`))
			if err != nil {
				i := slices.IndexFunc(kindRows, func(k kindRow) bool { return k.kind == kind })
				kindRows[i].mayRefuse(t, err.Error())
				return
			}
			if got := l.out.String(); got != "[] 1 [1000] True\n" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// pid(), spawn() and e.pid agree in a PID namespace too, and stacks have the names of functions
// there.
func TestPIDFilterSameIDs(t *testing.T) {
	prog, want := build(t, "goprog"), []string{"True True True []"}
	if os.Getenv(inNamespace) != "" {
		want = []string{"e.ppid is not available when bpfrepl runs in a PID namespace", want[0]}
	}
	expect(t, `
calls, stacks = count(), count()
def h(e):
    calls.add(by=e.pid)
    stacks.add(by=ustack())
probe("uprobe:`+prog+`:main.(*shape).area", h)
p = spawn(["`+prog+`", "10"])
run(p)
refused = attempt(lambda: probe("uprobe:`+prog+`:main.(*shape).area", lambda e: calls.add(by=e.ppid), attach=False))
if not refused.ok:
    print(refused.error.message)
print(calls.keys() == [p.pid], pid() == me, len(stacks) > 0, [k for k in stacks.keys() if "unknown" in str(k) or not "runtime.goexit" in str(k)])
`, want...)
}

// An iterator visits only the tasks of the process of -p. From Linux 6.1 on the kernel selects
// them; before, the handler does, which does not support PID namespaces.
func TestPIDFilterIter(t *testing.T) {
	mine, other := startThreads(t, build(t, "threads")), startThreads(t, build(t, "threads"))
	l := newLive(t, func(o *Options) { o.PID = mine.cmd.Process.Pid })
	err := l.script(`
tasks = count()
probe("iter:task", lambda e: tasks.add(by=e.pid))
print(len(tasks), tasks.values())
`)
	if err := errors.Join(mine.finish(), other.finish()); err != nil {
		t.Fatal(err)
	}
	k, kerr := sys.Running()
	if kerr != nil {
		t.Fatal(kerr)
	}
	if os.Getenv(inNamespace) != "" && !k.AtLeast(6, 1) {
		want := "iter:task: this kernel cannot limit iterators to a process when bpfrepl runs in a PID namespace; Linux 6.1 can"
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		return
	}
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got := l.out.String(); got != "1 [2]\n" {
		t.Errorf("got %q", got)
	}
}

// -c and -p mean the same in a PID namespace, such as in a container.
func TestPIDFilterInNamespace(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		nested := exec.Command(build(t, "threads"))
		nested.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		in, err := nested.StdinPipe()
		if err == nil {
			err = nested.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		pid := nested.Process.Pid
		l := newLive(t, func(o *Options) { o.PID = pid })
		if err := l.script(`
probe("uprobe:` + nested.Path + `:work", lambda e: None)
print(attempt(lambda: probe("tracepoint:syscalls:sys_enter_getppid", lambda e: None)).error.message)
`); err != nil {
			t.Error(l.FormatError(err))
		}
		want := fmt.Sprintf("tracepoint:syscalls:sys_enter_getppid: process %d is in a PID namespace nested in bpfrepl's, so the handler cannot identify it: run bpfrepl in that namespace, or in the initial one\n", pid)
		if got := l.out.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if err := (&started{nested, in}).finish(); err != nil {
			t.Error(err)
		}
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestPIDFilter", "-test.count=1")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestCheckPID(t *testing.T) {
	me, thread := os.Getpid(), 0
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range tasks {
		if n, err := strconv.Atoi(e.Name()); err == nil && n != me {
			thread = n
		}
	}
	if err := CheckPID(thread); err == nil || err.Error() != fmt.Sprintf("%d is a thread of process %d; give that process ID", thread, me) {
		t.Errorf("a thread: %v", err)
	}
	for pid, want := range map[int]string{me: "", 0: "no process 0", -3: "no process -3", 1 << 22: "no process 4194304"} {
		got := ""
		if err := CheckPID(pid); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%d: %q, want %q", pid, got, want)
		}
	}
}
