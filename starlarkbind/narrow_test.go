package starlarkbind

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/proc"
)

// started is a process that waits for a word.
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

// With -p, probes see all threads of the process, those that are there and those to come, and no other process.
func TestNarrow(t *testing.T) {
	prog := build(t, "threads")
	mine, other := startThreads(t, prog), startThreads(t, prog)
	l := newLive(t, func(o *Options) { o.PID = mine.cmd.Process.Pid })
	l.predeclared["finish"] = starlark.NewBuiltin("finish", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
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
print(len(all))
`, "PROG", prog))
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got, want := l.out.String(), "4 [1000, 1000, 1000, 1000] 1 1998000 1 [4000]\n1 4 []\n2\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// -c limits probes to the command.
func TestNarrowCommand(t *testing.T) {
	prog := build(t, "calls")
	cmd, err := proc.Start([]string{prog, "100"}, os.Stdout, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	l := newLive(t, func(o *Options) { o.Command = cmd })
	err = l.script(strings.ReplaceAll(`
mine, all = count(), count()
probe("uprobe:PROG:call_a", lambda e: mine.add())
probe("tracepoint:sched:sched_process_exit", lambda e: all.add(), filter=lambda e: e.comm == "calls")
other = spawn(["PROG", "1000"])
run(other)
run()
print(mine.value, all.value)
`, "PROG", prog))
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got := l.out.String(); got != "100 2\n" {
		t.Errorf("got %q", got)
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
	if err := CheckPID(thread); err == nil || err.Error() != fmt.Sprintf("%d is a thread of process %d; give that", thread, me) {
		t.Errorf("a thread: %v", err)
	}
	for pid, want := range map[int]string{me: "", 0: "there is no process 0", -3: "there is no process -3", 1 << 22: "there is no process 4194304"} {
		got := ""
		if err := CheckPID(pid); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%d: %q, want %q", pid, got, want)
		}
	}
}
