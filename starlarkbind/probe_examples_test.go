package starlarkbind

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// A handler for signals to this process runs. Each signal is sent after the previous one was
// handled.
func TestSelfSignal(t *testing.T) {
	l := newLive(t, nil)
	l.names.Predeclared["kick"] = starlark.NewBuiltin("kick", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		return starlark.None, unix.Kill(os.Getpid(), unix.SIGUSR1)
	})
	err := l.script(`
got = count()
p = probe("self:signal:SIGUSR1", lambda e: got.add(by=(e.probe, e.pid == me)))
for i in range(5):
    kick()
    while sum(got.values()) <= i:
        run(0)
p.detach()
print(got.items() == [(("self:signal:SIGUSR1", True), 5)], p.targets)
`)
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got, want := l.out.String(), "True [\"self:signal:SIGUSR1\"]\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A watchpoint on a variable of a program counts each write to it.
func TestWatchpointProbe(t *testing.T) {
	if kinds.Watchpoints() != nil { // TestWatchpoint of package kinds checks the message
		expect(t, `print(attempt(lambda: probe("watchpoint:0x1000:8:w", lambda e: None)).error.kind)`, "attach")
		return
	}
	prog := build(t, "watched")
	addr := fmt.Sprintf("%#x", address(t, prog, "watched"))
	expectOf(t, prog, `
writes, both = count(), count()
w = probe("watchpoint:`+addr+`:8:w", lambda e: writes.add(), filter=lambda e: e.comm == "watched")
run(spawn(["PROG"]))
w.detach() # an emulated processor tells of one watchpoint on a place only
probe("w:`+addr+`:8:rw", lambda e: both.add(), filter=lambda e: e.comm == "watched")
run(spawn(["PROG"]))
print(writes.value, both.value)
`, "500 501")
}

// Iterators visit what exists when they are attached, and again when they are attached again. Their
// events describe those tasks, not bpfrepl.
func TestIterProbes(t *testing.T) {
	prog := build(t, "threads")
	p := startThreads(t, prog)
	dir := fmt.Sprintf("/proc/%d", p.cmd.Process.Pid)
	fds, err := os.ReadDir(dir + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	var pages uint64
	text, err := os.ReadFile(dir + "/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.Split(string(text), "ffffffffff600000")[0]) { // [vsyscall] has no memory of its own
		var from, to uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			t.Fatal(err)
		}
		pages += (to - from) / 4096
	}
	k, err := sys.Running()
	if err != nil {
		t.Fatal(err)
	}
	if !k.AtLeast(5, 12) {
		pages = 0 // the first kernel with iter:task_vma
	}
	highest := 0
	for _, e := range fds {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		highest = max(highest, n)
	}
	expect(t, fmt.Sprintf(`
PID = %d
tasks, files, last, pages = count(), count(), max(), sum()
mine = lambda e: e.pid == PID
p = probe("iter:task", lambda e: tasks.add(by=(e.pid, e.tid >= e.pid, e.comm, e.args.task != 0)), filter=mine)
probe("iter:task_file", lambda e: files.add(by=(e.comm, e.args.file != 0)), filter=mine)
probe("iter:task_file", lambda e: last.add(e.args.fd), filter=mine)
probe("iter:task_vma", lambda e: pages.add((e.args.end - e.args.start) // 4096), filter=mine, missing="ignore")
print(tasks.items() == [((PID, True, "threads", True), 2)], files.items(), last.value, pages.value)
p.detach()
p.attach()
print("", tasks.values(), errors())
parents = count()
probe("iter:task", lambda e: parents.add(by=(e.task.comm, e.task.real_parent.tgid == me, e.args.task.tgid == PID)), filter=mine)
print(parents.items() == [(("threads", True, True), 2)])
print(attempt(lambda: probe("iter:task", lambda e: tasks.add(by=e.uid))).error.message)
print(attempt(lambda: probe("iter:tasks", lambda e: None)).error.message)
`, p.cmd.Process.Pid), fmt.Sprintf(`True [(("threads", True), %d)] %d %d`, len(fds), highest, pages), ` [4] []`, `True`,
		`e.uid in an iterator would be that of bpfrepl, not of the current task; read it from e.task`,
		`no probe "iter:tasks": no iterator "tasks" (did you mean "iter:task"?)`)
	if err := p.finish(); err != nil {
		t.Error(err)
	}
}
