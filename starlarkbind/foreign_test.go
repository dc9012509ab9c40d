package starlarkbind

import (
	"strings"
	"testing"
)

// What is typed in another language gets a hint, and the hint is a script that runs.
func TestForeign(t *testing.T) {
	const told = "that is bpftrace's language; here it is "
	for _, c := range []struct{ line, want string }{
		{"tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }", told + `m = count(); probe("tracepoint:raw_syscalls:sys_enter", lambda e: m.add(by=e.comm))`},
		{"tracepoint:syscalls:sys_exit_read /pid == 1 && args->ret > 0/ { @bytes[pid, comm] = sum(args->ret); }",
			told + `bytes = sum(); probe("tracepoint:syscalls:sys_exit_read", lambda e: bytes.add(e.args.ret, by=(e.pid, e.comm)), filter=lambda e: e.pid == 1 and e.args.ret > 0)`},
		{"t:syscalls:sys_exit_read { @ = lhist(args.ret, 0, 1000, 100) }", told + `m = lhist(0, 1000, 100); probe("t:syscalls:sys_exit_read", lambda e: m.add(e.args.ret))`},
		{"profile:hz:99 { @[kstack]++ }", told + `m = count(); probe("profile:hz:99", lambda e: m.add(by=e.kstack))`},
		{"t:sched:sched_switch, t:sched:sched_wakeup { @[probe] = count() }", told + `m = count(); probe(["t:sched:sched_switch", "t:sched:sched_wakeup"], lambda e: m.add(by=e.probe))`},
		{`BEGIN { printf("hello\n"); }`, told + `probe("begin", handler), where handler is a function: def handler(e): ...`},
		{"@[comm] = count()", `that is bpftrace's language; here a map has a name: calls = count(); probe("tracepoint:raw_syscalls:sys_enter", lambda e: calls.add(by=e.comm))`},
		{"sudo bpftrace -l", "this is no shell: leave with Ctrl-D; help() tells what there is"},
		{"ls -l", "this is no shell: leave with Ctrl-D; help() tells what there is"},
		{"calls = count())", ""},
		{"x = {1: 2", ""},
	} {
		got := foreign(c.line)
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.line, got, c.want)
		}
		if script, ok := strings.CutPrefix(got, told); ok && strings.Contains(script, ".add(") {
			l := newLive(t, nil)
			if err := l.script(script + "\n"); err != nil {
				t.Errorf("%s: %s", script, l.FormatError(err))
			}
		}
	}
}

// The hint stands below the error, for what the parser refuses and for a name that nothing has.
func TestForeignError(t *testing.T) {
	l := newLive(t, nil)
	for _, c := range []struct{ src, want string }{
		{"tracepoint:raw_syscalls:sys_enter { @ = count(); }", "error: In[1]:1:12: got ':', want newline\n    tracepoint:raw_syscalls:sys_enter { @ = count(); }\n               ^\n    hint: that is bpftrace's language; here it is m = count(); " +
			`probe("tracepoint:raw_syscalls:sys_enter", lambda e: m.add())`},
		{"ls", "error: In[2]:1:1: undefined: ls\n    ls\n    ^\n    hint: this is no shell: leave with Ctrl-D; help() tells what there is"},
		{"cuont()", "error: In[3]:1:1: undefined: cuont\n    cuont()\n    ^\n    hint: did you mean count?"},
		{"sudo bpftrace", "error: In[4]:1:14: got identifier, want newline\n    sudo bpftrace\n                 ^\n    hint: this is no shell: leave with Ctrl-D; help() tells what there is"},
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
