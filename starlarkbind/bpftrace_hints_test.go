package starlarkbind

import (
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hints"
)

// Code in another language gets a hint, and the hint is a script that runs.
func TestForeign(t *testing.T) {
	const told = "this is bpftrace syntax; in bpfrepl, write "
	prog := build(t, "calls") // the path of a program, with slashes
	for _, c := range []struct{ line, want string }{
		{"tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }", told + `m = count(); probe("tracepoint:raw_syscalls:sys_enter", lambda e: m.add(by=e.comm))`},
		{"tracepoint:syscalls:sys_exit_read /pid == 1 && args->ret > 0/ { @bytes[pid, comm] = sum(args->ret); }",
			told + `bytes = sum(); probe("tracepoint:syscalls:sys_exit_read", lambda e: bytes.add(e.args.ret, by=(e.pid, e.comm)), filter=lambda e: e.pid == 1 and e.args.ret > 0)`},
		{"t:syscalls:sys_exit_read { @ = lhist(args.ret, 0, 1000, 100) }", told + `m = lhist(0, 1000, 100); probe("t:syscalls:sys_exit_read", lambda e: m.add(e.args.ret))`},
		{"profile:hz:99 { @[kstack]++ }", told + `m = count(); probe("profile:hz:99", lambda e: m.add(by=e.kstack))`},
		{"t:sched:sched_switch, t:sched:sched_wakeup { @[probe] = count() }", told + `m = count(); probe(["t:sched:sched_switch", "t:sched:sched_wakeup"], lambda e: m.add(by=e.probe))`},
		{`BEGIN { printf("hello\n"); }`, told + `probe("begin", lambda e: printf("hello\n"))`},
		{`END { clear(@a); clear(@b); }`, told + `probe("end", lambda e: print(e.comm)), with a function of your own`},
		{`uretprobe:PROG:six { @[retval] = count(); }`, told + `m = count(); probe("uretprobe:PROG:six", lambda e: m.add(by=e.ret))`},
		{`uprobe:PROG:six /pid == 1/ { @[ustack(perf, 5), comm] = sum(arg0); }`,
			told + `m = sum(); probe("uprobe:PROG:six", lambda e: m.add(e.args[0], by=(ustack(5), e.comm)), filter=lambda e: e.pid == 1)`},
		{`profile:hz:99 { @[kstack(5)] = count() }`, told + `m = count(); probe("profile:hz:99", lambda e: m.add(by=kstack(5)))`},
		{`profile:hz:99 { @[kstack()] = count() }`, told + `m = count(); probe("profile:hz:99", lambda e: m.add(by=e.kstack))`},
		{`tracepoint:syscalls:sys_enter_openat { printf("%d pid %s %s\n", pid, comm, str(args->filename)); }`,
			told + `probe("tracepoint:syscalls:sys_enter_openat", lambda e: printf("%d pid %s %s\n", e.pid, e.comm, str(e.args.filename)))`},
		{`tracepoint:raw_syscalls:sys_enter/pid == 1 || !tid/ { @a = count(); @b[pid] = count(); }`,
			told + `probe("tracepoint:raw_syscalls:sys_enter", lambda e: print(e.comm), filter=lambda e: e.pid == 1 or not e.tid), with a function of your own`},
		{`i:s:1 { @t[nsecs, cpu] = max(curtask) }`, told + `t = max(); probe("i:s:1", lambda e: t.add(e.task, by=(now(), e.cpu)))`},
		{"sudo bpftrace -l", "this is not a shell; Ctrl-D exits, help() lists what is available"},
		{"ls -l", "this is not a shell; Ctrl-D exits, help() lists what is available"},
		{"calls = count())", ""},
		{"x = {1: 2", ""},
	} {
		got, want := hints.Bpftrace(strings.ReplaceAll(c.line, "PROG", prog)), strings.ReplaceAll(c.want, "PROG", prog)
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.line, got, want)
		}
		if script, ok := strings.CutPrefix(got, told); ok {
			script = strings.TrimSuffix(script, ", with a function of your own")
			l := newLive(t, func(o *Options) { o.Check = true })
			if err := l.script(script + "\n"); err != nil {
				t.Errorf("%s: %s", script, l.FormatError(err))
			}
		}
	}
}

// The hint follows the error, both for syntax errors and for undefined names.
func TestForeignError(t *testing.T) {
	l := newLive(t, nil)
	for _, c := range []struct{ src, want string }{
		{"tracepoint:raw_syscalls:sys_enter { @ = count(); }", "error: In[1]:1:12: got ':', want newline\n    tracepoint:raw_syscalls:sys_enter { @ = count(); }\n               ^\n    hint: this is bpftrace syntax; in bpfrepl, write m = count(); " +
			`probe("tracepoint:raw_syscalls:sys_enter", lambda e: m.add())`},
		{"ls", "error: In[2]:1:1: undefined: ls\n    ls\n    ^\n    hint: this is not a shell; Ctrl-D exits, help() lists what is available"},
		{"cuont()", "error: In[3]:1:1: undefined: cuont\n    cuont()\n    ^\n    hint: did you mean count?"},
		{`probe("tracepoint:raw_syscalls:sys_enter", lambda a, b: 1)`, `error: In[4]:1:44: a handler takes one parameter, the event; this function takes 2
    probe("tracepoint:raw_syscalls:sys_enter", lambda a, b: 1)
                                               ^
    hint: write lambda e: ...`},
		{"sudo bpftrace", "error: In[5]:1:14: got identifier, want newline\n    sudo bpftrace\n                 ^\n    hint: this is not a shell; Ctrl-D exits, help() lists what is available"},
		{"ps = 1 // 0", "error: In[6]:1:8: floored division by zero\n    ps = 1 // 0\n           ^"},
	} {
		_, err := l.ExecItem(t.Context(), c.src)
		if err == nil {
			t.Fatalf("%s: no error", c.src)
		}
		if got := l.FormatError(err); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
}
