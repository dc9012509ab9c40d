package starlarkbind

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/internal/ctype"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// calls adds builtins that make system calls on the test's own thread.
func calls(l *live) {
	l.names.Predeclared["subreaper"] = builtinFor("subreaper", func(n int) error {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, uintptr(n), 0, 0, 0); err != nil {
			return err
		}
		unix.Getppid()
		return nil
	})
	l.names.Predeclared["sleep_ns"] = builtinFor("sleep_ns", func(n int) error {
		ts := unix.NsecToTimespec(int64(n))
		// The Go runtime's signals interrupt it. The call was made, and the call is what the test
		// traces.
		if err := unix.Nanosleep(&ts, nil); !errors.Is(err, unix.EINTR) {
			return err
		}
		return nil
	})
}

func builtinFor(name string, fn func(n int) error) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var n int
		if err := starlark.UnpackArgs(name, args, kw, "n", &n); err != nil {
			return nil, err
		}
		return starlark.None, fn(n)
	})
}

// mine runs a script on a locked thread, whose ID the script knows as mine, and returns the output.
func mine(t *testing.T, src string) string {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := newLive(t, nil)
	calls(l)
	l.names.Predeclared["mine"] = starlark.MakeInt(unix.Gettid())
	if err := l.script(src); err != nil {
		t.Fatal(l.FormatError(err))
	}
	return strings.TrimSpace(l.out.String())
}

// Bit fields: the handler sees what prctl sets.
func TestBitField(t *testing.T) {
	got := mine(t, `
by = count()
probe("tracepoint:syscalls:sys_enter_getppid", lambda e: by.add(by=(int(e.task.signal.is_child_subreaper), bool(e.task.signal.is_child_subreaper))), filter=lambda e: e.tid == mine)
subreaper(1)
subreaper(1)
subreaper(0)
print(str(sorted(by.items())))
`)
	if want := "[((0, False), 1), ((1, True), 2)]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A pointer argument of a system call is followed in the memory of the process.
func TestUserMemory(t *testing.T) {
	got := mine(t, `
by = count()
probe("tracepoint:syscalls:sys_enter_nanosleep", lambda e: by.add(by=(e.args.rqtp.tv_sec, e.args.rqtp.tv_nsec, e.args.rqtp[0].tv_nsec, cast(e.args.rqtp, "long *")[1])), filter=lambda e: e.tid == mine)
sleep_ns(12345)
print(by.items(), errors())
`)
	if want := "[((0, 12345, 12345, 12345), 1)] []"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Array indices: constants, negative constants, and integers that the handler computes. An index
// out of range ends the handler.
func TestArrays(t *testing.T) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	got := mine(t, `
seen, after = count(), count()
i = table()
i[0] = 7
def h(e):
    rlim = e.task.signal.rlim
    n = i.get(0, 0)
    seen.add(by=(n, e.task.signal.rlim[n].rlim_cur == rlim[7].rlim_cur, e.task.signal.rlim[7].rlim_cur == e.task.signal.rlim[-9].rlim_cur, rlim[n].rlim_cur))
    after.add()
probe("tracepoint:syscalls:sys_enter_nanosleep", h, filter=lambda e: e.tid == mine)
sleep_ns(1)
i[0] = 16
sleep_ns(1)
i[0] = -1
sleep_ns(1)
print(seen.keys(), after.value)
for e in errors():
    print(e.message, e.hint, e.errno, e.count)
`)
	want := fmt.Sprintf("[(7, True, True, %d)] 1\nthe index of e.task.signal.rlim[...].rlim_cur is out of range: the handler ended here test the index first ERANGE 2", lim.Cur)
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// Enums are names on the host, and numbers and names in the handler; enumerators are known
// everywhere.
func TestEnums(t *testing.T) {
	got := mine(t, `
modes, record, hits = count(), count(), count()
gate = table()   # open between both attachments and the end
gate[0] = 0
on = lambda e: e.tid == mine and gate.get(0, 0) == 1
probe("rawtracepoint:hrtimer_start", lambda e: modes.add(by=e.args.mode), filter=on)
def rec(e):
    record.add(by=cast(e.args.mode, "enum hrtimer_mode"))
    if e.args.mode & HRTIMER_MODE_REL and cast(e.args.mode, "enum hrtimer_mode") == "HRTIMER_MODE_REL":
        hits.add()
probe("tracepoint:timer:hrtimer_start", rec, filter=on)
gate[0] = 1
for i in range(50):
    sleep_ns(100000)
gate[0] = 0
print(modes.snapshot() == record.snapshot(), len(modes) > 0, all([k.startswith("HRTIMER_MODE_") for k in modes.keys()]), HRTIMER_MODE_REL, type(HRTIMER_MODE_REL))
print(hits.value == modes.get("HRTIMER_MODE_REL", 0), modes.get(HRTIMER_MODE_REL, 0) == modes.get("HRTIMER_MODE_REL", 0))
`)
	if want := "True True True 1 int\nTrue True"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// sizeof, offsetof and container_of agree with BTF as cilium/ebpf reads it.
func TestSizes(t *testing.T) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	var task *btf.Struct
	if err := spec.TypeByName("task_struct", &task); err != nil {
		t.Fatal(err)
	}
	comm, vruntime := 0, 0
	for _, m := range task.Members {
		switch m.Name {
		case "comm":
			comm = int(m.Offset.Bytes())
		case "se":
			for _, n := range m.Type.(*btf.Struct).Members {
				if n.Name == "vruntime" {
					vruntime = int(m.Offset.Bytes() + n.Offset.Bytes())
				}
			}
		}
	}
	got := mine(t, `
by = count()
def h(e):
    by.add(by=(sizeof("struct task_struct"), offsetof("struct task_struct", "comm"), offsetof("struct task_struct", "se.vruntime"),
               sizeof(e.task.comm), sizeof("u16"), sizeof(e.task.se), container_of(e.task.se, "struct task_struct", "se").pid == e.tid,
               container_of(e.task.sibling.next.prev, "struct task_struct", "sibling") == e.task, getattr(e.task, "tgid") == e.pid))
probe("tracepoint:syscalls:sys_enter_nanosleep", h, filter=lambda e: e.tid == mine)
sleep_ns(1)
print(str(by.keys()))
`)
	se, err := btf.Sizeof(mustMember(t, task, "se"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("[(%d, %d, %d, 16, 2, %d, True, True, True)]", task.Size, comm, vruntime, se); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func mustMember(t *testing.T, s *btf.Struct, name string) btf.Type {
	t.Helper()
	for _, m := range s.Members {
		if m.Name == name {
			return m.Type
		}
	}
	t.Fatalf("%s has no member %s", s.Name, name)
	return nil
}

// A chain with a NULL pointer yields an empty value and counts one error, however it is read. The
// error has the position and a hint.
func TestNull(t *testing.T) {
	l := newLive(t, func(o *Options) { o.Warnings = warnings.All })
	err := l.script(`
by = count()
def h(e):
    p = cast(0, "struct task_struct")
    by.add(by=(p.real_parent.real_parent.pid, p.comm, e.task.plug.rq_count, p.signal.rlim[1].rlim_cur))
probe("tracepoint:syscalls:sys_enter_getppid", h, filter=lambda e: e.comm == "nullchain")
make("-comm", "nullchain", "getppid", 10)
print(str(by.items()))
for e in errors():
    print(e.helper, e.message, e.hint, e.count)
`)
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	got := strings.TrimSpace(l.out.String())
	var want []string
	want = append(want, `[((0, "", 0, 0), 10)]`)
	for _, x := range [][2]string{{"probe_read_kernel", "p.real_parent"}, {"probe_read_kernel_str", "p.comm"}, {"probe_read_kernel", "e.task.plug.rq_count"}, {"probe_read_kernel", "p.signal"}} {
		want = append(want, fmt.Sprintf("%s %s could not be read: a pointer on the way is NULL or no longer valid; it reads as empty test the pointer first 10", x[0], x[1]))
	}
	if got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// A handler that follows no pointer and names no type does not load the kernel's BTF.
func TestBTFUntouched(t *testing.T) {
	l := newLive(t, nil)
	loaded := false
	load := l.ktypes.Load
	l.ktypes.Load = func() (*ctype.Table, error) { loaded = true; return load() }
	err := l.script(`
by = count()
probe(["tracepoint:raw_syscalls:sys_enter", "tracepoint:syscalls:sys_enter_openat"], lambda e: by.add(by=(e.comm, e.pid, e.task)))
probe("rawtracepoint:sys_enter", lambda e: by.add(by=("", cast(e.args[1], "long"), cast(e.args[1], "u32"))))
`)
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	if loaded {
		t.Error("BTF was read")
	}
	if err := l.script(`probe("tracepoint:raw_syscalls:sys_enter", lambda e: print(e.ppid), filter=lambda e: False)`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if !loaded {
		t.Error("e.ppid did not read BTF: this test sees nothing")
	}
}

// Errors that only the kernel's own types can reveal.
func TestTypeErrors(t *testing.T) {
	l := newLive(t, nil)
	for src, want := range map[string]string{
		`probe("rawtracepoint:sched_switch", lambda e: print(e.args.prv.comm))`:  `rawtracepoint:sched_switch has no argument prv` + "\n" + `did you mean "prev"?`,
		`probe("rawtracepoint:sched_switch", lambda e: print(e.args.prev.com))`:  `struct task_struct has no member com on this kernel` + "\n" + `did you mean "comm"?`,
		`probe("begin", lambda e: print(cast(e.pid, "struct task_strukt").pid))`: `this kernel has no type "struct task_strukt"` + "\n" + `did you mean "struct task_struct"?`,
		`probe("begin", lambda e: print(TCP_ESTABLISHD))`:                        "undefined: TCP_ESTABLISHD",
	} {
		t0 := time.Now()
		err := l.script(src)
		if err == nil {
			t.Errorf("%s: no error", src)
			continue
		}
		got := l.FormatError(err)
		for _, w := range strings.Split(want, "\n") {
			if !strings.Contains(got, w) {
				t.Errorf("%s: got\n%s\nwant %s", src, got, w)
			}
		}
		if d := time.Since(t0); d > 5*time.Second {
			t.Errorf("%s took %v", src, d)
		}
	}
}

// In an iterator, e.task is the current task of the iteration.
func TestIteratedTask(t *testing.T) {
	got := mine(t, `
tasks = count()
probe("iter:task", lambda e: tasks.add(by=(e.task.tgid == e.pid, e.task.pid == e.tid, e.task.comm == e.comm, e.task == e.args.task)))
print(str(tasks.keys()))
`)
	if want := "[(True, True, True, True)]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
