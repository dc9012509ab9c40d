package starlarkbind

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/feature"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// A program that serves many system calls has to find the probe of each call as the kernel does.
// The test makes one call of each number, which a filter ends with its own error, and compares the
// events with the kernel's own record.
func TestSyscallNumbers(t *testing.T) {
	root, err := sys.Tracefs()
	if err != nil {
		t.Fatal(err)
	}
	instance := filepath.Join(root, "instances", "bpfrepl_"+loadName)
	if err := os.Mkdir(instance, 0o700); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Remove(instance); err != nil {
			t.Error(err)
		}
	}()
	enable := func(what string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(instance, "events/syscalls/enable"), []byte(what), 0); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{"events/syscalls/filter": `comm == "` + loadName + `"`, "buffer_size_kb": "512"} {
		if err := os.WriteFile(filepath.Join(instance, file), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	enable("1")
	got := strings.Fields(printed(t, `
c = count()
probe("tracepoint:syscalls:sys_exit_*", lambda e: c.add(by=(e.probe, e.args.__syscall_nr, e.ret)), filter=lambda e: e.comm == "load" and e.ret == -1000 - e.args.__syscall_nr)
make("-comm", "load", "everycall", 512)
for k, n in sorted(c.items()):
    print(k[0].removeprefix("tracepoint:syscalls:sys_exit_") + ":" + str(k[1]))
`))
	enable("0")
	text, err := os.ReadFile(filepath.Join(instance, "trace"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile(`: sys_(\w+) -> 0x([0-9a-f]+)\n`).FindAllStringSubmatch(string(text), -1) {
		ret, err := strconv.ParseUint(m[2], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if n := -int64(ret) - 1000; n >= 0 && n < 512 {
			want = append(want, fmt.Sprintf("%s:%d", m[1], n))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) < 250 || !slices.Equal(got, want) {
		t.Errorf("the events are\n%s\nof the kernel's\n%s", got, want)
	}
	ts, err := kinds.Resolve("tracepoint:syscalls:*")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, others := kinds.ShareSyscalls(ts, 2); len(others) > 0 {
		t.Logf("numbers are not known of %v", others) // system calls of a later kernel, attached one by one
	}
}

// A shared program reads the same arguments as the tracepoint, for system calls whose arguments
// differ in every byte and that fail.
func TestSyscallArguments(t *testing.T) {
	numbers := map[string]int{"lseek": 8, "pread64": 17, "openat": 257, "sendto": 44, "fchownat": 260, "mknodat": 259, "fallocate": 285, "newfstatat": 262,
		"copy_file_range": 326, "setsockopt": 54, "ioctl": 16, "readahead": 187, "epoll_ctl": 233, "io_getevents": 208, "timer_settime": 223, "mbind": 237}
	if runtime.GOARCH == "arm64" {
		numbers = map[string]int{"lseek": 62, "pread64": 67, "openat": 56, "sendto": 206, "fchownat": 54, "mknodat": 33}
	}
	var script strings.Builder
	script.WriteString("rets, args = count(), {}\n")
	var calls []string
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		ts, err := kinds.Resolve("tracepoint:syscalls:sys_enter_" + name)
		var none *kinds.NotFoundError
		if errors.As(err, &none) {
			continue // the kernel is built without it
		}
		if err != nil {
			t.Fatal(err)
		}
		ev, err := ts[0].Event()
		if err != nil {
			t.Fatal(err)
		}
		var fields []string
		for _, f := range ev.Fields {
			if f.Kind == abi.FieldInt || f.Kind == abi.FieldPointer {
				fields = append(fields, "int(e.args."+f.Name+")")
			}
		}
		fmt.Fprintf(&script, "%[1]s = count()\nargs[%[1]q] = %[1]s\nprobe(%[2]q, lambda e: %[1]s.add(by=(%[3]s)), filter=lambda e: e.comm == \"load\")\n",
			name, ts[0].Name, strings.Join(fields, ", "))
		fmt.Fprintf(&script, "probe(%q, lambda e: rets.add(by=(e.probe, e.ret, e.args.ret, e.args.__syscall_nr, e.compat)), filter=lambda e: e.comm == \"load\")\n",
			"tracepoint:syscalls:sys_exit_"+name)
		calls = append(calls, fmt.Sprintf(`make("-comm", "load", "calls", 7, %d, "0xffffffffffffff95", "0x8182838485868788", "0xa1a2a3a4a5a6a7a8", "0xb1b2b3b4b5b6b7b8", "0xc1c2c3c4c5c6c7c8", "0xd1d2d3d4d5d6d7d8")`,
			numbers[name]))
	}
	if len(calls) < 4 {
		t.Fatalf("the kernel has %d of the system calls", len(calls))
	}
	script.WriteString(strings.Join(calls, "\n") + "\nfor name, m in args.items() + [(\"returns\", rets)]:\n    for k, n in sorted(m.items()):\n        if n == 7:\n            print(name, k, n)\n")
	got := map[int]string{}
	for _, least := range []int{1, 1000} {
		l := newLive(t, nil)
		l.leastShared = least
		if err := l.script(script.String()); err != nil {
			t.Fatal(l.FormatError(err))
		}
		got[least] = l.out.String()
	}
	if got[1] != got[1000] {
		t.Errorf("shared:\n%s\nalone:\n%s", got[1], got[1000])
	}
	if n := strings.Count(got[1], " 7\n"); n != 2*len(calls) {
		t.Errorf("only %d values of %d system calls: %s", n, len(calls), got[1])
	}
}

// A pattern counts each call once, under its own name, in every kind of handler.
func TestSyscallPattern(t *testing.T) {
	rounds := "e.cpu + 3" // the body is a separate program
	f, err := feature.Find("bpf_loop")
	if err != nil {
		t.Fatal(err)
	}
	if f.Probe() != nil {
		rounds = "3"
	}
	expect(t, strings.ReplaceAll(fmt.Sprintf("NR_LSEEK, NR_GETPPID = %d, %d", unix.SYS_LSEEK, unix.SYS_GETPPID)+`
ours = lambda e: e.comm == "load" and (e.args.__syscall_nr in (NR_LSEEK, NR_GETPPID))
calls, rets, fds, both, seen = count(), count(), count(), count(), count()
p = probe("tracepoint:syscalls:sys_enter_*", lambda e: calls.add(by=e.probe), filter=ours)
q = probe("tracepoint:syscalls:sys_exit_*", lambda e: rets.add(by=(e.probe, e.ret)), filter=ours)
r = probe(["tracepoint:syscalls:sys_enter_lseek", "tracepoint:syscalls:sys_enter_read"], lambda e: fds.add(by=(e.probe, e.args.fd)), filter=ours)
s = probe(["tracepoint:syscalls:sys_*_lseek", "tracepoint:syscalls:sys_*_getppid"], lambda e: both.add(by=syscall_name(e.args.__syscall_nr)), filter=ours)

def loops(e):
    for i in range(ROUNDS):
        if e.probe == "tracepoint:syscalls:sys_enter_lseek":
            seen.add(by=(e.probe, e.pid == e.tid))
            return

u = probe("tracepoint:syscalls:sys_enter_*", loops, filter=ours)
make("-comm", "load", "getppid", 1000)
p.detach()
make("-comm", "load", "newkeys", 200, 5)
p.attach()
make("-comm", "load", "getppid", 10)
for m in (calls, rets, fds, both, seen):
    print(*sorted(m.items()))
print(len(p.targets) > 250, len(r.targets), r.targets[0], p.attached, p.stats().hits > 1000)
print("; tracepoint:syscalls:sys_enter_lseek, tracepoint:syscalls:sys_enter_read as RawTracepoint program" in r.asm())
`, "ROUNDS", rounds),
		`("tracepoint:syscalls:sys_enter_getppid", 1010)`,
		fmt.Sprintf(`(("tracepoint:syscalls:sys_exit_getppid", %d), 1010) (("tracepoint:syscalls:sys_exit_lseek", -9), 200)`, os.Getpid()),
		`(("tracepoint:syscalls:sys_enter_lseek", 4294967295), 200)`,
		`("getppid", 2020) ("lseek", 400)`,
		`(("tracepoint:syscalls:sys_enter_lseek", True), 200)`,
		"True 2 tracepoint:syscalls:sys_enter_lseek True True",
		"True")
}

// System calls of 32-bit programs have their own numbers. Their names are right, and the same name
// is one key for all callers. The tracepoints of system calls omit them, and so do patterns of
// these tracepoints.
func TestCompatSyscalls(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		return // the load has no 32-bit calls there
	}
	expect(t, `
ours = lambda e: e.comm == "load" and e.args.id in (65, 111, 7, 110, 500, 0x4000006f)
names, own, exits, pattern = count(), count(), count(), count()
probe("tracepoint:raw_syscalls:sys_enter", lambda e: names.add(by=syscall_name(e.args.id)), filter=ours)
probe("tracepoint:raw_syscalls:sys_enter", lambda e: own.add(by=(e.compat, e.args.id, syscall_name(e.args.id) == "getpgrp", syscall_name(e.args.id) in ("waitpid", "futex"))), filter=ours)
probe("tracepoint:raw_syscalls:sys_exit", lambda e: exits.add(by=(e.compat, syscall_name(e.args.id), e.args.ret >= 0)), filter=ours)
probe(["tracepoint:syscalls:sys_enter_getpgrp", "tracepoint:syscalls:sys_enter_getppid", "tracepoint:syscalls:sys_enter_semop"], lambda e: pattern.add(by=(e.probe, e.compat)), filter=lambda e: e.comm == "load")
make("-comm", "load", "calls32", 100, 65)
make("-comm", "load", "calls", 10, 111)
make("-comm", "load", "calls", 4, 0x4000006f) # as x32 has it, which the kernel need not have
make("-comm", "load", "calls32", 5, 7)
make("-comm", "load", "calls32", 3, 500)
make("-comm", "load", "getppid", 1000)
for m in (names, own, exits, pattern):
    print(*sorted(m.items()))
print(names["getpgrp"], names["waitpid"], names["32-bit syscall 500"])
`,
		`("32-bit syscall 500", 3) ("getpgrp", 114) ("getppid", 1000) ("waitpid", 5)`,
		`((False, 110, False, False), 1000) ((False, 111, True, False), 10) ((False, 1073741935, True, False), 4) ((True, 7, False, True), 5) ((True, 65, True, False), 100) ((True, 500, False, False), 3)`,
		`((False, "getpgrp", False), 4) ((False, "getpgrp", True), 10) ((False, "getppid", True), 1000) ((True, "32-bit syscall 500", False), 3) ((True, "getpgrp", True), 100) ((True, "waitpid", False), 5)`,
		`(("tracepoint:syscalls:sys_enter_getpgrp", False), 10) (("tracepoint:syscalls:sys_enter_getppid", False), 1000)`,
		"114 5 3")
}

// A pattern whose targets the kernel detaches one by one stops counting at once. Neither the script
// nor Ctrl-C waits for the kernel. When attached again, it counts each event once.
func TestManyTracepointsStopAtOnce(t *testing.T) {
	l := newLive(t, nil)
	l.leastShared = 1000 // one by one
	if err := l.script(fmt.Sprintf(`
n, own = count(), count()
p = probe("tracepoint:syscalls:sys_enter_*get*", lambda e: n.add(by=e.probe), filter=lambda e: e.comm == "load" and e.args.__syscall_nr == %d)
make("-comm", "load", "getppid", 1000)
t0 = now()
p.detach()
took = now() - t0
make("-comm", "load", "getppid", 1000)
print(p.attached, len(p.targets) > 20, took < 1000000000, sorted(n.items()))
hits = p.stats().hits
make("-comm", "load", "getppid", 1000)
print(p.stats().hits - hits)
p.attach()
make("-comm", "load", "getppid", 10)
print(sorted(n.items()), p.stats().hits - hits >= 10)
`, unix.SYS_GETPPID)); err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := `False True True [("tracepoint:syscalls:sys_enter_getppid", 1000)]
0
[("tracepoint:syscalls:sys_enter_getppid", 1010)] True
`
	if got := l.out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Attaching to all system calls and detaching takes about as long as for the one event that all of
// them pass.
func TestSyscallPatternIsQuick(t *testing.T) {
	slower := 100 * time.Millisecond
	if testing.Short() { // an emulated CPU takes seconds for the 360 targets
		slower = 5 * time.Second
	}
	out := printed(t, `
slower = `+fmt.Sprint(int64(slower))+`
n = count()
def took(spec):
    t0 = now()
    probe(spec, lambda e: n.add(by=e.probe)).detach()
    return now() - t0

took("tracepoint:raw_syscalls:sys_enter")
one = min([took("tracepoint:raw_syscalls:sys_enter") for _ in range(3)])
many = min([took("tracepoint:syscalls:sys_enter_*") for _ in range(3)])
print(many < 3 * one + slower, many, one)
`)
	if !strings.HasPrefix(out, "True ") {
		t.Errorf("nanoseconds for all and for one: %s", out)
	}
}

// Ctrl-C while many targets are being attached returns at once, and leaves none attached.
func TestInterruptedAttach(t *testing.T) {
	l := newLive(t, nil)
	l.leastShared = 1000
	if err := l.script("n = count()"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(150*time.Millisecond, cancel)
	t0 := time.Now()
	err := l.ExecFile(ctx, "many.star", []byte(`
n = count()
while True:
    p = probe("tracepoint:syscalls:sys_enter_*get*", lambda e: n.add(by=e.args.__syscall_nr))
`))
	if took := time.Since(t0); !errors.Is(err, runner.ErrInterrupted) || took > 3*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	for _, p := range l.reg.allProbes() {
		if !p.isAttached() {
			t.Errorf("%s is half attached", p.name)
		}
	}
}

// The kernel's stack at tracepoints of system calls has frames, also on kernels that pass such
// programs the registers of the traced program.
func TestSyscallStacks(t *testing.T) {
	kernels := map[string]*sys.Kernel{"this kernel": nil}
	if !sys.OlderThan(6, 13) {
		kernels["as before 6.13"] = &sys.Kernel{Release: "6.12", Major: 6, Minor: 12, Arch: runtime.GOARCH}
	}
	for name, as := range kernels {
		t.Run(name, func(t *testing.T) {
			l := newLive(t, nil)
			if as != nil {
				l.kernel = as
			}
			err := l.script(`
ours = lambda e: e.comm == "load"
enter, exit, both = count(), count(), count()
probe(["tracepoint:syscalls:sys_enter_getppid", "tracepoint:syscalls:sys_exit_getppid"], lambda e: both.add(by=(e.probe, e.kstack)), filter=ours)
probe("tracepoint:syscalls:sys_enter_getppid", lambda e: enter.add(by=(e.probe, e.kstack)), filter=ours)
probe("tracepoint:syscalls:sys_exit_getppid", lambda e: exit.add(by=(e.probe, kstack())), filter=ours)
make("-comm", "load", "getppid", 1000)
for m in [enter, exit]:
    for (name, stack), n in m.items():
        print(name, n, "syscall" in str(stack))
print(sorted([(name, n, "syscall" in str(stack)) for (name, stack), n in both.items()]) == [("tracepoint:syscalls:sys_" + s + "_getppid", 1000, True) for s in ["enter", "exit"]], errors())
`)
			if err != nil {
				t.Fatal(l.FormatError(err))
			}
			want := "tracepoint:syscalls:sys_enter_getppid 1000 True\ntracepoint:syscalls:sys_exit_getppid 1000 True\nTrue []\n"
			if got := l.out.String(); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
