package starlarkbind

import (
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// A handler called by the script does the same as in the kernel, whatever it calls.
func TestHandlersOnHost(t *testing.T) {
	expect(t, `
opens, sizes, s = count(), count(), stream()
def h(e):
    opens.add(by=str(e.args.filename, 64))
    opens.add(by=(e.comm, buf(e.args.data, 4)))  if False else None
    sizes.add(by=(cast(e.args.flags, "u8"), cast(e.args.flags, "s8"), cast(e.args.flags, "bool"), sizeof("u32"), sizeof("struct task_struct") > 100, offsetof("struct task_struct", "comm") > 0))
    sizes.add(by=(ord(buf(e.args.data, 4)[1]), cast(container_of(e.args.inner, "struct task_struct", "comm"), "struct task_struct").pid, False, 0, False, False))
    s.emit(name=e.args.filename, load=e.pid, data=buf(e.args.data, 4))
    if e.pid == 2: stop()
names = ["short", "a name of more than fifteen bytes", "/" + "x" * 100]
for i, name in enumerate(names):
    h(event(comm="sh", pid=i, args=struct(filename=name, flags=0x1ff, data=b"ab", inner=struct(pid=7))))
print(sorted([k[:40] for k in opens.keys()]))
print(sorted([str(k) for k in sizes.keys()]))
for r in s.take(5, timeout=0): print(len(r.name), r.load, r.data)
print(s.emitted, s.lost)
`, `["/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "a name of more than fifteen bytes", "short"]`,
		`["(255, -1, True, 4, True, True)", "(98, 7, False, 0, False, False)"]`,
		"5 0 b\"ab\\x00\\x00\"", "33 1 b\"ab\\x00\\x00\"", "101 2 b\"ab\\x00\\x00\"", "3 0")
}

// A key too long for the script's own adds goes through a table. Keys that only the script has
// stored so far can still become longer.
func TestLongKeysOnHost(t *testing.T) {
	bpftest.Need(t, "long_keys")
	expect(t, `
c, t = sum(), table()
for n in (3, 20, 100, 200, 2000):
    c.add(n, by=("k" * n, n))
    t.add(n, by="k" * n)
    t.add(1, by="k" * 3)
print(sorted(c.values()), sorted(t.values()), max([len(k[0]) for k in c.keys()]))
c.clear()
print(len(c), errors())
`, "[3, 20, 100, 200, 2000] [8, 20, 100, 200, 2000] 2000", "0 []")
}

// load is a name where no load statement is possible.
func TestLoadAsName(t *testing.T) {
	expect(t, `
def f(load=3, other=1): return load + other
x = struct(load=5)
print(f(load=2), x.load, 'load', dict(load=1)['load'], [load for load in (1,)]) # load(
`, `3 5 load 1 [1]`)
	l := newLive(t, nil)
	if err := l.script("load = \n"); err == nil {
		t.Error("no error")
	}
}
