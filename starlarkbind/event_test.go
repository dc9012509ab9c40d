package starlarkbind

import (
	"strings"
	"testing"
)

// A handler called by the script leaves the same maps as in the kernel.
func TestHandlerBothWays(t *testing.T) {
	for name, src := range map[string]string{
		"keys": `
a, h, t = count(), hist(), table()
def handler(e):
    if e.comm != "load" or e.args.id != 110:
        return
    a.add(by=(syscall_name(e.args.id), e.comm, e.args.id % 7, e.uid))
    h.add(e.args.id * 3, by=errno_name(e.args.id - 112))
    t.add(by=e.comm)
    if t.get(e.comm, 0) > 5:
        t["late"] = max(e.args.id, 5) // 2
    else:
        t["early"] = -e.args.id // 7
maps = [a, h, t]
probe("tracepoint:raw_syscalls:sys_enter", handler)
calls = [event(comm="load", uid=0, args=struct(id=110)) for _ in range(10)] + [event(comm="other", args=struct(id=110)), event(comm="load", args={"id": 3})]
`,
		"args by number": `
a = sum()
def handler(e):
    if e.comm == "load" and e.args[1] == 110:
        a.add(e.args[1] - 100, by=syscall_name(e.args[1]) == "getppid")
maps = [a]
probe("rawtracepoint:sys_enter", handler)
calls = [event(comm="load", args=[0, 110])] * 10 + [event(comm="load", args=(1, 2))]
`,
		"result, helper functions and addresses": `
a, b = count(), table()
def kind(n):
    return "bad" if n < 0 else "good"
def handler(e):
    if e.comm != "load":
        return
    b["n"] = b.get("n", 0) + 1
    a.add(by=(kind(e.ret), ksym(kaddr("vfs_read") + 3), ntop(0x0200007f), str(e.comm)))
maps = [a, b]
probe("tracepoint:syscalls:sys_exit_getppid", handler)
calls = [event(comm="load", ret=1)] * 10
`,
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, src+`
make("getppid", 10)
for p in attached():
    p.detach()
kernel = [m.snapshot() for m in maps]
for m in maps:
    m.clear()
for c in calls:
    handler(c)
host = [m.snapshot() for m in maps]
for k, h in zip(kernel, host):
    print(len(k) > 0, {x: str(k[x]) for x in k} == {x: str(h[x]) for x in h})
print(errors())
`, strings.Repeat("True True\n", strings.Count(src, "(), ")+1)+"[]")
		})
	}
}

// Errors for fields that the event does not have, and for mistakes of the handler.
func TestEventErrors(t *testing.T) {
	for _, x := range [][2]string{
		{`(lambda e: e.pid)(event(comm="sh"))`, `this event has no pid: write event(pid=...)`},
		{`(lambda e: e.pidd)(event(pid=1))`, `an event has no field pidd (did you mean pid?)`},
		{`event(comn="sh")`, `event: an event has no field comn (did you mean comm?)`},
		{`event("sh")`, `event: name each field: event(comm="sh", pid=1)`},
		{`event(args=3)`, `event: args: got int, want a struct, a dict or a list`},
		{`event(kstack=["vfs_read"])`, `event: kstack: got a list with string in it, want a list of addresses`},
		{`(lambda e: e.args.filname)(event(args=struct(filename="a")))`, `this event has no argument filname (did you mean filename?): write event(args=struct(filname=...))`},
		{`(lambda e: e.args[2])(event(args=[1, 2]))`, `arguments index 2 out of range [-2:1]`},
		{`(lambda e: 1 // e.pid)(event(pid=0))`, `floored division by zero`},
		{`(lambda e: table()[e.pid])(event(pid=0))`, `key 0 not in table`},
		{`(lambda e: reg("ip"))(event(pid=0))`, `reg: this event has no register "ip": write event(regs={"ip": ...})`},
		{`(lambda e: usym(4096))(event(comm="sh"))`, `this event has no pid: write event(pid=...)`},
		{`usym(4096)`, `usym: there is no event here: call it in a handler, handler(event(pid=...))`},
		{`signal("SIGKIL")`, `signal: "SIGKIL" is not a signal (did you mean SIGKILL?)`},
		{`override(0)`, `override() changes what the kernel does; to allow it, start bpfrepl with --unsafe`},
		{`deny("EPREM")`, `deny: "EPREM" is not an error`},
		{`deny(4096)`, `deny: errors are numbered from 1 to 4095, got 4096`},
		{`deny("EPERM")`, `deny() changes what the kernel does; to allow it, start bpfrepl with --unsafe`},
		{`kaddr("vfs_raed")`, `the kernel has no symbol "vfs_raed"; did you mean "vfs_read"?`},
		{`uaddr("main")`, `uaddr: of which program?; write uaddr("main", "/path/of/the/program"), or name the process with -p or -c`},
		{`strftime("%Q", 0)`, `strftime has no conversion %Q`},
		{`ntop(3, 0)`, `ntop: no address family 3; 2 is AF_INET, 10 is AF_INET6`},
	} {
		l := newLive(t, nil)
		err := l.script(x[0])
		if err == nil || !strings.Contains(err.Error(), x[1]) {
			t.Errorf("%s\n got %v\nwant %s", x[0], err, x[1])
		}
	}
}

// Functions of handlers work on the host as far as they can.
func TestFunctionsOnHost(t *testing.T) {
	expectWith(t, allowUnsafe, `
def handler(e):
    return (ntop(e.args.addr), macaddr(e.args.mac), reg("ip"), str(e.args.name, 4), signal("SIGTERM"), cgroup_path())
print(handler(event(regs={"ip": 7}, cgroup=1, args=struct(addr=[127, 0, 0, 1], mac=b"\x02\x42\xac\x11\x00\x02", name="filename"))))
def stacks(e):
    return (kstack(1), kstack(), ustack(), e.kstack == kstack(), kstack(1) == kstack())
k = stacks(event(kstack=[kaddr("vfs_read") + 8, kaddr("vfs_write")]))
print([list(s) for s in k[:3]], k[3:], bool(k[2]), k[1].addresses[1] == kaddr("vfs_write"))
print(ntop("::1"), ntop(b"\x00" * 15 + b"\x01"), errno_name(-13), syscall_name(-1), 0 <= rand(), str(5), str("abc"))
`, `("127.0.0.1", "02:42:ac:11:00:02", 7, "fil", None, "/")`,
		`[["vfs_read+8"], ["vfs_read+8", "vfs_write"], []] (True, False) False True`,
		`::1 ::1 EACCES syscall -1 True 5 abc`)
}
