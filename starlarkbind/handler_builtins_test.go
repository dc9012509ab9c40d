package starlarkbind

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
	"github.com/bpfrepl/bpfrepl/bpf/symbol"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/proc"
)

// exampleGlobals defines the names that the examples of functions and methods use.
const exampleGlobals = `
start, seen, t = table(), table(), table()
start[1], seen[1] = 1, 1
t["sh"] = 1
names = {0: "read"}
opens = stream()
`

// sums lists the aggregations in the examples that take values; all others count.
var sums = map[string]bool{"longest": true, "total": true, "drift": true, "capped": true, "atleast": true, "first": true}

// Each example of a function or method compiles, loads and attaches at the probe that its row
// names.
func TestExamples(t *testing.T) {
	adds := regexp.MustCompile(`(\w+)\.add\(`)
	for _, d := range append(compiler.Builtins(), compiler.Methods()...) {
		t.Run(d.Name, func(t *testing.T) {
			switch d.Name {
			case "override":
				bpftest.Need(t, "override", "kprobe")
			case "deny":
				bpftest.Need(t, "lsm")
			}
			src := exampleGlobals
			for _, m := range adds.FindAllStringSubmatch(d.Example, -1) {
				switch name := m[1]; {
				case name == "seen" || name == "start" || name == "t":
				case sums[name]:
					src += name + " = sum()\n"
				default:
					src += name + " = count()\n"
				}
			}
			src += "def handler(e):\n    " + d.Example + "\nprobe(" + fmt.Sprintf("%q", d.Probe) + ", handler)\n"
			l := newLive(t, func(o *Options) {
				o.Unsafe = true
				if d.Name == "uaddr" {
					p, err := proc.Start([]string{loadBinary, "getppid", "1"}, nil, nil)
					if err != nil {
						t.Fatal(err)
					}
					o.Command = p
				}
			})
			err := l.script(src)
			if err != nil && strings.Contains(err.Error(), "needs kernel") {
				return // refused with a reason: this kernel does not have the feature
			}
			if err != nil {
				t.Fatalf("%s\n%s", src, l.FormatError(err))
			}
		})
	}
}

// The results of functions, where they are known.
func TestFunctionValues(t *testing.T) {
	addr, err := symbol.KernelAddr("vfs_read")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, `
names, syms, times = count(), count(), count()
def handler(e):
    if e.comm != "load" or syscall_name(e.args.id) != "getppid":
        return
    names.add(by=(syscall_name(e.args.id), errno_name(-2), errno_name(2) == "ENOENT", errno_name(0), ntop(0x0100007f), ntop(0x0100007f) == "127.0.0.1"))
    syms.add(by=(ksym(kaddr("vfs_read")), ksym(kaddr("vfs_read") + 5), kaddr("vfs_read"), 0 <= rand(), rand() < 1 << 32))
    m = now()
    d = boottime() - m
    times.add(by=(strftime("%Y-%m-%d", e.time), strftime("%%", 0), d >= 0, cgroup_path() == cgroup_path(e.cgroup), cgroup_path()))
probe("tracepoint:raw_syscalls:sys_enter", handler)
day = strftime("%Y-%m-%d", now())
make("getppid", 10)
print(names.keys(), names.values())
print(syms.keys(), syms.values())
k = times.keys()[0]
print(k[0] in (day, strftime("%Y-%m-%d", now())), k[1:4], k[4].startswith("/"), times.values())
`, `[("getppid", "ENOENT", True, "0", "127.0.0.1", True)] [10]`,
		fmt.Sprintf(`[("vfs_read", "vfs_read+5", %d, True, True)] [10]`, addr), `True ("%", True, True) True [10]`)
}

// jiffies() is the counter that /proc/timer_list shows. It never goes back, and between two events
// it advances by about HZ ticks a second: a virtual machine can lose timer interrupts, or get them
// late.
func TestJiffies(t *testing.T) {
	var hz, first, last, want uint64
	before := timerListJiffies(t)
	out := printed(t, `
s = stream()
def handler(e):
    if e.comm == "load" and syscall_name(e.args.id) == "getppid":
        s.emit(t=now(), j=jiffies())
probe("tracepoint:raw_syscalls:sys_enter", handler)
make("getppid", 1000)
run(1.5)
make("getppid", 1000)
all = s.take(2000, timeout=5)
if len(all) != 2000: fail("%d records" % len(all))
for i in range(1, len(all)):
    if all[i].j < all[i-1].j: fail("%s before %s" % (all[i-1], all[i]))
first, last = all[0], all[-1]
rate = (last.j - first.j) * 1000000000 // (last.t - first.t)
hz = sorted([(abs(rate - n), n) for n in (100, 250, 300, 1000)])[0][1]
print(hz, first.j, last.j, (last.t - first.t) * hz // 1000000000)
`)
	after := timerListJiffies(t)
	if _, err := fmt.Sscan(out, &hz, &first, &last, &want); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if first < before || last > after {
		t.Errorf("jiffies() from %d to %d, /proc/timer_list from %d to %d", first, last, before, after)
	}
	if ticks := last - first; ticks < want/2 || ticks > want*3/2 {
		t.Errorf("%d ticks, want %d (HZ=%d)", ticks, want, hz)
	}
}

// timerListJiffies returns the jiffies that /proc/timer_list shows.
func timerListJiffies(t *testing.T) uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/timer_list")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\njiffies: ")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseUint(line, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The event's own arrays as addresses, and the address of a listening socket on the loopback
// device.
func TestAddresses(t *testing.T) {
	l := newLive(t, nil)
	if err := l.script(`
a = count()
def handler(e):
    if e.args.family == 2 and e.args.newstate == 2 and ntop(e.args.daddr) == "127.0.0.1":
        a.add(by=(ntop(e.args.daddr), ntop(2, e.args.saddr), ntop(e.args.daddr_v6), ntop(10, e.args.saddr_v6) == ntop(e.args.daddr_v6),
            ntop(buf(e.args.skaddr, 4)), ntop(b"\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"), macaddr(b"\x02\x00\xab\x00\x00\x01\xff\xff"))) # struct sock begins with the peer's address
probe("tracepoint:sock:inet_sock_set_state", handler)
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	connect(t)
	if err := l.item("print(a.keys(), a.values())"); err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := `[("127.0.0.1", "127.0.0.1", "::ffff:127.0.0.1", True, "127.0.0.1", "fe80::1", "02:00:ab:00:00:01")] [1]`
	if got := strings.TrimSpace(l.out.String()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Two stacks with the same frames are one key, and each frame has a symbol. The probe is one at
// which all kernels provide a kernel stack: older ones provide none to programs on the tracepoint
// of a single system call.
func TestStacks(t *testing.T) {
	out := printed(t, `
k, u, n = count(), count(), count()
def handler(e):
    if e.comm == "load" and e.args[1] == 110: # getppid
        k.add(by=kstack())
        u.add(by=ustack(3))
        n.add(by=e.kstack)
        n.add(by=kstack())
probe("rawtracepoint:sys_enter", handler)
make("getppid", 1000)
print(len(k), list(k.values()), len(u), list(u.values()), n.keys() == k.keys(), list(n.values()), list(n.snapshot().values()), n[k.keys()[0]])
s = k.keys()[0]
print(type(s), len(s) > 0, any([f.startswith("do_syscall_64") or f.startswith("entry_SYSCALL_64") for f in s]), s == k.keys()[0], k[s], s.pid)
s = u.keys()[0]
print(len(s), s.pid > 0, len(s.addresses), [f for f in s][0] == s[0], u[s])
`)
	want := `1 [1000] 1 [1000] True [2000] [2000] 2000
stack True True True 1000 None
3 True 3 True 1000
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

// The symbols of a running process are those of its program. Equal stacks of two processes of one
// program are one key.
func TestUserSymbols(t *testing.T) {
	var pids [2]int
	for i := range pids {
		cmd := exec.Command(loadBinary, "-comm", "spinner", "spin", "60000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pids[i] = cmd.Process.Pid
		t.Cleanup(func() {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			cmd.Wait() // it was killed
		})
	}
	out := printed(t, fmt.Sprintf(`
u, s, r, n = count(), count(), count(), count()
def handler(e):
    u.add(by=e.ustack)
    s.add(by=usym(reg("ip")))
    r.add(by=usym(uaddr("main.main", "/proc/%d/exe")))
    n.add(by=e.pid)
p = probe("profile:hz:200", handler, filter=lambda e: e.comm == "spinner")
run(0.5)
p.detach()
print(any([f.startswith("main.spin") or f.startswith("main.run") for k in u.keys() for f in k]))
print(any([f.endswith(" [loadgen]") and f.startswith("main.") for f in s.keys()]))
print(len(n), r.keys(), list(r.values()) == [sum(n.values())], r["main.main [loadgen]"] == sum(n.values()), sum([x for l in r.per_cpu().values() for x in l]) == sum(n.values()))
f = s.keys()[0]
print(s[f] == s.snapshot()[f], sum(s.values()) == sum(u.values()), "main.nothing [loadgen]" in r)
`, pids[0]))
	want := `True
True
2 ["main.main [loadgen]"] True True True
True True False
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

// A handler can stop the process that it runs in.
func TestSignal(t *testing.T) {
	l := newLive(t, allowUnsafe)
	if err := l.script(`
done = count()
def handler(e):
    if e.comm == "victim":
        signal("SIGKILL")
        done.add()
probe("tracepoint:syscalls:sys_enter_getppid", handler)
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	out, err := exec.Command(loadBinary, "-comm", "victim", "getppid", "1000000").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.String() != "signal: killed" {
		t.Errorf("the process ended with %v: %s", err, out)
	}
	if err := l.item("print(done.value, errors())"); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got := strings.TrimSpace(l.out.String()); got != "1 []" {
		t.Errorf("got %s", got)
	}
}

// connect makes a TCP connection over the loopback device.
func connect(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), ln.Close()); err != nil {
		t.Error(err)
	}
}

// item runs one more item after a script, with the script's globals.
func (l *live) item(src string) error {
	_, err := l.ExecItem(context.Background(), src)
	return err
}
