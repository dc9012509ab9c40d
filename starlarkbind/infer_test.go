package starlarkbind

import (
	"strings"
	"testing"
)

// Maps get their types from all handlers of the script, in any order, and from declarations in the
// script.
func TestInferredTypes(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"two tables that need each other": {`
a, b, seen = table(), table(), count()
def enter(e):
    w = b.pop(e.tid)
    a[e.tid] = (now(), w[1] if w != None else 0)
def leave(e):
    t = a.pop(e.tid)
    if t != None:
        b[e.tid] = (e.comm, t[1] + 1)
        seen.add(by=t[1])
probe("tracepoint:syscalls:sys_enter_getppid", enter, filter=lambda e: e.comm == "load")
probe("tracepoint:syscalls:sys_exit_getppid", leave, filter=lambda e: e.comm == "load")
make("getppid", 3)
print(sorted(seen.keys()), [v for v in b.values()] == [("load", 3)], len(a))
`, "[0, 1, 2] True 0"},
		"offwaketime": {`
off, woken, waits = table(), table(), count()
def sleep(e):
    off[e.tid] = (e.comm, woken.pop(e.tid))
def wake(e):
    s = off.get(e.tid)
    woken[e.tid] = s[0] if s != None else "none"
    waits.add(by=s[1] if s != None else None)
probe(["tracepoint:syscalls:sys_enter_getppid"], sleep, filter=lambda e: e.comm == "load")
probe("tracepoint:syscalls:sys_exit_getppid", filter=lambda e: e.comm == "load", handler=wake)
make("getppid", 2)
print(sorted([str(k) for k in waits.keys()]), woken.values())
`, `["None", "load"] ["load"]`},
		"the longest of later strings": {`
c, t = count(), table()
def later(e):
    c.add(by=("x", str(e.args.filename, 128)))
    t[str(e.args.filename, 100)] = 1
SPEC = "tracepoint:syscalls:sys_enter_"
probe(SPEC + "getppid", lambda e: c.add(by=(e.comm, "short")), filter=lambda e: e.comm == "load")
probe(SPEC + "openat", later, filter=lambda e: e.comm == "nobody")
t["a name of more than fifteen bytes"] = 1
def late2(e): fill(e)
def fill(e): c.add(by=(e.comm, str(e.args.pathname, 256)))
probe(SPEC + "unlinkat", late2, filter=lambda e: e.comm == "nobody")
make("getppid", 1)
print(c.keys(), t.keys())
`, `[("load", "short")] ["a name of more than fifteen bytes"]`},
		"the script first": {`
t, c = table(), count()
def h(e):
    c.add(by=("xxx", str(e.args.filename, 64)))
    t[str(e.args.filename, 64)] = e.args.flags
t["a"] = 1
t["a longer one than there was room for"] = 2
c.add(by=("a", "b"))
c.add(2, by=("a", "a key that is longer than there was room for so far, by far"))
c.add(3, by=("a" * 300, "b"))
t.add(5, by="k" * 200)
probe("tracepoint:syscalls:sys_enter_openat", h, filter=lambda e: e.comm == "nobody")
c.add(4, by=("a" * 300, "b"))
print(sorted(t.values()), sorted(c.values()), len(sorted(c.keys())[2][0]))
`, "[1, 2, 5] [1, 2, 7] 300"},
		"declared": {`
t = table(key=(int, "str[64]"), value=("kstack", "bytes[4]?", bool))
u = table(value=int)
print(u.get(3), 3 in u)
def h(e):
    v = u.get(e.tid)
    if v != None: t[(v, "x")] = (kstack(), None, True)
probe("tracepoint:syscalls:sys_enter_getppid", h, filter=lambda e: e.comm == "nobody")
u[5] = 4
print(u.items(), t.items())
`, `None False
[(5, 4)] []`},
		"pairs of probes of one call": {`
c = count()
probe("tracepoint:syscalls:sys_enter_[gs]etpgid", lambda e: c.add(by=e.args.pid))
probe(["tracepoint:syscalls:sys_enter_getppid", "tracepoint:syscalls:sys_exit_getppid"], lambda e: c.add(by=5), filter=lambda e: e.comm == "load")
make("getppid", 2)
print(c[5])
`, "4"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, c.src, c.want) })
	}
}

// If a map exists already, the error names the place that gave it its type, and what to write.
func TestMapTypeErrors(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`
t = table()
def first(): return lambda e: t.add(by=(e.comm, "x"))
def second(): return lambda e: t.add(by=(e.comm, str(e.args.filename, 128)))
probe("tracepoint:syscalls:sys_enter_openat", first())
probe("tracepoint:syscalls:sys_enter_openat", second())
`, `test.star:4:42: table "t" has keys of type tuple (string of up to 15 bytes, string of up to 15 bytes) since test.star:3:41, not tuple (string of up to 15 bytes, string of up to 127 bytes)
    def second(): return lambda e: t.add(by=(e.comm, str(e.args.filename, 128)))
                                             ^
    test.star:3:41: keys of type tuple (string of up to 15 bytes, string of up to 15 bytes) here
    def first(): return lambda e: t.add(by=(e.comm, "x"))
                                            ^
    hint: shorten these with str(ptr, n), or declare the longest: t = table(key=("str[16]", "str[128]"))`},
		{`
t = table()
probe("tracepoint:syscalls:sys_enter_getppid", lambda e: print(t.get(e.pid)))
`, `test.star:3:48: the value type of table "t" is unknown
    probe("tracepoint:syscalls:sys_enter_getppid", lambda e: print(t.get(e.pid)))
                                                   ^
    hint: assign to it in a probe of this script, or declare its values: t = table(value=int)`},
		{`t = table(key="stack")`, `table: key: "stack" is not a type for a map: write int, bool, str, "u64", "str[64]", "bytes[16]", "kstack", "ustack", "ksym", "usym", "ip", "mac", "cgroup", "errno", "syscall", or a tuple of types; a ? at the end ("u64?") allows None`},
		{`t = table(value="stack")`, `table: value: "stack" is not a type for a map: write int, bool, str, "u64", "str[64]", "bytes[16]", "kstack", "ustack", "ksym", "usym", "ip", "mac", "cgroup", "errno", "syscall", a pointer such as "struct sock *", or a tuple of types; a ? at the end ("u64?") allows None`},
		{`t = table(key="bytes[0]")`, `table: key: the length of bytes must be from 1 to 8192`},
		{`t = table(key="str[1]")`, `table: key: the length of str must be from 2 to 8192`},
	} {
		l := newLive(t, nil)
		err := l.script(c.src)
		if err == nil || !strings.Contains(l.FormatError(err), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.src, l.FormatError(err), c.want)
		}
	}
}
